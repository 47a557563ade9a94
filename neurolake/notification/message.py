"""What a message says: the same facts as JSON, as text and as HTML.

Only names, codes, counts and times go in, never a row, a message of the engine's or an address with what is secret in
it: a receiver of messages need not be anybody who may read the lake.
"""

from __future__ import annotations

import html
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

__all__ = ["Message"]


@dataclass(frozen=True, slots=True)
class Message:
    """One run of a job.

    Attributes:
        lake: what the lake is called.
        state: done, partial, failed, interrupted, nothing_to_do; test for a message that is only a try.
        started_at, ended_at: seconds since the epoch; a run that was interrupted has no end.
        repositories: of each its name, state, previous_state, error_code, snapshot_id, tables, rows, bytes, bytes_new
            and detail.
    """

    lake: str
    job: str
    mode: str
    state: str
    query_id: str
    started_by: str
    started_at: float
    ended_at: float | None
    repositories: Sequence[Mapping[str, Any]] = ()

    @property
    def subject(self) -> str:
        """One line.

        >>> Message("sales", "create", "full", "failed", "q", "schedule", 0.0, 1.0).subject
        'NeuroLake sales: backup create failed'
        """
        lake = "".join(c for c in " ".join(self.lake.split()) if c.isprintable())
        return f"NeuroLake {lake}: backup {self.job} {self.state.replace('_', ' ')}"

    def json(self) -> bytes:
        """As one JSON object; times in UTC."""
        content = {"version": 1, "event": "backup", **asdict(self)}
        for name in ("started_at", "ended_at"):
            content[name] = _time(content[name])
        return json.dumps(content, ensure_ascii=False).encode()

    def text(self) -> str:
        """For a reader."""
        parts = ["\n".join(f"{name + ':':<12} {value}" for name, value in facts) for facts in self._facts()]
        return "\n\n".join([self.subject, *parts]) + "\n"

    def html(self) -> str:
        """The same, for a reader of HTML."""
        tables = "".join(f"<table>{''.join(map(_row, facts))}</table>" for facts in self._facts())
        style = "body{font-family:sans-serif}table{margin:1em 0}th{text-align:left;padding-right:1em}"
        subject = html.escape(self.subject)
        return (
            f'<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>{subject}</title>'
            f"<style>{style}</style></head><body><h1>{subject}</h1>{tables}</body></html>"
        )

    def _facts(self) -> Iterator[list[tuple[str, str]]]:
        ended = _time(self.ended_at)
        yield [
            ("Job", f"{self.job} ({self.mode}), by {self.started_by}"),
            ("Started", str(_time(self.started_at))),
            ("Ended", "never" if ended is None else ended),
            ("Query", self.query_id),
        ]
        for one in self.repositories:
            known = {name: value for name, value in one.items() if value is not None}
            before = known.pop("previous_state", None)
            known["state"] += "" if before in (None, known["state"]) else f" (before: {before})"
            yield [(name.replace("_", " ").capitalize(), _value(value)) for name, value in known.items()]


def _row(fact: tuple[str, str]) -> str:
    name, value = map(html.escape, fact)
    return f"<tr><th>{name}</th><td>{value}</td></tr>"


def _value(value: object) -> str:
    return f"{value:,}" if isinstance(value, int) else str(value)


def _time(seconds: float | None) -> str | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")
