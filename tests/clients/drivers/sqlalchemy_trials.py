"""What every SQLAlchemy dialect is tried with; a driver gives the URL."""

from collections.abc import Callable

import sqlalchemy as sa
from trial import Server, refused, same, trial


def try_all(make: Callable[[Server], sa.engine.Engine]) -> None:
    """Register the trials of a dialect.

    Args:
        make: an engine of the dialect for a server.
    """

    @trial
    def query(server):
        with make(server).connect() as connection:
            same(connection.execute(sa.text("SELECT 1 AS a, 'é' AS b")).fetchall(), [(1, "é")])

    @trial
    def parameters(server):
        table = sa.table("p", sa.column("a", sa.Integer), sa.column("b", sa.String))
        with make(server).begin() as connection:
            connection.execute(sa.text("CREATE OR REPLACE TABLE p (a INTEGER, b VARCHAR)"))
            connection.execute(sa.insert(table), {"a": 1, "b": "x"})
            found = connection.execute(sa.select(table).where(table.c.a == 1, table.c.b == "x")).fetchall()
            same([tuple(row) for row in found], [(1, "x")])

    @trial
    def write(server):
        metadata = sa.MetaData()
        table = sa.Table("w", metadata, sa.Column("a", sa.Integer), sa.Column("b", sa.String(20)))
        engine = make(server)
        metadata.drop_all(engine)
        metadata.create_all(engine)
        with engine.begin() as connection:
            connection.execute(sa.insert(table), [{"a": 1, "b": "x"}, {"a": 2, "b": "y"}])
            connection.execute(sa.update(table).where(table.c.a == 1).values(b="z"))
            connection.execute(sa.delete(table).where(table.c.a == 2))
        with engine.connect() as connection:
            same([tuple(row) for row in connection.execute(sa.select(table))], [(1, "z")])

    @trial
    def transactions(server):
        table = sa.table("st", sa.column("a", sa.Integer))
        engine = make(server)
        with engine.begin() as connection:
            connection.execute(sa.text("CREATE OR REPLACE TABLE st (a INTEGER)"))
        try:
            with engine.begin() as connection:
                connection.execute(sa.insert(table), {"a": 1})
                raise ZeroDivisionError
        except ZeroDivisionError:
            pass
        with engine.connect() as connection:
            same(connection.execute(sa.select(sa.func.count()).select_from(table)).scalar(), 0)

    @trial
    def catalog(server):
        engine = make(server)
        with engine.begin() as connection:
            connection.execute(sa.text("CREATE OR REPLACE TABLE sc (a INTEGER NOT NULL, b VARCHAR)"))
        inspector = sa.inspect(engine)
        assert "sc" in inspector.get_table_names(schema="main")
        same([column["name"] for column in inspector.get_columns("sc", schema="main")], ["a", "b"])
        assert "main" in inspector.get_schema_names()

    @trial
    def large(server):
        with make(server).connect() as connection:
            found = connection.execute(sa.text("SELECT i FROM range(100000) t(i)"))
            same(sum(row[0] for row in found), 4999950000)

    @trial
    def empty(server):
        with make(server).connect() as connection:
            found = connection.execute(sa.text("SELECT 1 AS a WHERE false"))
            same((list(found.keys()), found.fetchall()), (["a"], []))

    @trial
    def session(server):
        with make(server).connect() as connection:
            connection.execute(sa.text("CREATE TEMP TABLE mine AS SELECT 7 AS a")).close()
            same(connection.execute(sa.text("SELECT a FROM mine")).scalar(), 7)

    @trial
    def errors(server):
        def work():
            with make(server).connect() as connection:
                connection.execute(sa.text("SELECT * FROM nowhere")).fetchall()

        refused(work, "not_found")
