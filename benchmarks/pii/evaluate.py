"""`python -m benchmarks pii`: precision, recall and F1 on the corpus, of the product and of others, as one table."""

from __future__ import annotations

import argparse
import datetime
import json
import platform
import subprocess
import textwrap
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path

import pyarrow as pa

import neurolake
from benchmarks.pii import corpus, heldout, tuning
from benchmarks.pii.baselines import CELLS, baselines
from benchmarks.pii.corpus import Column
from neurolake.pii import presidio
from neurolake.pii.classify import DETECTOR

__all__ = ["Score", "array", "log", "main", "predictions", "score"]

FOLDER = Path(__file__).parent
LOG = FOLDER / "evaluations.jsonl"
"""Every evaluation on the held-out part: when, of what, and what came out."""
OURS = "NeuroLake"
WIDTH = 30
"""Columns of a table that is scanned."""
BEGIN = "<!-- pii: made by `python -m benchmarks pii --markdown docs/pii.md` -->"
END = "<!-- pii: end -->"
TARGETS = {"no names, clean": 0.90}
"""With names the target is 0.97; it is not judged here, see `benchmarks.pii.ablation`."""
FALSE_POSITIVES_MAX = 0.03
NONE = "–"
WIDTH_MAX = 120


@dataclass(slots=True)
class Tally:
    """Columns: of how many an entity was said rightly, of how many at all, and how many hold it."""

    true: int = 0
    found: int = 0
    there: int = 0

    @property
    def precision(self) -> float:
        """Of the columns said to hold an entity, those that do."""
        return self.true / max(1, self.found)

    @property
    def recall(self) -> float:
        """Of the columns that hold an entity, those said to."""
        return self.true / max(1, self.there)

    @property
    def f1(self) -> float:
        """The harmonic mean of the two."""
        return 2 * self.true / max(1, self.found + self.there)

    def counts(self) -> tuple[int, int, int]:
        """As they are logged."""
        return self.true, self.found, self.there

    def figures(self) -> str:
        """Precision, recall and F1; a dash for what nothing was said or there to be reckoned from.

        >>> Tally(4, 5, 8).figures(), Tally(0, 0, 8).figures()
        ('0.80 0.50 0.62', '– 0.00 0.00')
        """
        precision = f"{self.precision:.2f}" if self.found else NONE
        recall = f"{self.recall:.2f}" if self.there else NONE
        return f"{precision} {recall} {self.f1:.2f}"


@dataclass(slots=True)
class Score(Tally):
    """How a detector did. A column of the wrong kind is one false positive and one false negative."""

    negatives: int = 0
    false_on_negatives: int = 0
    personal: int = 0
    missed: Counter[str] = field(default_factory=Counter)
    taken_for: Counter[tuple[str, str]] = field(default_factory=Counter)
    by_entity: dict[str, Tally] = field(default_factory=lambda: defaultdict(Tally))

    @property
    def false_positives(self) -> float:
        """The share of negatives said to hold something."""
        return self.false_on_negatives / max(1, self.negatives)

    @property
    def noticed(self) -> float:
        """The share of personal columns said to hold something personal, whatever kind."""
        return self.personal / max(1, self.there)


def score(columns: Sequence[Column], said: Sequence[str | None]) -> Score:
    """Compare what was said with the labels."""
    result = Score()
    for column, entity in zip(columns, said, strict=True):
        _count(result.by_entity, column.entity, entity)
        result.found += entity is not None
        if column.entity is None:
            result.negatives += 1
            result.false_on_negatives += entity is not None
        else:
            result.there += 1
            result.true += entity == column.entity
            result.personal += entity is not None
            if entity != column.entity:
                result.missed[column.entity] += 1
        if entity is not None and entity != column.entity:
            result.taken_for[column.entity or column.family, entity] += 1
    return result


def _count(by_entity: dict[str, Tally], there: str | None, said: str | None) -> None:
    if there is not None:
        by_entity[there].there += 1
        by_entity[there].true += said == there
    if said is not None:
        by_entity[said].found += 1


