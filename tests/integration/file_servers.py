"""Real file servers on loopback, over a folder of this machine: SFTP and WebDAV, each in a process of its own."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

USER = "keeper"
PASSWORD = "a-test-password"
KNOWN_HOSTS = "known_hosts"
"""Beside the folder: the SFTP server's host key."""
NO_LISTING = "no-listing"
"""While a file of this name is in the folder, the SFTP server lists none."""
NO_REMOVAL = "no-removal"
"""While a file of this name is in the folder, the SFTP server removes none."""


@contextmanager
def serving(kind: str, folder: Path) -> Iterator[int]:
    """A server (sftp | webdav) of that folder; its port."""
    command = [sys.executable, __file__, kind, str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield int(process.stdout.readline())
        finally:
            process.terminate()


def sftp(folder: Path) -> None:
    """Serve by asyncssh."""
    import asyncssh

    class Door(asyncssh.SSHServer):
        def begin_auth(self, username: str) -> bool:
            return True

        def password_auth_supported(self) -> bool:
            return True

        def validate_password(self, username: str, password: str) -> bool:
            return (username, password) == (USER, PASSWORD)

    class Files(asyncssh.SFTPServer):
        def scandir(self, path: bytes) -> AsyncIterator[asyncssh.SFTPName]:
            if (folder / NO_LISTING).exists():
                raise asyncssh.SFTPFailure("not now")
            return super().scandir(path)

        def remove(self, path: bytes) -> None:
            if (folder / NO_REMOVAL).exists():
                raise asyncssh.SFTPPermissionDenied("never")
            super().remove(path)

    async def serve() -> None:
        key = asyncssh.generate_private_key("ssh-ed25519")
        server = await asyncssh.create_server(
            Door,
            "127.0.0.1",
            0,
            server_host_keys=[key],
            sftp_factory=lambda channel: Files(channel, chroot=str(folder).encode()),
        )
        known = f"[127.0.0.1]:{server.get_port()} {key.export_public_key().decode()}"
        folder.with_name(KNOWN_HOSTS).write_text(known)
        print(server.get_port(), flush=True)
        await server.wait_closed()

    asyncio.run(serve())


def webdav(folder: Path) -> None:
    """Serve by WsgiDAV in cheroot."""
    from cheroot.wsgi import Server
    from wsgidav.wsgidav_app import WsgiDAVApp

    config = {
        "provider_mapping": {"/": str(folder)},
        "simple_dc": {"user_mapping": {"*": {USER: {"password": PASSWORD}}}},
        "http_authenticator": {"accept_basic": True, "accept_digest": False, "default_to_digest": False},
        "verbose": 0,
        "logging": {"enable": False},
    }
    server = Server(("127.0.0.1", 0), WsgiDAVApp(config))
    server.prepare()
    print(server.bind_addr[1], flush=True)
    server.serve()


if __name__ == "__main__":
    {"sftp": sftp, "webdav": webdav}[sys.argv[1]](Path(sys.argv[2]))
