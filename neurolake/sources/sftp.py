"""SFTP by fsspec, to servers whose host key is known: fsspec by itself takes whichever key it meets."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NoReturn

from fsspec.implementations.sftp import SFTPFileSystem
from paramiko import AuthenticationException, BadHostKeyException, MissingHostKeyPolicy, PKey, SSHClient

from neurolake import errors
from neurolake.sources import failures

__all__ = ["KnownSFTP"]


class KnownSFTP(SFTPFileSystem):  # type: ignore[misc]
    """fsspec's SFTP, that sends no login to a server whose key stands in no `known_hosts` file.

    Args:
        host: the server.
        known_hosts: a file of keys beside the user's own `~/.ssh/known_hosts`.
        ssh_kwargs: as fsspec and paramiko take them; `host_key_policy` takes unknown keys all the same.

    Raises:
        SourceFailed: `host_key`, when the key is unknown or another; `source_credentials`, when the login is refused.
    """

    def __init__(self, host: str, known_hosts: str | None = None, **ssh_kwargs: Any) -> None:
        self._known_hosts = known_hosts
        super().__init__(host, **{"host_key_policy": _Refuse(), **ssh_kwargs})

    def _connect(self) -> None:
        self.client = SSHClient()
        self.client.load_system_host_keys()
        if self._known_hosts is not None:
            self._add(Path(self._known_hosts).expanduser())
        self.client.set_missing_host_key_policy(self.host_key_policy)
        try:
            self.client.connect(self.host, **self.ssh_kwargs)
        except BadHostKeyException as problem:
            _refuse(self.client, problem.hostname, problem.key, "is not the one that is known")
        except AuthenticationException:
            self.client.close()
            raise failures.bad_credentials(
                f"sftp://{self.host}", "the server does not take them", failures.CHECK_LOGIN
            ) from None
        self.ftp = self.client.open_sftp()

    def _add(self, path: Path) -> None:
        try:
            self.client.load_system_host_keys(str(path))
        except OSError as problem:
            raise errors.InvalidRequest(
                f"The known_hosts file {path} cannot be read: {problem.strerror}.",
                code="storage_invalid",
                next_step="Name a file in the format of OpenSSH's known_hosts.",
            ) from None


class _Refuse(MissingHostKeyPolicy):  # type: ignore[misc]
    def missing_host_key(self, client: SSHClient, hostname: str, key: PKey) -> None:
        _refuse(client, hostname, key, "is not known")


def _refuse(client: SSHClient, hostname: str, key: PKey, what: str) -> NoReturn:
    client.close()
    raise errors.SourceFailed(
        f"The host key of {hostname} {what}: it is {key.get_name()} {key.fingerprint}.",
        code="host_key",
        next_step="Compare it with the server's own, then add it to ~/.ssh/known_hosts or the file known_hosts names.",
    ) from None
