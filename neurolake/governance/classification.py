"""What the columns hold: findings of the scanner, what people said about them, tags and descriptions.

A column is opened to governed roles by having been looked at: by a scan, or by a person. What was found in it decides
which policies it meets.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from neurolake import errors
from neurolake.governance import facts
from neurolake.governance.facts import CONFIDENT_MIN, Finding, same_type
from neurolake.governance.objects import Object, word
from neurolake.identifiers import fold
from neurolake.query import OWNER, Principal
from neurolake.sql.text import Name

if TYPE_CHECKING:
    from sqlite3 import Connection

    from neurolake.governance.model import Governance

__all__ = ["CONFIDENT_MIN", "Classification", "Finding"]

STATUSES = ("auto", "confirmed", "rejected")
_WHERE = "table_schema = ? AND table_name = ? AND column_name = ?"


class Classification:
    """The classification of one lake. Every change is durable, audited, and holds for the next statement."""

    def __init__(self, governance: Governance) -> None:
        self._governance = governance

    def record(
        self,
        table: Name,
        columns: Mapping[str, str],
        findings: Iterable[Finding],
        *,
        left_out: Collection[str] = (),
        principal: Principal = OWNER,
        query_id: str = "",
        still: Callable[[], bool] = lambda: True,
    ) -> None:
        """Keep what a scan of these columns has found: they count as scanned from now on.

        What a person confirmed or rejected stays, and a column that was reviewed as holding nothing stays so.

        Args:
            table: the table that was scanned.
            columns: the columns that were looked at, all with the DuckDB type they have: one whose type changes
                later counts as unscanned.
            findings: what was found in them.
            left_out: those of them that held too much to be looked at as a whole: they count as unscanned.
            principal: who had it scanned.
            query_id: the statement that did.
            still: whether the table is still the one that was scanned. Asked while no change of a table can be noted,
                so that whatever replaces it later closes it again.

        Raises:
            Unavailable: it is not.
        """
        found = [one for one in findings if one.entity is not None]
        name, now = table.fold(), time.time()
        with self._governance.change(
            "scan", principal, query_id, table=str(table), columns=len(columns), findings=len(found)
        ) as db:
            if not still():
                raise errors.Unavailable(
                    f"{table} has changed while it was scanned.", code="table_changing", next_step="Scan it again."
                )
            for column, data_type in columns.items():
                key = (*name, fold(column))
                db.execute(f"DELETE FROM findings WHERE {_WHERE} AND status = 'auto'", key)
                if column in left_out:
                    db.execute(f"DELETE FROM scans WHERE {_WHERE} AND status = 'scanned'", key)
                    continue
                db.execute(
                    "INSERT INTO scans VALUES (?, ?, ?, ?, 'scanned', ?) ON CONFLICT DO UPDATE SET at = excluded.at, "
                    "data_type = excluded.data_type, "
                    "status = CASE WHEN data_type = excluded.data_type THEN status ELSE 'scanned' END",
                    (*key, same_type(data_type), now),
                )
            for one in found:
                self._insert(db, name, one)
            self._governance.looked_at(name)

    def _insert(self, db: Connection, name: Name, one: Finding) -> None:
        key = (*name, fold(one.column))
        reviewed = db.execute(f"SELECT status FROM scans WHERE {_WHERE}", key).fetchone()
        said = db.execute(f"SELECT count(*) FROM findings WHERE {_WHERE} AND status = 'confirmed'", key).fetchone()
        if reviewed and reviewed[0] == "confirmed" and not said[0]:
            return  # somebody has reviewed it, and said that it holds nothing
        db.execute(
            "INSERT OR IGNORE INTO findings VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, 'auto')",
            (*key, word(one.entity or "", upper=True), one.confidence, one.evidence, one.share, one.sample_size,
             one.detector),
        )  # fmt: skip

    def findings(self, table: Name) -> tuple[Finding, ...]:
        """What was found in a table's columns, whatever its status."""
        known = facts.read(self._governance.store, table.fold())
        return tuple(one for rows in known.findings.values() for one in rows)

    def status(self, table: Name, column: str, data_type: str | None = None) -> str:
        """unscanned, scanned or confirmed; with its type, a column whose type has changed since is unscanned."""
        return facts.read(self._governance.store, table.fold()).status(column, data_type)

    def set_pii(
        self,
        columns: Mapping[Object, str],
        entity: str | None,
        status: str,
        principal: Principal = OWNER,
        query_id: str = "",
    ) -> None:
        """Say what columns hold.

        Args:
            columns: the columns, with the DuckDB types they have now.
            entity: what they hold; None with `confirmed`: nothing.
            status: confirmed: they hold it. rejected: they do not. auto: the scanner decides again.
            principal: who says so.
            query_id: the statement in which.

        Raises:
            InvalidRequest: status and entity do not go together.
        """
        entity = None if entity is None else word(entity, upper=True)
        if status not in STATUSES or (entity is None and status == "rejected"):
            raise errors.InvalidRequest(
                "set_pii takes an entity and a status of auto, confirmed or rejected.",
                code="argument",
                next_step="With the entity null, confirmed says that the column holds none.",
            )
        shown = [str(column) for column in columns]
        with self._governance.change("set_pii", principal, query_id, columns=shown, entity=entity, status=status) as db:
            for column, data_type in columns.items():
                self._governance.looked_at(column.name)
                key = (*column.name, column.column)
                if entity is None:
                    change = "DELETE FROM findings WHERE " if status == "auto" else _REJECT
                    db.execute(change + _WHERE, key)
                elif status == "auto":
                    db.execute(f"DELETE FROM findings WHERE {_WHERE} AND entity = ?", (*key, entity))
                else:
                    db.execute(
                        "INSERT INTO findings VALUES (?, ?, ?, ?, 1, 'review', 1, 0, 'review', ?) "
                        "ON CONFLICT DO UPDATE SET status = excluded.status",
                        (*key, entity, status),
                    )
                if status == "auto":
                    db.execute(f"DELETE FROM scans WHERE {_WHERE}", key)
                elif status == "confirmed":
                    _confirm(db, key, data_type)

    def declassify(
        self, columns: Mapping[Object, str], reason: str, principal: Principal = OWNER, query_id: str = ""
    ) -> None:
        """Say, with a reason that the audit log keeps, that columns hold nothing personal."""
        if not reason.strip():
            raise errors.InvalidRequest("declassify needs a reason.", code="argument")
        shown = [str(column) for column in columns]
        with self._governance.change("declassify", principal, query_id, columns=shown, reason=reason) as db:
            for column, data_type in columns.items():
                self._governance.looked_at(column.name)
                key = (*column.name, column.column)
                db.execute(_REJECT + _WHERE, key)
                _confirm(db, key, data_type)

    def tag(self, on: Object, tags: Sequence[str], principal: Principal = OWNER, query_id: str = "") -> None:
        """Put tags on a schema, a table or a column."""
        words = [word(tag) for tag in tags]
        with self._governance.change("tag", principal, query_id, object=str(on), tags=words) as db:
            db.executemany(
                "INSERT OR IGNORE INTO tags VALUES (?, ?, ?, ?, ?, ?)",
                [(on.schema, on.table, on.column, one, principal.name, time.time()) for one in words],
            )

    def untag(self, on: Object, tag: str, principal: Principal = OWNER, query_id: str = "") -> None:
        """Take a tag away.

        Raises:
            NotFound: it does not have that tag.
        """
        key = (on.schema, on.table, on.column, word(tag))
        with self._governance.change("untag", principal, query_id, object=str(on), tag=key[-1]) as db:
            if not db.execute(f"DELETE FROM tags WHERE {_WHERE} AND tag = ?", key).rowcount:
                raise errors.NotFound(
                    f"{on} does not have the tag {tag}.", next_step="SELECT * FROM neurolake.tags lists them."
                )

    def set_description(self, on: Object, text: str, principal: Principal = OWNER, query_id: str = "") -> None:
        """Describe a schema, a table or a column; an empty text removes what was there."""
        key = (on.schema, on.table, on.column)
        with self._governance.change("set_description", principal, query_id, object=str(on)) as db:
            db.execute(f"DELETE FROM descriptions WHERE {_WHERE}", key)
            if text:
                db.execute("INSERT INTO descriptions VALUES (?, ?, ?, ?)", (*key, text))


_REJECT = "UPDATE findings SET status = 'rejected' WHERE "


def _confirm(db: Connection, key: tuple[str, ...], data_type: str) -> None:
    db.execute(
        "INSERT OR REPLACE INTO scans VALUES (?, ?, ?, ?, 'confirmed', ?)", (*key, same_type(data_type), time.time())
    )
