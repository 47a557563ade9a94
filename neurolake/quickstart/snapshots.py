"""The last thing quickstart shows: a snapshot, the proof that it restores, and a table brought back from it."""

from __future__ import annotations

from neurolake import errors
from neurolake.adbc import translated
from neurolake.quickstart.demo import Demo

VERIFY = "CALL neurolake.verify_snapshot('{}', full => true)"
DROP = "DROP TABLE revenue_by_month"
RESTORE = "CALL neurolake.restore_snapshot('{}', tables => ['revenue_by_month'])"


def back_up(demo: Demo) -> dict[str, object]:
    """Take a snapshot, verify it in full, drop a table, and restore it.

    Raises:
        InternalProblem: the snapshot is not whole.
    """
    (taken,) = demo.ask("CALL neurolake.create_snapshot()").to_pylist()
    snapshot = taken["snapshot_id"]
    states = set(demo.ask(VERIFY.format(snapshot))["state"].to_pylist())
    if states != {"whole"}:
        raise errors.InternalProblem(f"The snapshot {snapshot} is not whole.", code="snapshot_not_whole")
    demo.say(DROP)
    with translated(demo.uri), demo.connection.cursor() as cursor:
        cursor.execute(DROP)
        cursor.fetchall()
    demo.ask(RESTORE.format(snapshot))
    rows = demo.ask("SELECT count(*) AS months FROM revenue_by_month")["months"][0].as_py()
    return {"snapshot_id": snapshot, "verified": True, "restored": "revenue_by_month", "rows": rows}
