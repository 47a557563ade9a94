"""What a pipeline for names and addresses says of columns that nothing else says anything of."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence

from neurolake.pii import people
from neurolake.pii.classify import COMPANIES_MAX, CONTROL_CELLS_MIN, PERSON_SHAPE_MIN, Verdict, placed
from neurolake.pii.freetext import ENTITY as FREE_TEXT
from neurolake.pii.freetext import is_text
from neurolake.pii.names import read
from neurolake.pii.ner import Pipeline, Span
from neurolake.pii.presidio import COVER_MIN
from neurolake.pii.samples import Leaf

__all__ = ["CELLS_MAX", "verdicts"]

CELLS_MAX = 60
"""Distinct cells of a leaf that the pipeline is asked about."""
ALONE_MIN, WITH_NAME_MIN = 0.7, 0.4
"""The share of cells that must be an entity as a whole, and the same where the column's name speaks for it, too."""
DIGITS_MIN = 0.5
"""The share of cells of an address that have a digit: streets without one are places."""
IN_TEXT_MIN, IN_TEXT_CELLS_MIN = 0.05, 3
"""The share of cells of running text that must hold an entity, and how many at least: any pipeline errs at times."""


def verdicts(
    pipeline: Pipeline, leaves: Sequence[Leaf], known: Iterable[Verdict], check: Callable[[], None] = lambda: None
) -> list[Verdict]:
    """At most one verdict for each leaf of text without one: that its cells are people or addresses, or hold some.

    Args:
        pipeline: is asked about a few cells of each.
        leaves: of one table.
        known: what other evidence has said.
        check: is called before each leaf, and raises where somebody has stopped the scan.
    """
    said = {verdict.leaf for verdict in known}
    found = []
    for leaf in leaves:
        if leaf in said or leaf.type != "text" or not leaf.values or not _worth_asking(leaf.values):
            continue
        check()
        some = leaf.values[:CELLS_MAX]
        verdict = _verdict(leaf, some, pipeline.spans(some), pipeline.name)
        if verdict is not None:
            found.append(verdict)
    return found


def _worth_asking(values: Sequence[str]) -> bool:
    """Whether the cells have words: codes, numbers and links are not asked about."""
    some = values[:CELLS_MAX]
    words = sum(" " in value and any(char.isalpha() for char in value) for value in some)
    return words >= DIGITS_MIN * len(some) or people.share_of_shape(some) >= PERSON_SHAPE_MIN


def _verdict(leaf: Leaf, some: Sequence[str], spans: Sequence[Collection[Span]], name: str) -> Verdict | None:
    title = read(leaf.path)
    against = title.speaks_against() and not title.speaks_for(people.COLUMN_NAMES)
    weakly = 0 if against else title.speaks_for(people.COLUMN_NAMES_WEAK)
    person, address = (_share(entity, some, spans) for entity in ("PERSON", "STREET_ADDRESS"))
    # A handful of words that come again and again are departments or trades, whatever a model takes them for.
    against = against or len(leaf.values) < CONTROL_CELLS_MIN
    if not against and person >= (WITH_NAME_MIN if weakly else ALONE_MIN) and _look_like_people(leaf.values):
        confidence = 0.5 + 0.25 * person + (0.1 if weakly else 0)
        evidence = f"named entities of {name} {person:.2f}{', name' if weakly else ''}"
        return placed(Verdict(leaf, "PERSON", confidence, evidence, person, weakly))
    if not against and address >= ALONE_MIN and _digits(some) >= DIGITS_MIN:
        evidence = f"named entities of {name} {address:.2f}"
        return placed(Verdict(leaf, "STREET_ADDRESS", 0.5 + 0.25 * address, evidence, address))
    hits = sum(map(bool, spans))
    if is_text(leaf) and hits >= max(IN_TEXT_CELLS_MIN, IN_TEXT_MIN * len(some)):
        kinds = sorted({span.entity for those in spans for span in those})
        evidence = f"in text: {', '.join(kinds)} {hits / len(some):.4f} by {name}"
        return placed(Verdict(leaf, FREE_TEXT, 0.7, evidence, hits / len(some)))
    return None


def _look_like_people(values: Sequence[str]) -> bool:
    return people.share_of_shape(values) >= PERSON_SHAPE_MIN and people.share_of_companies(values) <= COMPANIES_MAX


def _digits(values: Sequence[str]) -> float:
    return sum(any(char.isdigit() for char in value) for value in values) / len(values)


def _share(entity: str, values: Sequence[str], spans: Sequence[Collection[Span]]) -> float:
    """The share of cells that an entity covers, all of its spans together."""
    covered = (
        sum(span.end - span.start for span in those if span.entity == entity) >= COVER_MIN * len(value)
        for value, those in zip(values, spans, strict=True)
    )
    return sum(covered) / len(values)
