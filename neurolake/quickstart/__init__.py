"""The main job, start to end, on data it makes, without a network: what `neurolake quickstart` does.

A list of steps over one `Demo`. A step says what it does, does it, and leaves what the next ones need.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from neurolake.quickstart import personal, snapshots, steps
from neurolake.quickstart.demo import Demo

__all__ = ["STEPS", "Step", "run"]


class Step(NamedTuple):
    """One thing that is shown. `work` gives back what `--json` reports of it."""

    title: str
    work: Callable[[Demo], dict[str, object]]


STEPS: tuple[Step, ...] = (
    Step("Make a lake", steps.make_lake),
    Step("Make customers (CSV) and orders (Parquet, partitioned by year and month)", steps.make_data),
    Step("Register the files: they are queried where they are", steps.register),
    Step("Serve the lake over Arrow Flight SQL", steps.serve),
    Step("Connect with the stock ADBC driver", steps.connect),
    Step("Ask: which countries buy most? A join of CSV and Parquet", steps.ask_countries),
    Step("Ask: the best three products of each category. A window function", steps.ask_products),
    Step("Ask: how does revenue grow from month to month?", steps.ask_growth),
    Step("Load a result back, as a table of the lake", steps.load_back),
    Step("Find the personal data among the customers", personal.find),
    Step("Mask it for every role but admin", personal.protect),
    Step("Ask the same as the administrator and as an analyst", personal.compare),
    Step("Take a snapshot, prove that it restores, and bring a dropped table back from it", snapshots.back_up),
    Step("Stop the server", steps.stop),
)


def run(folder: Path, say: Callable[[str], None]) -> dict[str, object]:
    """Take every step, in a folder that is empty, not there yet, or left by an earlier quickstart.

    Args:
        folder: where the lake and its data go.
        say: told, line by line, what is done and what came back.

    Returns:
        What was done, for a program to read: the folder, the steps with their results, and how to connect.

    Raises:
        HomeProblem: the folder holds something else, or is in use.
    """
    started = time.perf_counter()
    done = []
    with Demo(folder, say) as demo:
        for number, step in enumerate(STEPS, 1):
            say(f"\n{number}. {step.title}")
            done.append({"step": step.title, **step.work(demo)})
        seconds = round(time.perf_counter() - started, 1)
        say(f"\nDone in {seconds} s.\n\n{demo.how_to_connect()}")
        return {"path": str(demo.home), "seconds": seconds, "steps": done, "user": "admin", **demo.shown_password()}
