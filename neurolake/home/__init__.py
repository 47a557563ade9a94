"""The home folder of a lake: what is in it, who has it open, and how another process finds its server."""

from neurolake.home.files import fsync_dir, home_problem, write_atomic
from neurolake.home.folder import Home, read_server_file
from neurolake.home.format import FORMAT_VERSION, upgrade
from neurolake.home.server_file import ServerInfo

__all__ = [
    "FORMAT_VERSION",
    "Home",
    "ServerInfo",
    "fsync_dir",
    "home_problem",
    "read_server_file",
    "upgrade",
    "write_atomic",
]
