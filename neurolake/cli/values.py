"""NAME=VALUE on the command line."""

from __future__ import annotations

import json

import click

__all__ = ["parse_values"]


def parse_values(ctx: click.Context, option: click.Parameter, given: tuple[str, ...]) -> dict[str, object]:
    """An option's callback: its NAME=VALUE texts as a mapping. A value is JSON where it reads as JSON, else text."""
    values: dict[str, object] = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not equals or not name.isidentifier():
            raise click.BadParameter(f"{text!r} is not NAME=VALUE.", ctx=ctx, param=option)
        values[name] = _value(value)
    return values


def _value(text: str) -> object:
    """A plain value.

    >>> [_value(text) for text in ("7", "true", "a;b", '["x"]')]
    [7, True, 'a;b', ['x']]
    """
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return text
