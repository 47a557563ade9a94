"""The steps of quickstart, in the order they are taken."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from neurolake import errors
from neurolake.adbc import translated
from neurolake.config import environment
from neurolake.quickstart.demo import MARK, Demo

if TYPE_CHECKING:
    from neurolake.home import ServerInfo

START_TIMEOUT_S = 30.0
STOP_TIMEOUT_S = 15.0
POLL_S = 0.02
FLAGS = ("--host", "127.0.0.1", "--port", "0", "--http-port", "0")
"""Any free port, so that quickstart never meets another server."""

COUNTRIES = """\
SELECT c.country, count(*) AS orders, sum(o.quantity * o.unit_price) AS revenue
FROM orders o JOIN customers c USING (customer_id)
WHERE o.status = 'delivered'
GROUP BY c.country ORDER BY revenue DESC"""

PRODUCTS = """\
SELECT category, product, revenue, round(100 * revenue / sum(revenue) OVER (PARTITION BY category), 1) AS percent
FROM (SELECT category, product, sum(quantity * unit_price) AS revenue FROM orders GROUP BY ALL)
QUALIFY row_number() OVER (PARTITION BY category ORDER BY revenue DESC) <= 3
ORDER BY category, revenue DESC"""

GROWTH = """\
SELECT year, month, sum(quantity * unit_price) AS revenue,
       round(100.0 * revenue / lag(revenue) OVER (ORDER BY year, month) - 100, 1) AS growth_percent
FROM orders GROUP BY year, month ORDER BY year, month"""


def make_lake(demo: Demo) -> dict[str, object]:
    """Make the home folder, or take the one an earlier run left."""
    import neurolake

    again = demo.is_again
    demo.lake = neurolake.connect(demo.home)
    demo.open.callback(demo.lake.close)
    password = demo.choose_password()
    if demo.lake.sql("SELECT 1 FROM neurolake.users WHERE user_name = 'admin'").fetchall():
        demo.lake.call("set_password", "admin", password)
    demo.say(f"{demo.home}{', made earlier; its data is made anew' if again else ''}")
    return {"path": str(demo.home), "again": again}


def make_data(demo: Demo) -> dict[str, object]:
    """Write the files, the same ones every time."""
    from neurolake.quickstart import data

    demo.data.mkdir(exist_ok=True)
    (demo.data / MARK).touch()
    customers = data.write_customers(demo.data / "customers.csv")
    orders = data.write_orders(demo.data / "orders")
    demo.say(f"{customers:,} customers in data/customers.csv, with names, e-mail addresses, phone numbers, IBANs")
    demo.say(f"{orders:,} orders in data/orders/year=…/month=…/*.parquet")
    return {"customers": customers, "orders": orders}


def register(demo: Demo) -> dict[str, object]:
    """Give both a name in the lake."""
    assert demo.lake is not None
    for name, location in (("customers", demo.data / "customers.csv"), ("orders", demo.data / "orders")):
        if name in demo.lake.tables():
            demo.lake.unregister(name)
        row = demo.lake.register(name, location).to_pylist()[0]
        demo.say(f'lake.register("{name}", "{demo.name}/data/{location.name}")   → {row["columns"]} columns')
    names = demo.lake.tables()
    demo.lake.close()
    return {"tables": names}


def serve(demo: Demo) -> dict[str, object]:
    """Start `neurolake serve` on free ports, as a process of its own."""
    log = demo.home / "run" / "quickstart.log"
    with log.open("wb") as output:
        server = subprocess.Popen(  # noqa: S603  (our own program)
            [sys.executable, "-m", "neurolake", "serve", str(demo.home), *FLAGS],
            env={**environment(), "NEUROLAKE_ADMIN_PASSWORD": demo.password},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )
    demo.server = server
    demo.open.callback(_end, server)
    info = _wait(demo.home, server, log)
    demo.say(f"neurolake serve {demo.name}   → {info.uri}, health on port {info.http_port}")
    demo.uri = info.uri
    return {"uri": info.uri, "http_port": info.http_port}


def _wait(home: Path, server: subprocess.Popen[bytes], log: Path) -> ServerInfo:
    from neurolake.home import read_server_file

    until = time.monotonic() + START_TIMEOUT_S
    while server.poll() is None and time.monotonic() < until:
        if (info := read_server_file(home)) is not None:
            return info
        time.sleep(POLL_S)
    said = log.read_text(errors="replace").strip()
    raise errors.Unavailable(f"The server did not start. It said: {said or 'nothing'}", code="server_not_started")


def _end(server: subprocess.Popen[bytes]) -> int:
    """Ask the server to stop, and insist if it does not; its exit code."""
    server.terminate()
    try:
        return server.wait(STOP_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        server.kill()
        return server.wait()


def connect(demo: Demo) -> dict[str, object]:
    """Log in as the administrator, with the driver every Python tool uses."""
    import adbc_driver_flightsql.dbapi as flightsql

    login = {"username": "admin", "password": demo.password}
    with translated(demo.uri):
        demo.connection = flightsql.connect(demo.uri, db_kwargs=login, autocommit=True)
    demo.open.callback(demo.connection.close)
    demo.say(f'adbc_driver_flightsql.dbapi.connect("{demo.uri}", db_kwargs={{"username": "admin", …}})')
    info = demo.connection.adbc_get_info()
    demo.say(f"connected to {info['vendor_name']} {info['vendor_version']}")
    return {"vendor": info["vendor_name"]}


def ask_countries(demo: Demo) -> dict[str, object]:
    """A join of the two sources."""
    return {"rows": demo.ask(COUNTRIES).to_pylist()}


def ask_products(demo: Demo) -> dict[str, object]:
    """A ranking within groups."""
    return {"rows": demo.ask(PRODUCTS).to_pylist()}


def ask_growth(demo: Demo) -> dict[str, object]:
    """A running comparison; its result is what is loaded back."""
    table = demo.ask(GROWTH)
    demo.result = table
    return {"rows": table.num_rows}


def load_back(demo: Demo) -> dict[str, object]:
    """Bulk ingest, then a look at the table."""
    demo.say('cursor.adbc_ingest("revenue_by_month", result, mode="replace")')
    with translated(demo.uri), demo.connection.cursor() as cursor:
        rows = cursor.adbc_ingest("revenue_by_month", demo.result, mode="replace")
    demo.say(f"{rows} rows")
    best = demo.ask("SELECT year, month, revenue FROM revenue_by_month ORDER BY revenue DESC LIMIT 3")
    return {"table": "revenue_by_month", "rows": rows, "best": best.to_pylist()}


def stop(demo: Demo) -> dict[str, object]:
    """Close the connection and end the server as SIGTERM does.

    Raises:
        InternalProblem: it did not end as it should.
    """
    assert demo.server is not None
    demo.connection.close()
    code = _end(demo.server)
    if code != 0:
        raise errors.InternalProblem(f"The server ended with exit code {code}.", code="server_not_stopped")
    demo.say(f"SIGTERM: it lets statements end, closes the lake, and leaves with exit code {code}")
    return {"exit_code": code}
