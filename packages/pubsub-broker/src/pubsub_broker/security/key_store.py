"""The folder of a secure broker: its keys, its enrolled clients and its policy.

::

    DIR/broker.keys     the broker's key pair (secret)
    DIR/clients.toml    the enrolled clients (`enrollment`)
    DIR/policy.toml     their permissions (`policy`); may be missing
    DIR/NAME.keys       keys made by `enroll NAME`, to be moved to the client (secret)
"""

from __future__ import annotations

import contextlib
import datetime
import fcntl
import hashlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from pubsub_broker.security import enrollment, policy
from pubsub_broker.security.enrollment import EnrolledKey
from pubsub_broker.security.folder_permissions import check_file_owner, check_folder
from pubsub_broker.security.policy import Policy
from pubsub_common.defaults import MAX_CLIENT_LIST_BYTES
from pubsub_common.errors import ConfigError, PubSubError
from pubsub_common.files import read_file
from pubsub_common.security.file_owner import give_to_folder_owner
from pubsub_common.security.keys import (
    ClientKeys,
    KeyPair,
    client_file_text,
    new_key_pair,
    pair_in,
    parse_toml,
    read_secret,
    write_secret,
)

_BROKER: Final = "broker.keys"
_CLIENTS: Final = "clients.toml"
_POLICY: Final = "policy.toml"
_LOCK: Final = ".lock"
_MADE_BY: Final = "pubsub-broker keygen {0} makes them"


