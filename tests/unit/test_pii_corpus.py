"""The labelled corpus is what its hash says, large and hard enough, and knows nothing of the detector."""

from __future__ import annotations

import ast
import json
from collections import Counter
from functools import cache
from pathlib import Path

import pytest

from benchmarks.pii import corpus, evaluate, heldout, tuning
from benchmarks.pii.corpus import Column
from benchmarks.pii.evaluate import log, report, score

FOLDER = Path(corpus.__file__).parent


@cache
def columns() -> dict[str, list[Column]]:
    return {"tuning": tuning.columns(), "heldout": heldout.columns()}


def test_the_held_out_part_is_the_one_that_was_committed_before_tuning() -> None:
    assert corpus.digest(columns()["heldout"]) == (FOLDER / "heldout.sha256").read_text().strip()


def test_both_parts_are_large_and_hard_enough() -> None:
    for part in columns().values():
        entities = Counter(column.entity for column in part)
        negatives = entities.pop(None)
        assert negatives >= 0.4 * len(part)
        assert len(entities) >= 60
        assert min(entities.values()) >= 8
    assert sum(map(len, columns().values())) >= 1200


def test_the_corpus_imports_nothing_of_the_product() -> None:
    for name in ("ids", "corpus", "tuning", "heldout"):
        tree = ast.parse((FOLDER / f"{name}.py").read_text(encoding="utf-8"))
        imported = {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)} | {
            alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names
        }
        assert not any(module.startswith("neurolake") for module in imported)


def test_the_score_counts_a_wrong_kind_twice() -> None:
    made = [
        Column(str(place), entity, entity or "sku", ("x",)) for place, entity in enumerate(("A", "A", "B", None, None))
    ]
    found = score(made, ["A", "B", None, None, "A"])
    assert (found.true, found.found, found.there) == (1, 3, 3)
    assert found.f1 == 2 / 6
    assert (found.false_positives, found.noticed) == (0.5, 2 / 3)
    assert found.taken_for == {("A", "B"): 1, ("sku", "A"): 1}


def test_each_entity_has_a_precision_and_a_recall_that_are_printed_and_logged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    labels = ("A", "A", "A", "A", "B", "C", "C", None)
    made = [Column(str(place), entity, entity or "sku", ("x",)) for place, entity in enumerate(labels)]
    found = score(made, ["A", "A", "A", "D", None, "C", "C", "A"])
    lines = report({"NeuroLake": {"names, clean": found}}, len(made), "tuning", 1.0).splitlines()
    assert [line for line in lines if line.startswith(("| A", "| B", "| C", "| D", "| **all"))] == [
        "| **all** | 0.71 0.71 0.71 |",
        "| A | 0.75 0.75 0.75 |",
        "| B | – 0.00 0.00 |",
        "| D | 0.00 – 0.00 |",
    ]
    assert lines[-1] == "All three are 1.00 in every condition for the other 1: C."
    monkeypatch.setattr(evaluate, "LOG", tmp_path / "log.jsonl")
    log({"names, clean": found})
    kept = json.loads((tmp_path / "log.jsonl").read_text())
    counted = {"A": [3, 4, 4], "B": [0, 0, 1], "C": [2, 2, 2], "D": [0, 1, 0]}
    assert kept["true, found, there"] == {"names, clean": counted}
    assert kept["precision"] == kept["recall"] == {"names, clean": 0.7143}
