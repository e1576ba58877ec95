"""Wheels of the local programs, made from the installed files. So another machine
runs the same code, also that of a changed checkout.
"""

from __future__ import annotations

import base64
import hashlib
import importlib.metadata
import importlib.util
import io
import re
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from pubsub_common.errors import ConfigError
from pubsub_perf.lab.versions import PACKAGES

_WHEEL: Final = b"""Wheel-Version: 1.0
Generator: pubsub-perf
Root-Is-Purelib: true
Tag: py3-none-any
"""
# In a checkout, these lines may have its path.
_PLACE: Final = re.compile(r"^(Requires-Dist: pubsub-\w+) *@ *[^;\n]*", re.MULTILINE)


def wheels() -> Mapping[str, bytes]:
    """The wheels of all our packages, by file name: the same bytes of the same code.

    Raises:
        ConfigError: a package is not installed as one.
    """
    return dict(_wheel(package) for package in PACKAGES)


def constraints() -> str:
    """The local versions of the packages on the event path, for pip."""
    needed = importlib.metadata.requires("pubsub-common") or []
    names = [
        found.group()
        for line in needed
        if "extra" not in line and (found := re.match(r"[\w.-]+", line))
    ]
    return "".join(f"{name}=={importlib.metadata.version(name)}\n" for name in names)


def _wheel(package: str) -> tuple[str, bytes]:
    try:
        about = importlib.metadata.distribution(package.replace("_", "-"))
    except importlib.metadata.PackageNotFoundError:
        raise ConfigError(f"deploy: {package} is not installed, but a folder") from None
    metadata = _PLACE.sub(r"\1", about.read_text("METADATA") or "")
    info = f"{package}-{about.version}.dist-info"
    files = _code(package) | {
        f"{info}/METADATA": metadata.encode(),
        f"{info}/WHEEL": _WHEEL,
        f"{info}/entry_points.txt": (
            about.read_text("entry_points.txt") or ""
        ).encode(),
    }
    record = "".join(
        f"{name},{_digest(data)},{len(data)}\n" for name, data in files.items()
    )
    files[f"{info}/RECORD"] = f"{record}{info}/RECORD,,\n".encode()
    whole = io.BytesIO()
    with zipfile.ZipFile(whole, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(zipfile.ZipInfo(name), data, zipfile.ZIP_DEFLATED)
    return f"{package}-{about.version}-py3-none-any.whl", whole.getvalue()


def _code(package: str) -> dict[str, bytes]:
    found = importlib.util.find_spec(package)
    if found is None or found.origin is None:
        raise ConfigError(f"deploy: {package} cannot be found")
    folder = Path(found.origin).parent
    return {
        path.relative_to(folder.parent).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and "__pycache__" not in path.parts
    }


def _digest(data: bytes) -> str:
    digest = hashlib.sha256(data).digest()
    return "sha256=" + base64.urlsafe_b64encode(digest).decode().rstrip("=")
