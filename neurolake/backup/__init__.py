"""Snapshots: plain Parquet and a manifest, written once, proven to restore."""
