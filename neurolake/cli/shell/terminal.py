"""The shell's two ways to get lines: a person at a terminal, and a script on standard input."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import click

from neurolake import __version__, errors, urls
from neurolake.cli import exits
from neurolake.cli.shell.console import Console, Quit
from neurolake.cli.shell.split import split

if TYPE_CHECKING:
    from prompt_toolkit.key_binding import KeyBindings

    from neurolake.cli.target import Target

PROMPT = "neurolake> "
CONTINUED = "      ...> "


def run_script(console: Console, lines: TextIO, *, as_json: bool) -> int:
    """Run the statements of a script, each as soon as it is read; the exit code. The first error ends it."""
    text = ""
    try:
        for line in lines:
            if not text.strip() and line.startswith("."):
                console.do(line.strip())
                continue
            text += line
            if ";" not in line:
                continue
            statements, text = split(text)
            for statement in statements:
                console.do(statement)
        console.do(text.strip())
    except Quit:
        return exits.OK
    except errors.NeuroLakeError as error:
        exits.report(error, as_json)
        return exits.code_of(error)
    return exits.OK


def converse(console: Console, target: Target) -> int:
    """Talk to a person until they leave."""
    session = _session(console, target)
    click.echo(f"NeuroLake {__version__}, {console.lake!r}. A statement ends with ; and .help lists commands.")
    while True:
        try:
            text = session.prompt(PROMPT, prompt_continuation=CONTINUED)
        except KeyboardInterrupt:
            continue
        except EOFError:
            return exits.OK
        if _do_all(console, text):
            return exits.OK


def _do_all(console: Console, text: str) -> bool:
    """Carry out what was entered; whether the person wants to leave."""
    try:
        for line in _entered(text):
            console.do(line)
    except Quit:
        return True
    except KeyboardInterrupt:
        click.echo("Cancelled.", err=True)
    except errors.NeuroLakeError as error:
        exits.report(error, as_json=False)
    return False


def _entered(text: str) -> Iterable[str]:
    if text.lstrip().startswith("."):
        return [text.strip()]
    statements, rest = split(text)
    return [*statements, rest.strip()]


def _session(console: Console, target: Target) -> Any:
    from prompt_toolkit import PromptSession
    from prompt_toolkit.completion import ThreadedCompleter
    from prompt_toolkit.lexers import PygmentsLexer

    from neurolake.cli.shell.completion import LakeCompleter

    return PromptSession(
        history=_history(target),
        completer=ThreadedCompleter(LakeCompleter(console)),
        complete_while_typing=False,
        lexer=PygmentsLexer.from_filename("statement.sql"),
        multiline=True,
        key_bindings=_keys(),
    )


def _keys() -> KeyBindings:
    """Enter sends what is whole, and begins a new line in what is not."""
    from prompt_toolkit.filters import completion_is_selected, has_selection
    from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent

    keys = KeyBindings()

    @keys.add("enter", filter=~completion_is_selected & ~has_selection)
    def _(event: KeyPressEvent) -> None:
        buffer = event.current_buffer
        text = buffer.text.strip()
        if not text or text.startswith(".") or not split(buffer.text).rest.strip():
            buffer.validate_and_handle()
        else:
            buffer.insert_text("\n")

    return keys


def _history(target: Target) -> Any:
    from prompt_toolkit.history import FileHistory, InMemoryHistory

    class WithoutSecrets(FileHistory):
        def store_string(self, string: str) -> None:
            if not _names_secret(string):
                super().store_string(string)

    path = _history_file(target)
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.close(os.open(path, os.O_CREAT | os.O_APPEND, 0o600))
    except OSError:
        return InMemoryHistory()
    return WithoutSecrets(str(path))


def _history_file(target: Target) -> Path:
    """In the lake's own run folder; for a server, where the user's programs keep their state."""
    from neurolake.config import environment

    if target.home is not None:
        return target.folder() / "run" / "shell_history"
    state = environment().get("XDG_STATE_HOME")
    return (Path(state) if state else Path.home() / ".local" / "state") / "neurolake" / "shell_history"


def _names_secret(text: str) -> bool:
    """Whether a statement may hold a password or a signed URL: then it does not go into the history file."""
    from neurolake.procedures import REGISTRY, load_all

    load_all()
    secretive = {p.name for p in REGISTRY.values() if any(argument.secret for argument in p.arguments)}
    folded = text.casefold()
    return "password" in folded or urls.hidden(text) != text or any(name in folded for name in secretive)
