"""Flight SQL's messages on the wire, and the plain values the server works with.

`commands` and `actions` decode what clients send, `results` encodes what they get back, `schemas`, `sql_info` and
`type_info` build the tables that describe the server, `batches` cuts and checks record batches, and `nulls` clears
values that hide under NULLs. Nothing here knows of sessions, users or the engine.
"""
