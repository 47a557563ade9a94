"""The labelled corpus is what its hash says, large and hard enough, and knows nothing of the detector."""

from __future__ import annotations

import ast
from collections import Counter
from pathlib import Path

from benchmarks.pii import corpus, heldout, tuning

FOLDER = Path(corpus.__file__).parent


def test_the_held_out_part_is_the_one_that_was_committed_before_tuning() -> None:
    assert corpus.digest(heldout.columns()) == (FOLDER / "heldout.sha256").read_text().strip()


def test_both_parts_are_large_and_hard_enough() -> None:
    for part in (tuning, heldout):
        columns = part.columns()
        entities = Counter(column.entity for column in columns)
        negatives = entities.pop(None)
        assert negatives >= 0.4 * len(columns)
        assert len(entities) >= 60
        assert min(entities.values()) >= 8
    assert len(tuning.columns()) + len(heldout.columns()) >= 1200


def test_the_corpus_imports_nothing_of_the_product() -> None:
    for name in ("ids", "corpus", "tuning", "heldout"):
        tree = ast.parse((FOLDER / f"{name}.py").read_text(encoding="utf-8"))
        imported = {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)} | {
            alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names
        }
        assert not any(module.startswith("neurolake") for module in imported)
