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
PASSWORD_FILE = "password"
"""Beside the folder: the password that holds now, where it is another."""
KNOWN_HOSTS = "known_hosts"
"""Beside the folder: the SFTP server's host key."""
NO_LISTING = "no-listing"
"""While a file of this name is in the folder, the SFTP server lists none."""
NO_REMOVAL = "no-removal"
"""While a file of this name is in the folder, the SFTP server removes none."""


@contextmanager
def serving(kind: str, folder: Path, port: int = 0) -> Iterator[int]:
    """A server (sftp | webdav) of that folder, by default on any free port; its port."""
    command = [sys.executable, __file__, kind, str(folder), str(port)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield int(process.stdout.readline())
        finally:
            process.terminate()


def password_of(folder: Path) -> str:
    """The password that a login must have."""
    changed = folder.with_name(PASSWORD_FILE)
    return changed.read_text() if changed.exists() else PASSWORD


def sftp(folder: Path, port: int) -> None:
    """Serve by asyncssh."""
    import asyncssh

    class Door(asyncssh.SSHServer):
        def begin_auth(self, username: str) -> bool:
            return True

        def password_auth_supported(self) -> bool:
            return True

        def validate_password(self, username: str, password: str) -> bool:
            return (username, password) == (USER, password_of(folder))

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
            port,
            server_host_keys=[key],
            sftp_factory=lambda channel: Files(channel, chroot=str(folder).encode()),
        )
        known = f"[127.0.0.1]:{server.get_port()} {key.export_public_key().decode()}"
        folder.with_name(KNOWN_HOSTS).write_text(known)
        print(server.get_port(), flush=True)
        await server.wait_closed()

    asyncio.run(serve())


def webdav(folder: Path, port: int) -> None:
    """Serve by WsgiDAV in cheroot."""
    from cheroot.wsgi import Server
    from wsgidav.wsgidav_app import WsgiDAVApp

    class User(dict[str, str]):
        def get(self, key: str, default: str | None = None) -> str | None:  # type: ignore[override]
            return password_of(folder) if key == "password" else super().get(key, default)

    config = {
        "provider_mapping": {"/": str(folder)},
        "simple_dc": {"user_mapping": {"*": {USER: User(password="")}}},
        "http_authenticator": {"accept_basic": True, "accept_digest": False, "default_to_digest": False},
        "verbose": 0,
        "logging": {"enable": False},
    }
    server = Server(("127.0.0.1", port), WsgiDAVApp(config))
    server.prepare()
    print(server.bind_addr[1], flush=True)
    server.serve()


if __name__ == "__main__":
    {"sftp": sftp, "webdav": webdav}[sys.argv[1]](Path(sys.argv[2]), int(sys.argv[3]))
