"""Certificates for tests, made by the program openssl."""

from __future__ import annotations

import subprocess
from pathlib import Path

from support.needed_programs import needs_programs


def needs_openssl() -> None:
    """Skip the test without openssl, with a reason; fail under CI."""
    needs_programs(["openssl"], installed_by="apt-get install openssl")


class Authority:
    """Signs certificates; its own is ``certificate``."""

    def __init__(self, folder: Path) -> None:
        needs_openssl()
        folder.mkdir()
        self._folder = folder
        self.certificate = folder / "ca.pem"
        self._key = folder / "ca-key.pem"
        _openssl(
            *("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"),
            *("-nodes", "-days", "2", "-subj", "/CN=tests"),
            *("-keyout", str(self._key), "-out", str(self.certificate)),
        )

    def sign(self, name: str, subject: str, *, days: int = 2) -> tuple[Path, Path]:
        """A certificate for 127.0.0.1, of servers and clients, and its key."""
        certificate, key, request, more = (
            self._folder / f"{name}{end}"
            for end in (".pem", "-key.pem", ".csr", ".ext")
        )
        more.write_text(
            "subjectAltName=IP:127.0.0.1\nextendedKeyUsage=serverAuth,clientAuth\n"
        )
        _openssl(
            *("req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"),
            *("-nodes", "-subj", subject, "-keyout", str(key), "-out", str(request)),
        )
        _openssl(
            *("x509", "-req", "-in", str(request), "-CA", str(self.certificate)),
            *("-CAkey", str(self._key), "-CAcreateserial", "-days", str(days)),
            *("-extfile", str(more), "-out", str(certificate)),
        )
        key.chmod(0o600)
        return certificate, key


def _openssl(*words: str) -> None:
    subprocess.run(["openssl", *words], check=True, capture_output=True, timeout=60)
