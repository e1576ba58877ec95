"""Key files of clients and broker: reads, writes and checks them.

A pair of CURVE keys is written in Z85, 40 characters each. A client's file is TOML::

    name = "alice"
    public = "..."
    secret = "..."
    broker = "..."      # the broker's public key

Whoever can read the secret is this client, so files are for their owner only, and others
are refused.
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

from pubsub_common import bounded_toml
from pubsub_common.defaults import KEYS_PIPE_TIMEOUT_S
from pubsub_common.errors import ConfigError, PubSubError
from pubsub_common.files import read_file
from pubsub_common.security.file_owner import give_to_folder_owner
from pubsub_common.security.z85 import KEY_LENGTH, is_key

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
    """What a client needs: its name and keys, and the broker's public key. ``path`` is
    the file that they are from, for messages."""

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
    """The keys in a client's file, or from a pipe, as a shell's ``<(vault ...)`` is one:
    that is read to its end, and can be read only once.

    Raises:
        ConfigError: it cannot be read, others can read it, or it is not such a file.
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
        ConfigError: there is none, or its halves do not belong together.
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
    ``public``, change; of at most so many bytes. It may be a ``pipe``, if that is said.

    Raises:
        ConfigError: it cannot be read, others can use it, or it is not TOML.
    """

    def check(found: os.stat_result) -> None:
        # A shell's pipe has a mode too, of its user's alone.
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
    """TOML that came from ``path``. What is wrong in a ``public`` file, may be said.

    Raises:
        ConfigError: it is none.
    """
    try:
        return bounded_toml.parse(data)
    except bounded_toml.TomlError as error:
        # All of it may quote the secret; where it is, does not.
        place = _PLACE.search(str(error))
        said = f" ({error})" if public else f" ({place[0]})" if place else ""
        raise ConfigError(f"{path}: not TOML{said}") from None


def write_secret(path: Path, text: str, *, replace: bool = False) -> None:
    """Write a file that only its owner can read, whole or not at all; the superuser
    writes it for the owner of the folder (`give_to_folder_owner`).

    Raises:
        PubSubError: it is there already (unless ``replace``), or cannot be written.
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
                os.link(temporary, path)  # fails if it is there
        finally:
            temporary.unlink(missing_ok=True)
    except FileExistsError:
        raise PubSubError(f"{path} is there already, and is not replaced") from None
    except OSError as error:
        raise PubSubError(f"cannot write {path}: {error.strerror}") from None


def client_file_text(keys: ClientKeys) -> str:
    """The content of a client's file."""
    return (
        f"# The keys of the pubsub client {keys.name}. Whoever can read this is that "
        "client.\n"
        f'name = "{keys.name}"\n'
        f'public = "{keys.pair.public}"\n'
        f'secret = "{keys.pair.secret}"\n'
        f'broker = "{keys.broker}"\n'
    )


def configure_curve_client(
    socket: zmq.Socket[bytes], pair: KeyPair, server_public: str
) -> None:
    """Have ``socket`` show ``pair`` where it connects from here on, and talk only to the owner
    of ``server_public``."""
    socket.curve_publickey = pair.public.encode()
    socket.curve_secretkey = pair.secret.encode()
    socket.curve_serverkey = server_public.encode()


def configure_curve_server(socket: zmq.Socket[bytes], pair: KeyPair) -> None:
    """Have ``socket``, which is not bound yet, admit the clients that the context's `ZapServer`
    admits."""
    # With a limit of 1, libzmq 4.3.5 gets no answers to its ZAP requests.
    if socket.rcvhwm == 1:
        socket.rcvhwm = 2
    socket.curve_server = True
    socket.curve_secretkey = pair.secret.encode()
    socket.zap_domain = b"pubsub"
