"""The files that statements read: their columns, what has become of those, and what an error has to do with them."""

from __future__ import annotations

import dataclasses
import logging
import time
from collections.abc import Mapping
from typing import NamedTuple

from neurolake import errors
from neurolake._duckdb import Instance
from neurolake.catalog import Catalog, Source
from neurolake.governance.gate_errors import told
from neurolake.query import Plan
from neurolake.sources import problems, relation
from neurolake.sources.problems import Place
from neurolake.sources.storage import Storage
from neurolake.sql.text import Name

logger = logging.getLogger("neurolake")

LOOK_AGAIN_S = 5.0
"""How long the columns of a source are taken to be as they were."""


class _Known(NamedTuple):
    """The columns that a registered source has had since this lake was opened, each with its last type."""

    registered_at: float
    columns: Mapping[str, str]


class Files:
    """The files of one engine's sources. Thread-safe."""

    def __init__(self, instance: Instance, storage: Storage, catalog: Catalog) -> None:
        self._instance = instance
        self._storage = storage
        self._catalog = catalog
        self._looked: dict[Name, float] = {}
        self._known: dict[Name, _Known] = {}

    def columns(self, source: Source) -> dict[str, str]:
        """The columns of a source and their DuckDB types, read from its files.

        Raises:
            SourceFailed: they cannot be read; the message names the file.
        """
        self._storage.refresh(source.location)
        text = f"SELECT * FROM {relation.reader(source.location, source.format, source.options)}"
        try:
            binding = self._instance.acquire_and(lambda cursor: cursor.bind(text))
        except errors.NeuroLakeError as problem:
            raise problems.explain(problem, [Place(source.location, source.format)]) from None
        return dict(zip(binding.names, binding.types, strict=True))

    def look_at(self, source: Source) -> None:
        """List a source's files anew; now and then also its columns, so that the catalog shows a change by itself."""
        self._storage.refresh(source.location)
        looked, self._looked[source.name] = self._looked.get(source.name, 0.0), time.monotonic()
        if time.monotonic() - looked < LOOK_AGAIN_S:
            return
        try:
            columns = self.columns(source)
        except errors.NeuroLakeError:
            return  # the statement that names it says what is wrong
        if columns != source.columns and self._catalog.sources.get(source.name.fold()) is source:
            self._follow(source, columns)

    def _follow(self, source: Source, columns: Mapping[str, str]) -> None:
        what = problems.difference(source.columns, columns)
        logger.warning("the columns of the source %s have changed: %s", source.name, what)
        self._known[source.name.fold()] = _Known(source.registered_at, self._had(source))
        self._catalog.add(dataclasses.replace(source, columns=columns, changed_at=time.time()), replace=True)

    def _had(self, source: Source) -> Mapping[str, str]:
        known = self._known.get(source.name.fold())
        if known is None or known.registered_at != source.registered_at:
            return source.columns
        return {**known.columns, **source.columns}

    def explain(self, problem: errors.NeuroLakeError, plan: Plan) -> errors.NeuroLakeError:
        """Say more of an error that the files a plan reads may have caused, and less to a governed caller."""
        if plan.ruling is not None:
            return told(problem, plan.request.text)
        if plan.verb == "COPY" and problem.message.startswith("Cannot open file"):
            return problem  # it is about the file that is written
        read = [self._catalog.sources.get(Name.parse(shown).fold()) for shown in plan.sources]
        sources = [source for source in read if source is not None]
        if problem.code in ("binding", "not_found"):
            return self._changed(problem, plan, sources)
        registered = {source.location: Place(source.location, source.format) for source in sources}
        literal = (place for place in problems.places_in(plan.text) if place.location not in registered)
        return problems.explain(problem, [*registered.values(), *literal])

    def _changed(self, problem: errors.NeuroLakeError, plan: Plan, sources: list[Source]) -> errors.NeuroLakeError:
        for source in sources:
            try:
                now = self.columns(source)
            except errors.NeuroLakeError:
                continue
            better = problems.changed(problem, plan.request.text, source, self._had(source), now)
            if better is not problem:
                return better
        return problem
