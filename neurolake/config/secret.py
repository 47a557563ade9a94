"""Secrets named by reference, so that a settings file need not hold them.

A reference is `scheme:rest`. `env:NAME` is an environment variable, `file:/path` a file's text without its
last line end, and `plain:text` the text itself, for a secret that would read like a reference. Any other text
is the secret. A store such as Vault is one more entry in a table of schemes, given to `resolve_secret`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path

from neurolake.config.environment import environment
from neurolake.errors import InvalidRequest

__all__ = ["SCHEMES", "resolve_secret"]

_STORE = re.compile(r"[a-z][a-z0-9+.-]*://")


def resolve_secret(text: str, schemes: Mapping[str, Callable[[str], str]] | None = None) -> str:
    """The secret that `text` names, or `text` itself when it is no reference.

    Args:
        text: a reference or the secret.
        schemes: what reads each scheme's references; by default `SCHEMES`.

    Raises:
        InvalidRequest: `secret_missing` when the reference leads nowhere, `secret_scheme_unknown` when it
            names a store that nothing here reads. Messages show the reference, never a value.

    >>> resolve_secret("plain:env:odd"), resolve_secret("hunter2")
    ('env:odd', 'hunter2')
    """
    known = SCHEMES if schemes is None else schemes
    scheme, colon, rest = text.partition(":")
    if colon and scheme in known:
        return known[scheme](rest)
    if _STORE.match(text):
        raise InvalidRequest(
            f"No secret store answers to '{scheme}://'.",
            code="secret_scheme_unknown",
            next_step=f"Use one of {', '.join(f'{name}:' for name in known)}"
            " (plain: for a secret that only looks like a reference).",
        )
    return text


def _from_environment(name: str) -> str:
    value = environment().get(name)
    if not value:
        raise InvalidRequest(
            f"The secret env:{name} is not there: no environment variable of that name has a value.",
            code="secret_missing",
            next_step=f"Set {name}, or correct the reference.",
        )
    return value


def _from_file(path: str) -> str:
    try:
        value = Path(path).expanduser().read_text(encoding="utf-8").removesuffix("\n").removesuffix("\r")
    except (OSError, UnicodeDecodeError, RuntimeError) as error:
        why = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise InvalidRequest(
            f"The secret file:{path} cannot be read: {why}.",
            code="secret_missing",
            next_step="Check the path and that this user may read it.",
        ) from None
    if not value:
        raise InvalidRequest(f"The secret file:{path} is empty.", code="secret_missing")
    return value


SCHEMES: Mapping[str, Callable[[str], str]] = {
    "env": _from_environment,
    "file": _from_file,
    "plain": str,
}
