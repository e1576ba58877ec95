"""Key files of clients and broker: reads, writes and checks them.

A pair of CURVE keys is written in Z85, 40 characters each. A client's file is TOML::

    name = "alice"
    public = "..."
    secret = "..."
    broker = "..."      # the broker's public key

With the secret key a program can act as this client, so files must be readable for their
owner only; others are rejected.
"""

from __future__ import annotations

import dataclasses
import os
import re
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import zmq

from pubsub_common.defaults import KEYS_PIPE_TIMEOUT_S
from pubsub_common.errors import ConfigError, PubSubError
from pubsub_common.files import read_file
from pubsub_common.security.file_owner import give_to_folder_owner
from pubsub_common.security.z85 import KEY_LENGTH, is_key
from pubsub_common.text import bounded_toml

_MAX_FILE_BYTES: Final = 65_536
_ACCESSIBLE_BY_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO
_WRITABLE_BY_OTHERS: Final = stat.S_IWGRP | stat.S_IWOTH
_PLACE: Final = re.compile(r"at (line \d+, column \d+|end of document)")


@dataclasses.dataclass(frozen=True, slots=True)
class KeyPair:
    """A CURVE key pair in Z85. The secret half is not shown by `repr`."""

    public: str
    secret: str = dataclasses.field(repr=False)


@dataclasses.dataclass(frozen=True, slots=True)
class ClientKeys:
    """The keys of a client: its name, its key pair, and the broker's public key.
    ``path`` is their file, for messages."""

    name: str
    pair: KeyPair
    broker: str
    path: str = ""


def new_key_pair() -> KeyPair:
    """A new key pair.

    Raises:
        ConfigError: this libzmq has no CURVE.
    """
    if not zmq.has("curve"):
        raise ConfigError(
            "this libzmq was built without CURVE: install pyzmq from a wheel"
        )
    public, secret = zmq.curve_keypair()
    return KeyPair(public.decode(), secret.decode())


def load_client_keys(path: str | Path) -> ClientKeys:
    """The keys in a client's file, or from a pipe, for example a shell's ``<(vault
    ...)``: a pipe is read to its end, and only once.

    Raises:
        ConfigError: it cannot be read, other users can read it, or the content is
            invalid.
    """
    document = read_secret(path, pipe=True)
    pair = pair_in(document, path)
    name, broker = document.get("name"), document.get("broker")
    if not isinstance(name, str) or not name:
        raise ConfigError(f"{path}: the client's name is missing")
    if not is_key(broker):
        raise ConfigError(f"{path}: broker is not the public key of a broker")
    return ClientKeys(name, pair, broker, str(path))


def pair_in(document: Mapping[str, Any], path: str | Path) -> KeyPair:
    """The key pair in a file of keys.

    Raises:
        ConfigError: it is missing, or its halves do not match.
    """
    public, secret = document.get("public"), document.get("secret")
    if not is_key(public):
        raise ConfigError(f"{path}: public is not a key of {KEY_LENGTH} characters")
    if not is_key(secret):
        raise ConfigError(f"{path}: secret is not a key of {KEY_LENGTH} characters")
    if zmq.curve_public(secret.encode()).decode() != public:
        raise ConfigError(f"{path}: the public key does not belong to the secret key")
    return KeyPair(public, secret)


def read_secret(
    path: str | Path,
    max_bytes: int = _MAX_FILE_BYTES,
    *,
    public: bool = False,
    pipe: bool = False,
) -> dict[str, Any]:
    """The content of a TOML file that only its owner may read and change, or, if it is
    ``public``, only change; of at most this many bytes. ``pipe`` allows a pipe.

    Raises:
        ConfigError: it cannot be read, other users can use it, or it is not TOML.
    """

    def check(found: os.stat_result) -> None:
        # A shell's pipe also has a mode, which allows only its user.
        if found.st_mode & (_WRITABLE_BY_OTHERS if public else _ACCESSIBLE_BY_OTHERS):
            why = (
                "lists the enrolled clients, and others may change it"
                if public
                else "holds secrets, and others may read or change it"
            )
            raise ConfigError(f"{path} {why}: chmod 600 {path}")

    timeout_s = KEYS_PIPE_TIMEOUT_S if pipe else None
    try:
        data = read_file(path, max_bytes, check=check, pipe_timeout_s=timeout_s)
    except OSError as error:
        raise ConfigError(
            f"cannot read keys from {str(path)!r}: {error.strerror}"
        ) from None
    if not data and pipe and Path(path).is_fifo():
        raise ConfigError(f"nothing came by the pipe {path}")
    return parse_toml(data, path, public=public)


def parse_toml(
    data: bytes, path: str | Path, *, public: bool = False
) -> dict[str, Any]:
    """Parse TOML from ``path``. Errors in a ``public`` file may quote it.

    Raises:
        ConfigError: it is invalid.
    """
    try:
        return bounded_toml.parse(data)
    except bounded_toml.TomlError as error:
        # The error may quote the secret; its position does not.
        place = _PLACE.search(str(error))
        said = f" ({error})" if public else f" ({place[0]})" if place else ""
        raise ConfigError(f"{path}: not TOML{said}") from None


def write_secret(path: Path, text: str, *, replace: bool = False) -> None:
    """Write a file that only its owner can read, completely or not at all; root writes
    it for the owner of the folder (`give_to_folder_owner`).

    Raises:
        PubSubError: it exists (unless ``replace``), or cannot be written.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with os.fdopen(descriptor, "w") as file:
                give_to_folder_owner(descriptor, path.parent)
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            if replace:
                temporary.replace(path)
            else:
                os.link(temporary, path)  # fails if it exists
        finally:
            temporary.unlink(missing_ok=True)
    except FileExistsError:
        raise PubSubError(f"{path} is there already, and is not replaced") from None
    except OSError as error:
        raise PubSubError(f"cannot write {path}: {error.strerror}") from None


def client_file_text(keys: ClientKeys) -> str:
    """The content of a client's file."""
    return (
        f"# The keys of the pubsub client {keys.name}. With this file, any program "
        "can act as that client.\n"
        f'name = "{keys.name}"\n'
        f'public = "{keys.pair.public}"\n'
        f'secret = "{keys.pair.secret}"\n'
        f'broker = "{keys.broker}"\n'
    )


def configure_curve_client(
    socket: zmq.Socket[bytes], pair: KeyPair, server_public: str
) -> None:
    """Set ``socket`` to use ``pair`` in its next connections, and to accept only the
    owner of ``server_public``."""
    socket.curve_publickey = pair.public.encode()
    socket.curve_secretkey = pair.secret.encode()
    socket.curve_serverkey = server_public.encode()


def configure_curve_server(socket: zmq.Socket[bytes], pair: KeyPair) -> None:
    """Set ``socket``, which is not bound yet, to admit the clients that the context's
    `ZapServer` admits."""
    # With a limit of 1, libzmq 4.3.5 gets no answers to its ZAP requests.
    if socket.rcvhwm == 1:
        socket.rcvhwm = 2
    socket.curve_server = True
    socket.curve_secretkey = pair.secret.encode()
    socket.zap_domain = b"pubsub"
