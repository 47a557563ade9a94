"""How the engine's database is opened, by the settings."""

from __future__ import annotations

from neurolake._duckdb import InstanceOptions
from neurolake.config import Settings
from neurolake.home import Home
from neurolake.sources.storage import Storage


def options(home: Home, settings: Settings, storage: Storage, *, in_memory: bool) -> InstanceOptions:
    """The options of the instance that holds a home's managed tables."""
    return InstanceOptions(
        path=None if in_memory else str(home.database),
        temp_directory=str(home.tmp),
        memory_bytes_max=settings.memory_bytes_max,
        temp_bytes_max=settings.temp_bytes_max,
        threads=settings.threads,
        allowed_locations=(str(home.path), *settings.allowed_locations) if settings.allowed_locations else (),
        on_open=(storage.attach,),
        recover=storage.recover,
    )