def predictions(columns: Sequence[Column], pii_ner: str = "") -> list[str | None]:
    """What the product says: the columns are loaded as tables, and scanned by CALL neurolake.scan_pii."""
    said: list[str | None] = []
    with neurolake.connect(":memory:", pii_ner=pii_ner) as lake:
        for start in range(0, len(columns), WIDTH):
            part = columns[start : start + WIDTH]
            names = _distinct(part)
            lake.load("t", pa.table(dict(zip(names, map(array, part), strict=True))), mode="replace")
            found = lake.call("scan_pii", "t").to_pylist()
            best = {row["column_name"]: row["entity"] for row in reversed(found)}
            said += [best.get(name.casefold()) for name in names]
    return said


def _distinct(columns: Sequence[Column]) -> list[str]:
    """Names for one table: a second column of a name gets spaces at its end, which say nothing."""
    seen: Counter[str] = Counter()
    names = []
    for column in columns:
        names.append(column.name + " " * seen[column.name.casefold()])
        seen[column.name.casefold()] += 1
    return names


_TYPES = {"BIGINT": pa.int64(), "INTEGER": pa.int32(), "DOUBLE": pa.float64(), "TIMESTAMP": pa.timestamp("us"),
          "DATE": pa.date32()}  # fmt: skip


def array(column: Column) -> pa.ChunkedArray:
    """A column as Arrow data."""
    cells = pa.chunked_array([pa.array(column.values, pa.string())])
    return cells.cast(_TYPES[column.type]) if column.type in _TYPES else cells


def variants(columns: Sequence[Column], quick: bool) -> Iterator[tuple[str, Sequence[Column]]]:
    """The four conditions; `quick` only the clean ones."""
    yield "names, clean", columns
    yield "no names, clean", corpus.hidden(columns)
    if not quick:
        noisy = [corpus.damaged(column) for column in columns]
        yield "names, noise", noisy
        yield "no names, noise", corpus.hidden(noisy)


def _of_presidio(columns: Sequence[Column], said: Sequence[str | None]) -> Score:
    """The score without the columns of kinds that Presidio does not have."""
    has = presidio.entities()
    kept = [(c, s) for c, s in zip(columns, said, strict=True) if c.entity is None or c.entity in has]
    return score([c for c, _ in kept], [s for _, s in kept])


def main(given: argparse.Namespace) -> int:
    """Evaluate, print, and where asked write into a document; 0."""
    part = tuning if given.part == "tuning" else heldout
    columns = part.columns()
    if part is heldout:
        assert corpus.digest(columns) == (FOLDER / "heldout.sha256").read_text().strip(), (
            "the held-out part has changed"
        )
    scores: dict[str, dict[str, Score]] = {}
    started = time.perf_counter()
    for label, variant in variants(columns, given.quick):
        scores.setdefault(OURS, {})[label] = score(variant, predictions(variant))
    for name, detector in {} if given.quick else baselines().items():
        labels = ("names, clean", "names, noise") if "names" in name else ("no names, clean", "no names, noise")
        for label, variant in variants(columns, quick=False):
            if label in labels:
                said = detector(variant)
                scores.setdefault(name, {})[label] = score(variant, said)
                if "names" not in name:
                    scores.setdefault(f"{name}, of its kinds", {})[label] = _of_presidio(variant, said)
    text = report(scores, len(columns), given.part, time.perf_counter() - started)
    print(text)
    if part is heldout:
        log(scores[OURS])
    if given.markdown:
        _write(given.markdown, text)
    return 0


