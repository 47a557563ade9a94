"""TPC-DS as Parquet files and its 99 queries as JSON: `make_tpcds.py folder scale`."""

import json
import sys
from pathlib import Path

import duckdb
import duckdb_extension_tpcds

folder, scale = Path(sys.argv[1]), float(sys.argv[2])
connection = duckdb.connect(config={"allow_unsigned_extensions": True})
found = next(Path(duckdb_extension_tpcds.__file__).parent.rglob("*.duckdb_extension"))
connection.execute(f"LOAD '{found}'")
connection.execute(f"CALL dsdgen(sf = {scale})")
for (name,) in connection.execute("SELECT table_name FROM duckdb_tables()").fetchall():
    connection.execute(f"COPY {name} TO '{folder / f'{name}.parquet'}' (FORMAT parquet)")
texts = connection.execute("SELECT query_nr, query FROM tpcds_queries()").fetchall()
(folder / "queries.json").write_text(json.dumps({f"q{number:02}": text for number, text in texts}))
