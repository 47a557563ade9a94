"""Names and addresses by a spaCy pipeline of the user's own: the only module that imports spaCy.

The pipeline is a folder on this machine. None comes with the product, none is fetched, and without the setting
`pii_ner` spaCy is not even imported.
"""

from __future__ import annotations

import logging
import threading
import warnings
from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from neurolake import errors

if TYPE_CHECKING:
    from neurolake.engine import Engine

__all__ = ["Pipeline", "Span", "load", "of", "strict"]

logger = logging.getLogger("neurolake")

LABELS: Final[Mapping[str, str]] = {
    **dict.fromkeys(("PERSON", "PER", "PRS", "PERSNAME"), "PERSON"),
    **dict.fromkeys(("ADDRESS", "STREET", "STREET_ADDRESS", "STREETNAME"), "STREET_ADDRESS"),
}
"""The labels that pipelines have for people and addresses. Places are none: a city is nobody's address."""
_UNNEEDED: Final = frozenset(
    "tagger parser senter sentencizer morphologizer attribute_ruler lemmatizer trainable_lemmatizer textcat"
    " textcat_multilabel entity_linker spancat".split()
)
"""Components that say nothing about entities, and cost memory and most of the time."""
_RULERS: Final = frozenset(("entity_ruler", "span_ruler"))
"""Components whose patterns may ask for what the others say."""
_FAILURES: Final = (
    OSError, ValueError, TypeError, LookupError, AttributeError, ArithmeticError, ImportError, RuntimeError, EOFError,
)  # fmt: skip
"""What spaCy and the libraries below it raise for folders and weights that they cannot use."""
_lock = threading.Lock()


class Span(NamedTuple):
    """Where in a text an entity stands: its first character, the one behind its last, and its kind."""

    start: int
    end: int
    entity: str


class Pipeline:
    """A loaded pipeline. Threads take turns; of what was read nothing is kept.

    Args:
        nlp: what spaCy made of the folder.
    """

    def __init__(self, nlp: Any) -> None:
        self._nlp = nlp
        self._turn = threading.Lock()
        self.name = f"{nlp.meta['lang']}_{nlp.meta['name']} {nlp.meta['version']}"

    def spans(self, texts: Sequence[str]) -> list[list[Span]]:
        """The people and addresses of each text.

        Raises:
            InvalidRequest: `ner_unusable`: the pipeline fails.
        """
        try:
            with self._turn, self._nlp.memory_zone():  # without it spaCy keeps every word it has ever seen
                return [list(_known(document.ents)) for document in self._nlp.pipe(texts)]
        except _FAILURES as problem:
            raise _unusable(f"The spaCy pipeline {self.name} fails: {type(problem).__name__}.") from None


def _known(entities: Any) -> Iterator[Span]:
    for one in entities:
        if (entity := LABELS.get(one.label_.upper())) is not None:
            yield Span(one.start_char, one.end_char, entity)


def strict(engine: Engine) -> Pipeline | None:
    """The pipeline that the setting `pii_ner` names, loaded once; None where it names none.

    Raises:
        InvalidRequest: `ner_unusable`: it cannot be loaded.
    """
    return load(Path(engine.settings.pii_ner)) if engine.settings.pii_ner else None


def of(engine: Engine) -> Pipeline | None:
    """The same; None, too, where it cannot be loaded and `pii_ner_required` does not hold.

    Raises:
        InvalidRequest: `ner_unusable`: it cannot be loaded, and `pii_ner_required` holds.
    """
    try:
        return strict(engine)
    except errors.InvalidRequest as problem:
        if engine.settings.pii_ner_required:
            raise
        logger.warning("personal data is looked for without a pipeline for names: %s", problem.message)
        return None


def load(path: Path) -> Pipeline:
    """Load a pipeline from its folder, or from a package's folder with one version in it.

    Raises:
        InvalidRequest: `ner_unusable`: there is none, it is broken, or it knows neither people nor addresses.
    """
    folders = [file.parent for file in (path / "config.cfg", *sorted(path.glob("*/config.cfg"))) if file.is_file()]
    if not folders:
        raise _unusable(f"There is no spaCy pipeline in {path}.")
    with _lock:
        return _loaded(folders[0], (folders[0] / "config.cfg").stat().st_mtime_ns)


@lru_cache(maxsize=1)  # one a process, whatever its lakes: it may weigh some hundred MB
def _loaded(folder: Path, _changed_ns: int) -> Pipeline:
    try:
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            import spacy

            described = spacy.util.load_config(folder / "config.cfg")
            nlp = spacy.load(folder, exclude=_unneeded(described["components"]))
    except _FAILURES as problem:
        raise _unusable(f"The spaCy pipeline in {folder} cannot be loaded: {type(problem).__name__}.") from None
    for one in said:
        if str(one.message).startswith("[W"):  # spaCy's own, such as of another version; others are of its libraries
            logger.warning("the spaCy pipeline in %s: %s", folder, one.message)
    labels = sorted({label for some in nlp.pipe_labels.values() for label in some})
    if not any(label.upper() in LABELS for label in labels):
        raise _unusable(f"The spaCy pipeline in {folder} knows neither people nor addresses, but: {', '.join(labels)}.")
    return Pipeline(nlp)


def _unneeded(components: Mapping[str, Mapping[str, Any]]) -> Collection[str]:
    factories = {name: str(about.get("factory", "")) for name, about in components.items()}
    if not _RULERS.isdisjoint(factories.values()):
        return ()
    return [name for name, factory in factories.items() if factory in _UNNEEDED]


def _unusable(message: str) -> errors.InvalidRequest:
    return errors.InvalidRequest(
        message,
        code="ner_unusable",
        next_step="Name a folder with a pipeline that loads in the setting pii_ner, or leave the setting empty.",
    )
