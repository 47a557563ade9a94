"""What the column names are worth when the detector's lists do not hold the held-out names themselves.

The author of the detector had seen the held-out part, and most of its column names stand in the detector's lists word
for word. So the figures with names say too much. `python -m benchmarks.pii.ablation` takes out every phrase that is the
whole of a held-out name, unless a tuning column has it too, and measures again: a lower bound.
"""

from __future__ import annotations

import dataclasses

import pyarrow as pa

import neurolake
from benchmarks.pii import heldout, tuning
from benchmarks.pii.corpus import Spec
from benchmarks.pii.evaluate import Score, array, log, score
from neurolake.lake import EmbeddedLake
from neurolake.pii import people
from neurolake.pii.classify import DETECTOR, classify
from neurolake.pii.kinds import KINDS, Kind
from neurolake.pii.names import read
from neurolake.pii.samples import take

WIDTH = 40
NOTHING = "no such name"


def _names(specs: dict[str, Spec]) -> set[str]:
    return {" ".join(read(name).words) for spec in specs.values() for name in spec.names.split()}


def reduced() -> tuple[dict[str, Kind], str, int]:
    """The kinds and the phrases for people without shared phrases, and how many those were."""
    shared = _names(dict(heldout.POSITIVES)) - _names(dict(tuning.POSITIVES))

    def kept(phrases: str) -> str:
        return "|".join(phrase for phrase in phrases.split("|") if phrase not in shared) or NOTHING

    kinds = {entity: dataclasses.replace(kind, names=kept(kind.names)) for entity, kind in KINDS.items()}
    dropped = sum(phrase in shared for kind in KINDS.values() for phrase in kind.names.split("|"))
    return kinds, kept(people.COLUMN_NAMES), dropped


def measure() -> tuple[Score, int]:
    """The score on the held-out part with names, clean, and how many phrases were taken out."""
    kinds, phrases, dropped = reduced()
    people.COLUMN_NAMES = phrases
    columns = heldout.columns()
    said: list[str | None] = []
    with neurolake.connect(":memory:") as lake:
        assert isinstance(lake, EmbeddedLake)
        for start in range(0, len(columns), WIDTH):
            part = columns[start : start + WIDTH]
            leaves = [take(pa.table({column.name: array(column)})).leaves[0] for column in part]
            with lake.session.at_home() as cursor:
                found = {id(verdict.leaf): verdict.entity for verdict in classify(cursor, leaves, kinds)}
            said += [found.get(id(leaf)) for leaf in leaves]
    return score(columns, said), dropped


if __name__ == "__main__":
    result, count = measure()
    log({"names, clean": result}, f"{DETECTOR} without {count} phrases that are held-out names")
    print(
        f"{count} phrases taken out: precision {result.precision:.3f}, recall {result.recall:.3f}, F1 {result.f1:.3f}"
    )
