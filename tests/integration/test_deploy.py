"""The files in deploy/ start a real server, and give it the time it asks for."""

from __future__ import annotations

import re
import signal
import subprocess
import time
from pathlib import Path

from pages import ROOT, clean_environment, free_port, is_ready

from neurolake.config import Settings

DEPLOY = ROOT / "deploy"


def test_the_containers_entry_point_makes_a_lake_once_and_serves_it(tmp_path: Path) -> None:
    port, http_port, lake = free_port(), free_port(), tmp_path / "lake"
    environment = {
        **clean_environment(tmp_path),
        "NEUROLAKE_LAKE": str(lake),
        "NEUROLAKE_PORT": str(port),
        "NEUROLAKE_HTTP_PORT": str(http_port),
        "NEUROLAKE_ADMIN_PASSWORD": "only-for-this-test",
    }
    written = []
    for _ in range(2):
        server = subprocess.Popen([DEPLOY / "serve.sh", "--threads", "2"], env=environment, cwd=tmp_path)
        try:
            until = time.monotonic() + 60
            while not is_ready(http_port):
                assert server.poll() is None and time.monotonic() < until
                time.sleep(0.05)
            written.append((lake / "neurolake.toml").stat().st_mtime_ns)
        finally:
            server.send_signal(signal.SIGTERM)
        assert server.wait(30) == 0
    assert written[0] == written[1]


def test_whoever_stops_the_server_waits_longer_than_its_grace_time() -> None:
    waits = {
        "neurolake.service": r"TimeoutStopSec=(\d+)",
        "compose.yaml": r"stop_grace_period: (\d+)s",
        "kubernetes/neurolake.yaml": r"terminationGracePeriodSeconds: (\d+)",
    }
    for name, pattern in waits.items():
        found = re.search(pattern, (DEPLOY / name).read_text(encoding="utf-8"))
        assert found is not None and int(found[1]) > Settings().shutdown_grace_s, name
