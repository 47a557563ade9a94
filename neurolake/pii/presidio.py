"""Presidio as a second opinion on a few cells: the only module that imports presidio_analyzer.

No language model is loaded and nothing is looked up: recognisers are asked one by one, and the one library below
them that would fetch a list of public domains is told to use the list it carries.
"""

from __future__ import annotations

import contextlib
import importlib
import inspect
import pkgutil
import warnings
from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import cache
from typing import Any, cast

__all__ = ["COVER_MIN", "VALUES_MAX", "entities", "share", "spans"]

VALUES_MAX = 60
"""Distinct cells that Presidio is asked about, at most."""
COVER_MIN = 0.85
"""How much of a cell a hit must cover."""
SCORE_MIN = 0.4
"""What a hit within a text must score, unless one of its recogniser's words stands in the text, too."""
_OUTSIDE = ("third_party", "nlp_engine_recognizers", ".ner")
"""Packages of recognisers that need a model or a service."""


@cache
def _recognisers() -> Mapping[str, tuple[Any, ...]]:
    """Every recogniser that works by patterns and checks, whatever its country and language, by entity."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of its dependencies, about each other
        import tldextract
        from presidio_analyzer import EntityRecognizer, predefined_recognizers

        offline = tldextract.TLDExtract(cache_dir=None, suffix_list_urls=())
        for place, name in ((tldextract, "extract"), (tldextract.tldextract, "extract"),
                            (tldextract.tldextract, "TLD_EXTRACTOR")):  # fmt: skip
            setattr(place, name, offline)
        found: dict[str, list[Any]] = {}
        for module in pkgutil.walk_packages(predefined_recognizers.__path__, f"{predefined_recognizers.__name__}."):
            if any(part in module.name for part in _OUTSIDE):
                continue
            for _, member in inspect.getmembers(importlib.import_module(module.name), inspect.isclass):
                if not issubclass(member, EntityRecognizer) or member.__module__ != module.name:
                    continue
                with contextlib.suppress(TypeError):  # an abstract class
                    recogniser = cast(Any, member)()
                    for entity in recogniser.supported_entities:
                        found.setdefault(entity, []).append(recogniser)
    return {entity: tuple(those) for entity, those in found.items()}


def entities() -> frozenset[str]:
    """The entities that Presidio's recognisers find without a model."""
    return frozenset(_recognisers())


def share(entity: str, values: Sequence[str]) -> float | None:
    """The share of cells, of the first few, that Presidio takes for an entity; None where it knows no such entity."""
    recognisers = _recognisers().get(entity)
    if not recognisers or not values:
        return None
    asked = values[:VALUES_MAX]
    return sum(any(_covers(one, entity, value) for one in recognisers) for value in asked) / len(asked)


def _covers(recogniser: Any, entity: str, value: str) -> bool:
    hits = recogniser.analyze(value, [entity], None)
    return any(hit.score > 0 and hit.end - hit.start >= COVER_MIN * len(value) for hit in hits or ())


def spans(text: str, passed_over: Collection[str]) -> Iterator[tuple[int, int]]:
    """Where in a text Presidio finds anything.

    Args:
        text: one cell.
        passed_over: entities that are not asked about; a recogniser of nothing else is not asked.
    """
    said = text.casefold()
    for recogniser in _asked(frozenset(passed_over)):
        wanted = [entity for entity in recogniser.supported_entities if entity not in passed_over]
        spoken_of = any(word.casefold() in said for word in recogniser.context or ())
        for hit in recogniser.analyze(text, wanted, None) or ():
            if hit.score >= SCORE_MIN or (hit.score > 0 and spoken_of):
                yield hit.start, hit.end


@cache
def _asked(passed_over: frozenset[str]) -> tuple[Any, ...]:
    every = {id(one): one for those in _recognisers().values() for one in those}
    return tuple(one for one in every.values() if not passed_over.issuperset(one.supported_entities))
