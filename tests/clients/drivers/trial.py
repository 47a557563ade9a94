"""How a driver tries a client: one function for each thing the client can do, and a line of JSON that says how it went.

A driver is run with the client's own Python, as `driver.py host port user password`. What a client does not offer has
no function. Only the standard library is used here, as there may be nothing else.
"""

from __future__ import annotations

import json
import sys
import traceback
from collections.abc import Callable
from typing import Any, NamedTuple


class Server(NamedTuple):
    """Where to connect."""

    host: str
    port: int
    user: str
    password: str

    @property
    def uri(self) -> str:
        """The address as ADBC's drivers take it."""
        return f"grpc://{self.host}:{self.port}"


TRIALS: dict[str, Callable[[Server], None]] = {}


def trial(function: Callable[[Server], None]) -> Callable[[Server], None]:
    """Register a function under its name, which is the capability's."""
    TRIALS[function.__name__] = function
    return function


def same(found: Any, wanted: Any) -> None:
    """Say what differs."""
    assert found == wanted, f"{found!r} instead of {wanted!r}"


def refused(work: Callable[[], Any], code: str) -> None:
    """What must fail, with our code in what the client's user reads."""
    try:
        work()
    except Exception as error:
        assert f"[{code}" in str(error), f"no code in: {error}"
        assert "Traceback" not in str(error)
        return
    raise AssertionError("it did not fail")


def main(version: str) -> None:
    """Try everything; print what came of it."""
    host, port, user, password = sys.argv[1:]
    server = Server(host, int(port), user, password)
    results = {}
    for name, function in TRIALS.items():
        try:
            function(server)
            results[name] = "yes"
        except Exception as error:
            print(traceback.format_exc(), file=sys.stderr)
            results[name] = " ".join("".join(traceback.format_exception_only(error)).split())[:300]
    print(json.dumps({"version": version, "results": results}))
