#!/bin/sh
# Serve the lake in NEUROLAKE_LAKE, made at the first start. Arguments are flags of `neurolake serve`.
set -eu
[ -e "$NEUROLAKE_LAKE/neurolake.toml" ] || neurolake init "$NEUROLAKE_LAKE"
exec neurolake serve "$NEUROLAKE_LAKE" "$@"
