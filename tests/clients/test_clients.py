"""Other people's clients on a server of ours: each does what it offers, or its failure is named in known.toml."""

from __future__ import annotations

import pytest

from clients.results import Results, unexplained
from clients.running import CLIENTS, Address, try_client

pytestmark = [pytest.mark.clients, pytest.mark.timeout(1200)]


@pytest.mark.parametrize("name", CLIENTS)
def test_a_client_does_what_it_offers(name: str, address: Address, results: Results) -> None:
    found = try_client(CLIENTS[name], address)
    trials = found["results"]
    results.keep("clients", name, {"version": found["version"], "trials": trials})
    failed = {trial: outcome for trial, outcome in trials.items() if outcome != "yes"}
    assert unexplained(name, failed) == {}, found["log"]
