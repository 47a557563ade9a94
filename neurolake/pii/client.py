"""`lake.pii`: the procedures on personal data as methods, the same on an embedded and a remote lake."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa

    from neurolake.lake import Lake

__all__ = ["Pii"]


class Pii:
    """Find personal data, see what was found, and mask it.

    >>> import neurolake
    >>> with neurolake.connect(":memory:") as lake:
    ...     rows = lake.load("people", {"mail": [f"a{i}@example.com" for i in range(20)]})
    ...     lake.pii.scan("people")["entity"].to_pylist()
    ['EMAIL_ADDRESS']
    """

    def __init__(self, lake: Lake) -> None:
        self._lake = lake

    def scan(self, table: str | None = None, *, full: bool = False, only_new: bool = False) -> pa.Table:
        """Scan a table, or every table; its findings, one a row.

        Args:
            table: which; None scans the whole lake.
            full: read every row of text columns too.
            only_new: of a source scanned before, look only at files that have come since.
        """
        return self._lake.call("scan_pii", table_name=table, full=full, only_new=only_new)

    def findings(self, table: str | None = None) -> pa.Table:
        """What scans have found and people have said."""
        return self._lake.call("pii_findings", table_name=table)

    def protect(self, table: str, *, apply: bool = False) -> pa.Table:
        """The policies proposed for a table; with `apply` they hold from now on, for every role but admin.

        Raises:
            InvalidRequest: `not_scanned`: nobody has looked at the table.
        """
        return self._lake.call("propose_policies", table, apply=apply)
