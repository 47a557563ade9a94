"""NeuroLake: your Parquet and CSV, queried at DuckDB's speed, in process and over Arrow Flight SQL.

>>> import neurolake
>>> with neurolake.connect(":memory:") as lake:
...     lake.sql("SELECT 6 * 7 AS answer").fetchall()
[(42,)]
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from neurolake import errors

if TYPE_CHECKING:
    from pathlib import Path

    from neurolake.engine import Engine
    from neurolake.lake import Lake
    from neurolake.result import Result

__version__ = "0.1.0"

__all__ = ["Engine", "Lake", "Result", "connect", "errors"]


def connect(
    target: str | Path = "./lake",
    *,
    user: str | None = None,
    password: str | None = None,
    token: str | None = None,
    tls_ca: str | Path | None = None,
    tls_cert: str | Path | None = None,
    tls_key: str | Path | None = None,
    **settings: object,
) -> Lake:
    """Open a lake.

    Args:
        target: a home folder, made if missing; ":memory:" for one that keeps nothing; or the address of a server,
            grpc://host:port or grpc+tls://host:port.
        user, password, token: who you are: a user and their password, or a token alone. For a server always; for a
            folder, which without them is its owner's, to work in the role of one of its users.
        tls_ca: for a server: the certificate authority you trust.
        tls_cert, tls_key: for a server's port for client certificates: yours and its key, PEM files. For a folder they
            are settings like any other.
        settings: for a folder: settings over those of its neurolake.toml, such as `threads=2`.

    Raises:
        HomeProblem: the folder is in use by another process, too new, or damaged.
        LoginFailed: the server, or the folder's lake, does not know these credentials.
    """
    if str(target).startswith(("grpc://", "grpc+tls://", "grpc+tcp://")):
        if settings:
            raise errors.InvalidRequest(
                "Settings belong to the server's home folder.", next_step="Change them in its neurolake.toml."
            )
        from neurolake.remote import RemoteLake

        return RemoteLake.open(
            str(target), user=user, password=password, token=token, tls_ca=tls_ca, tls_cert=tls_cert, tls_key=tls_key
        )
    from neurolake.lake import EmbeddedLake

    files = {"tls_cert": tls_cert, "tls_key": tls_key}
    given = {name: str(path) for name, path in files.items() if path}
    return EmbeddedLake.open(target, user=user, password=password, token=token, **given, **settings)


def __getattr__(name: str) -> Any:
    """Import what is heavy when it is first asked for."""
    if name in ("Lake", "Result", "Engine"):
        from importlib import import_module

        return getattr(import_module(f"neurolake.{name.lower()}"), name)
    raise AttributeError(f"module 'neurolake' has no attribute {name!r}")
