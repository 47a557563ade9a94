"""Procedures on the keys of masks."""

from __future__ import annotations

import pyarrow as pa

from neurolake.procedures import Context, procedure

ROTATED = pa.schema([pa.field("version", pa.int64())])


@procedure(ROTATED)
def rotate_mask_key(context: Context) -> pa.Table:
    """Make a new secret behind tokens and shifted dates.

    Tokens made before and after do not match, and no statement shows the old ones again. The old secret stays in the
    metadata file.
    """
    version = context.engine.views.keys.rotate(
        lambda made: context.engine.governance.change(
            "rotate_mask_key", context.principal, context.query_id, version=made
        )
    )
    return pa.table({"version": [version]}, schema=ROTATED)
