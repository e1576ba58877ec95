"""A broker's credentials for etcd: a folder of certificates, a file with a password."""

from __future__ import annotations

import os
import ssl
import stat
from pathlib import Path
from typing import Final, NamedTuple

from pubsub_common.errors import ConfigError
from pubsub_common.security.keys import read_secret

AUTHORITY: Final = "ca.pem"
CERTIFICATE: Final = "client.pem"
KEY: Final = "client-key.pem"
_OF_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO


class Login(NamedTuple):
    """A user of etcd."""

    user: str
    password: str


def read_login(path: str | Path) -> Login:
    """User and password from a TOML file that no other user can read or change.

    Raises:
        ConfigError: other users can, or one of the two is missing.
    """
    told = read_secret(path)
    user, password = told.get("user"), told.get("password")
    if not (isinstance(user, str) and user and isinstance(password, str) and password):
        raise ConfigError(f'{path} must have user = "…" and password = "…"')
    return Login(user, password)


def tls_context(folder: str | Path) -> ssl.SSLContext:
    """The TLS settings from the files of a folder. ``ca.pem`` has the certificates of
    the authorities that may sign etcd's certificate; ``client.pem`` and
    ``client-key.pem``, the broker's own, may be missing.

    Raises:
        ConfigError: a file cannot be used, or other users can read the key.
    """
    place = Path(folder)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    authority, certificate, key = (
        place / name for name in (AUTHORITY, CERTIFICATE, KEY)
    )
    try:
        context.load_verify_locations(authority)
    except OSError as error:
        raise _unusable(authority, error) from None
    if not certificate.exists():
        return context
    try:
        if os.stat(key).st_mode & _OF_OTHERS:  # noqa: PTH116
            raise ConfigError(
                f"{key} is secret, and others may use it: chmod 600 {key}"
            )
        context.load_cert_chain(certificate, key, password=_no_passphrase)
    except OSError as error:
        raise _unusable(certificate, error) from None
    return context


def _no_passphrase() -> str:
    """Otherwise OpenSSL asks for the passphrase of a key at the terminal."""
    return ""


def _unusable(path: Path, error: OSError) -> ConfigError:
    # OpenSSL's errors are a subclass, and name no file.
    named = Path(error.filename) if error.filename else path
    why = getattr(error, "reason", None) or error.strerror or "it cannot be used"
    return ConfigError(f"cannot use {named}: {why}")
