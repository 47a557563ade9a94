"""The cases, in the order of the table: one file each."""

from __future__ import annotations

from benchmarks.bench import Case
from benchmarks.cases import (
    backup,
    backup_peers,
    bulk,
    cold_start,
    governance,
    ingest,
    object_store,
    overhead,
    pii,
    short,
    tpch,
)

__all__ = ["CASES"]

CASES: dict[str, Case] = {
    "bulk": bulk.managed,
    "bulk_parquet": bulk.parquet,
    "short": short.single,
    "throughput": short.throughput,
    "lookup_throughput": short.lookup_throughput,
    "lookup": short.lookup,
    "governance": governance.governed,
    "tpch": tpch.through_the_driver,
    "ingest": ingest.lineitem,
    "s3": object_store.cold_and_warm,
    "backup": backup.snapshots,
    "backup_peers": backup_peers.beside,
    "cold_start": cold_start.serve,
    "import": cold_start.import_time,
    "embedded_start": cold_start.embedded,
    "in_process": overhead.in_process,
    "scan_pii": pii.scan,
}
"""By the name that `--only` takes."""
