"""`python -m benchmarks`: run the cases and print the table; `list` them; `compare` two results."""

from __future__ import annotations

import argparse
import os
import shlex
import shutil
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from benchmarks import compare, report
from benchmarks.bench import Bench
from benchmarks.cases import CASES
from benchmarks.report import Report
from benchmarks.workload import default_folder, program

EXIT_FAILED = 1
"""A case failed, or `compare` found something worse."""

FULL_SCALE = 1
"""For which the targets are meant."""

_SERVE = "serve {home} --port {port} --http-port {http_port}"
_INIT = "init {home}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what the arguments ask for; the exit code."""
    given = _parser().parse_args(arguments)
    if given.verb == "list":
        print("\n".join(f"{name:<14}{(case.__doc__ or '').splitlines()[0]}" for name, case in CASES.items()))
        return 0
    if given.verb == "pii":
        from benchmarks.pii import evaluate

        return evaluate.main(given)
    if given.verb == "compare":
        found = compare.changes(Report.read(given.before), Report.read(given.after))
        print(compare.text(found, given.tolerance))
        return EXIT_FAILED if any(change.verdict(given.tolerance) in ("worse", "missed") for change in found) else 0
    return _run(given)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="Measure the lake against named baselines on TPC-H and print one table. "
        "Without arguments: everything, at scale factor 1.",
        epilog="Exit code 0: all cases ran; 1: one failed. A target that is missed does not change it.",
    )
    parser.add_argument("--quick", action="store_true", help="scale factor 0.05 and few rounds: does it all work?")
    parser.add_argument("--only", nargs="+", metavar="NAME", choices=CASES, help="these cases; see `list`")
    parser.add_argument("--data", type=Path, default=default_folder(), help="where data is kept (default %(default)s)")
    parser.add_argument("--server", metavar="COMMAND", help=f"another Flight SQL server (default: neurolake {_SERVE})")
    parser.add_argument("--rounds", type=int, help="how often each side runs (default 5; quick 2)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the result, for `compare`")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="put the table between a document's markers")
    verbs = parser.add_subparsers(dest="verb", metavar="list | compare | pii")
    verbs.add_parser("list", help="list the cases")
    pii = verbs.add_parser("pii", help="how well personal data is found, on the labelled corpus")
    pii.add_argument("--part", choices=("heldout", "tuning"), default="heldout")
    pii.add_argument("--quick", action="store_true", help="without noise and without the others")
    pii.add_argument("--markdown", type=Path, metavar="FILE", help="put the table between a document's markers")
    comparison = verbs.add_parser("compare", help="compare two results; exit code 1 where something is worse")
    comparison.add_argument("before", type=Path, metavar="A.json")
    comparison.add_argument("after", type=Path, metavar="B.json")
    comparison.add_argument(
        "--tolerance", type=float, default=compare.TOLERANCE, help="relative change that is noise (default %(default)s)"
    )
    return parser


def _run(given: argparse.Namespace) -> int:
    scale, rounds = (0.05, given.rounds or 2) if given.quick else (FULL_SCALE, given.rounds or 5)
    lake = "" if given.server else shlex.quote(program("neurolake"))
    found = Report(report.conditions(scale, rounds))
    given.data.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(dir=given.data, prefix="scratch-"))
    try:
        bench = Bench(
            cache=given.data,
            scale=scale,
            server=given.server or f"{lake} {_SERVE}",
            init=None if given.server else f"{lake} {_INIT}",
            scratch=scratch,
            rounds=rounds,
            queries=200 if given.quick else 1500,
            load_s=1.0 if given.quick else 5.0,
        )
        for name in given.only or CASES:
            _run_case(name, bench, found)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    found.conditions["load_after"] = round(os.getloadavg()[0], 2)
    return _publish(found, given)


def _run_case(name: str, bench: Bench, found: Report) -> None:
    print(f"{name} …", file=sys.stderr, flush=True)
    try:
        figures = CASES[name](bench)
        found.figures += figures if bench.scale == FULL_SCALE else [replace(one, target=None) for one in figures]
    except Exception as error:  # The boundary: a case that fails is a line of the table.
        found.failures[name] = f"{type(error).__name__}: {error}"
        print("\n".join([f"{name} failed: {found.failures[name]}", *getattr(error, "__notes__", ())]), file=sys.stderr)


def _publish(found: Report, given: argparse.Namespace) -> int:
    print(found.text())
    if given.json:
        found.write(given.json)
    if given.markdown:
        report.update_document(given.markdown, found.text())
    return EXIT_FAILED if found.failures else 0


if __name__ == "__main__":
    sys.exit(main())