class KeyStore:
    """Reads and changes the folder of a secure broker, also from several processes at a
    time."""

    def __init__(self, directory: str | Path) -> None:
        self.directory = Path(directory)

    def create(self) -> None:
        """Make the folder and the broker's keys.

        Raises:
            ConfigError: other users may write to the folder.
            PubSubError: there are keys already, or they cannot be written.
        """
        new = not _there(self.directory)
        try:
            self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            if new:
                with _opened(self.directory, os.O_DIRECTORY) as descriptor:
                    give_to_folder_owner(descriptor, self.directory.parent)
        except OSError as error:
            raise PubSubError(
                f"cannot make the folder {self.directory}: {error.strerror}"
            ) from None
        check_folder(self.directory)
        pair = new_key_pair()
        write_secret(
            self.directory / _BROKER,
            "# The keys of a pubsub broker. With this file, any program can act as "
            "that broker.\n"
            f'public = "{pair.public}"\nsecret = "{pair.secret}"\n',
        )
        with self._locked():
            if not (self.directory / _CLIENTS).exists():
                self._write([])

    def pair(self) -> KeyPair:
        """The broker's keys.

        Raises:
            ConfigError: they are missing, or other users can read them or write to the
                folder.
        """
        path = self.directory / _BROKER
        if self.directory.is_file():
            raise ConfigError(f"{self.directory} is a file, and not a folder of keys")
        if not _there(path):
            made_by = _MADE_BY.format(self.directory)
            raise ConfigError(f"no broker's keys in {self.directory}; {made_by}")
        check_folder(self.directory)
        return pair_in(read_secret(path), path)

    def own_keys(self) -> ClientKeys:
        """The broker's keys, for a client that requests its status.

        Raises:
            ConfigError: like `pair`.
        """
        pair = self.pair()
        return ClientKeys("broker", pair, pair.public, str(self.directory / _BROKER))

    def clients(self) -> dict[str, EnrolledKey]:
        """The enrolled clients, by name.

        Raises:
            ConfigError: the list cannot be read.
        """
        path = self.directory / _CLIENTS
        # The list has no secrets, but it decides which clients may connect.
        document = read_secret(path, MAX_CLIENT_LIST_BYTES, public=True)
        return enrollment.parse(document, str(path))

    def policy(self) -> Policy | None:
        """The policy; None without one.

        Raises:
            ConfigError: it cannot be read, or is invalid.
        """
        path = self.directory / _POLICY

        def check(found: os.stat_result) -> None:
            if found.st_mode & stat.S_IWOTH:
                raise ConfigError(f"other users can change {path}: chmod go-w {path}")
            check_file_owner(path, found)

        try:
            data = read_file(path, check=check)
        except FileNotFoundError:
            if path.is_symlink():
                raise ConfigError(f"cannot read {path}: it leads nowhere") from None
            return None
        except OSError as error:
            raise ConfigError(f"cannot read {path}: {error.strerror}") from None
        return policy.parse(parse_toml(data, path, public=True), str(path))

    def stamp(self) -> tuple[object, ...]:
        """A value that changes with the clients or the policy."""
        found: list[object] = []
        for name in (_CLIENTS, _POLICY):
            with contextlib.suppress(OSError):
                state = (self.directory / name).stat()
                found += [name, state.st_ctime_ns, state.st_ino, state.st_size]
                found += [state.st_mode, state.st_uid]
        return tuple(found)

    def digest(self, public: str) -> str:
        """A digest of the clients, the policy and the broker's ``public`` key."""
        found = hashlib.sha256(public.encode())
        for name in (_CLIENTS, _POLICY):
            data = b""
            with contextlib.suppress(OSError, ConfigError):
                data = read_file(self.directory / name, MAX_CLIENT_LIST_BYTES)
            found.update(hashlib.sha256(data).digest())
        return found.hexdigest()

    def enroll(
        self,
        name: str,
        *,
        public: str | None = None,
        days: float | None = None,
        now: datetime.datetime,
    ) -> Path | None:
        """Enroll a client, for ``days`` or without an end. Without its ``public`` key,
        a key pair is made for it; returns the file with that pair.

        Raises:
            ConfigError: the name is invalid, or the key is the broker's.
            PubSubError: a client with this name or key exists, or the files cannot be
                written.
        """
        enrollment.validate_name(name)
        broker = self.pair()
        if public == broker.public:
            raise ConfigError("this is the broker's own key: give that of the client")
        with self._locked():
            clients = self.clients()
            there = clients.get(name)
            if there is not None and there.state(now) == "ok":
                raise PubSubError(
                    f"{name} is enrolled already; pubsub-broker revoke {name} first"
                )
            path = None
            if public is None:
                pair = new_key_pair()
                public = pair.public
                path = self.directory / f"{name}.keys"
                keys = ClientKeys(name, pair, broker.public)
                write_secret(path, client_file_text(keys), replace=there is not None)
            for other in clients.values():
                if other.public == public and other.name != name:
                    raise PubSubError(f"{other.name} is enrolled with this key already")
            expires = None if days is None else now + datetime.timedelta(days=days)
            clients[name] = EnrolledKey(name, public, now, expires)
            try:
                self._write(list(clients.values()))
            except PubSubError:
                if path is not None:  # it would block the next attempt
                    path.unlink(missing_ok=True)
                raise
        return path

    def revoke(self, name: str, *, now: datetime.datetime) -> bool:
        """Revoke a client. Returns whether it was not revoked before.

        Raises:
            PubSubError: no client of this name is enrolled, or the list cannot be
                written.
        """
        check_folder(self.directory)
        with self._locked():
            clients = self.clients()
            client = clients.get(name)
            if client is None:
                raise PubSubError(f"no client named {name} is enrolled")
            if client.revoked is not None:
                return False
            clients[name] = EnrolledKey(
                name, client.public, client.enrolled, client.expires, now
            )
            self._write(list(clients.values()))
            return True

    def _write(self, clients: list[EnrolledKey]) -> None:
        path = self.directory / _CLIENTS
        write_secret(path, enrollment.render(clients), replace=True)

    @contextlib.contextmanager
    def _lock_file(self, path: Path) -> Iterator[int]:
        new = os.O_CREAT | os.O_EXCL | os.O_RDWR
        with contextlib.suppress(FileExistsError), _opened(path, new) as descriptor:
            give_to_folder_owner(descriptor, self.directory)
        with _opened(path, os.O_RDWR) as descriptor:
            yield descriptor

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        path = self.directory / _LOCK
        try:
            with self._lock_file(path) as descriptor:
                fcntl.flock(descriptor, fcntl.LOCK_EX)
                yield
        except OSError as error:
            raise PubSubError(f"cannot write {path}: {error.strerror}") from None


@contextlib.contextmanager
def _opened(path: Path, flags: int) -> Iterator[int]:
    """A descriptor of the file itself, never of a link's target: root may do this in
    another user's folder."""
    descriptor = os.open(path, flags | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _there(path: Path) -> bool:
    """Raises:
    ConfigError: the folder cannot be read.
    """
    try:
        return path.exists()
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}") from None