def report(scores: dict[str, dict[str, Score]], columns: int, part: str, seconds: float) -> str:
    """The tables, as Markdown."""
    lines = [
        "| detector | condition | precision | recall | F1 | false positives | noticed |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, by_label in scores.items():
        lines += [_row(name, label, s, judged=name == OURS and part == "heldout") for label, s in by_label.items()]
    ours = scores[OURS]
    negatives = next(iter(ours.values())).negatives
    lines += [
        "",
        f"{columns:,} columns of the {part} part with {corpus.ROWS} cells each, {negatives} of them hard negatives; in",
        "noise 30 % of the cells are spoilt. *False positives*: negatives said to hold something. *Noticed*: personal",
        f"columns said to hold something personal, of whatever kind. Presidio reads {CELLS} cells of a column, and the",
        "rows *of its kinds* leave out columns of kinds that it does not have.",
        f"{DETECTOR}, presidio-analyzer {version('presidio-analyzer')}, duckdb {version('duckdb')},",
        f"Python {platform.python_version()}, commit {_commit()}, {seconds:.0f} s.",
        "",
        f"What NeuroLake gets wrong, in columns ({corpus.EACH} of each entity, 10 of each family of negatives):",
        "",
    ]
    for label, s in ours.items():
        missed = ", ".join(f"{entity} {count}" for entity, count in s.missed.most_common())
        taken = ", ".join(f"{a} for {b} {count}" for (a, b), count in s.taken_for.most_common())
        lines.append(f"- *{label}*: missed {missed or 'none'}; taken for another: {taken or 'none'}.")
    return "\n".join([*lines, "", *_by_entity(ours)]) + "\n"


def _row(name: str, label: str, s: Score, *, judged: bool) -> str:
    target = TARGETS.get(label) if judged else None
    f1 = f"{s.f1:.3f}"
    if target is not None:
        f1 += f" (target {target:.2f}: {'met' if s.f1 >= target else 'missed'})"
    wrong = f"{s.false_positives:.1%}"
    if target is not None:
        wrong += (
            f" (target {FALSE_POSITIVES_MAX:.0%}: {'met' if s.false_positives <= FALSE_POSITIVES_MAX else 'missed'})"
        )
    return f"| {name} | {label} | {s.precision:.3f} | {s.recall:.3f} | {f1} | {wrong} | {s.noticed:.1%} |"


def _by_entity(ours: Mapping[str, Score]) -> list[str]:
    """A row for each entity that is not found and told without a fault in every condition; the names of the others."""
    entities = sorted({entity for s in ours.values() for entity in s.by_entity})
    faultless = [one for one in entities if all(_is_faultless(s.by_entity[one]) for s in ours.values())]
    rows = [
        "By entity, precision, recall and F1; a dash stands where nothing was said to be one, or none is there:",
        "",
        f"| entity | {' | '.join(ours)} |",
        f"|---|{'---|' * len(ours)}",
        f"| **all** | {' | '.join(s.figures() for s in ours.values())} |",
    ]
    for entity in entities:
        if entity not in faultless:
            rows.append(f"| {entity} | {' | '.join(s.by_entity[entity].figures() for s in ours.values())} |")
    named = f"All three are 1.00 in every condition for the other {len(faultless)}: {', '.join(faultless)}."
    return [*rows, "", *(textwrap.wrap(named, WIDTH_MAX, break_long_words=False) if faultless else ())]


def _is_faultless(tally: Tally) -> bool:
    return tally.true == tally.found == tally.there


def log(ours: Mapping[str, Score], detector: str = DETECTOR) -> None:
    """Add an evaluation on the held-out part to the log of all of them."""
    entry = {
        "at": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "commit": _commit(),
        "detector": detector,
        "precision": {label: round(s.precision, 4) for label, s in ours.items()},
        "recall": {label: round(s.recall, 4) for label, s in ours.items()},
        "f1": {label: round(s.f1, 4) for label, s in ours.items()},
        "false_positives": {label: round(s.false_positives, 4) for label, s in ours.items()},
        "true, found, there": {
            label: {one: s.by_entity[one].counts() for one in sorted(s.by_entity)} for label, s in ours.items()
        },
    }
    with LOG.open("a", encoding="utf-8") as file:
        file.write(json.dumps(entry) + "\n")


def _commit() -> str:
    command = ["git", "rev-parse", "--short", "HEAD"]
    done = subprocess.run(command, cwd=FOLDER, capture_output=True, text=True, check=False)
    return done.stdout.strip() or "unknown"


def _write(document: Path, text: str) -> None:
    page = document.read_text(encoding="utf-8")
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    document.write_text(f"{before}{BEGIN}\n{text}{END}{after}", encoding="utf-8")
