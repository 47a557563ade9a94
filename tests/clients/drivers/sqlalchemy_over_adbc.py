"""sqlalchemy-adbc's dialect for Flight SQL."""

from importlib.metadata import version

import sqlalchemy as sa
from sqlalchemy_trials import try_all
from trial import Server, main


def make(server: Server) -> sa.engine.Engine:
    url = f"adbc+flightsql://{server.host}:{server.port}?tls=false"
    return sa.create_engine(f"{url}&username={server.user}&password={server.password}")


try_all(make)
main(version("sqlalchemy-adbc"))
