"""Reads plain files of a bounded size, checks that one can be written, and replaces files
atomically."""

from __future__ import annotations

import contextlib
import errno
import os
import select
import stat
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from pubsub_common.defaults import MAX_FILE_BYTES
from pubsub_common.errors import ConfigError

_BLOCK_BYTES: Final = 65_536
# How long another program may take to open the other end of a pipe.
_OPEN_S: Final = 5.0
_ROOT: Final = 0
_LINK_OF_ANOTHER: Final = "it is a link that another user has made"


class NotReadable(ConfigError):
    """A file must not be read, for this ``reason``."""

    def __init__(self, path: str | Path, reason: str) -> None:
        self.reason = reason
        super().__init__(f"cannot read {path}: {reason}")


def read_file(
    path: str | Path,
    max_bytes: int = MAX_FILE_BYTES,
    *,
    check: Callable[[os.stat_result], None] | None = None,
    pipe_timeout_s: float | None = None,
    within: Path | None = None,
) -> bytes:
    """The content of a plain file of at most ``max_bytes``, which lies in the folder
    ``within`` if that is given. ``check`` may refuse it by its owner or mode. With
    ``pipe_timeout_s`` it may also be a pipe that ends within so many seconds.

    Never waits for anything else: a pipe and a device that are in the place of the file are
    not opened.

    Raises:
        OSError: There is no such file, or it cannot be read.
        ConfigError: It is not a plain file, elsewhere, or too large, or its ``check`` raised.
    """
    with opened(path, max_bytes, within=within, or_pipe=pipe_timeout_s is not None) as (
        descriptor,
        found,
    ):
        if check is not None:
            check(found)
        read = os.read
        if pipe_timeout_s is not None and stat.S_ISFIFO(found.st_mode):
            read = _PipeReader(path, pipe_timeout_s).read
        return _content(descriptor, path, max_bytes, read)


def last_lines(path: Path, most: int) -> list[str]:
    """So many lines at the end of a log, however long that is; the first one may be cut.

    Raises:
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - _BLOCK_BYTES))
        text = file.read(_BLOCK_BYTES).decode(errors="replace")
    return text.strip().splitlines()[-most:]


@contextlib.contextmanager
def opened(
    path: str | Path,
    max_bytes: int,
    *,
    within: Path | None = None,
    or_pipe: bool = False,
) -> Iterator[tuple[int, os.stat_result]]:
    """The descriptor of a plain file of at most ``max_bytes``, to be read from, and what the
    system says of it. It lies in the folder ``within``, if that is given: a link may lead to
    it from there. It may be a pipe if ``or_pipe``.

    Raises:
        OSError: there is none, or it cannot be opened.
        NotReadable: it is another kind of file, elsewhere, or too large.
    """
    _check_kind(os.stat(path), path, or_pipe=or_pipe)  # noqa: PTH116
    # Another one may be in its place meanwhile.
    flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY
    descriptor = os.open(path, flags)
    try:
        found = os.fstat(descriptor)
        _check_kind(found, path, or_pipe=or_pipe)
        if within is not None:
            # Where it is that was opened, and not where its name leads now.
            place = Path(f"/proc/self/fd/{descriptor}").readlink()
            if not place.is_relative_to(within.resolve()):
                raise NotReadable(path, "it is a link out of the folder")
        if found.st_size > max_bytes:
            raise _too_large(path, max_bytes)
        yield descriptor, found
    finally:
        os.close(descriptor)


def _content(
    descriptor: int, path: str | Path, max_bytes: int, read: Callable[[int, int], bytes]
) -> bytes:
    blocks: list[bytes] = []
    size = 0
    while size <= max_bytes:
        # No more than that, however it grows while it is read.
        block = read(descriptor, min(_BLOCK_BYTES, max_bytes + 1 - size))
        if not block:
            return b"".join(blocks)
        blocks.append(block)
        size += len(block)
    raise _too_large(path, max_bytes)


class _PipeReader:
    """Reads a pipe that does not block, to its end or until a time."""

    def __init__(self, path: str | Path, timeout_s: float) -> None:
        self._path = path
        begin = time.monotonic()
        self._until = begin + timeout_s
        self._opened_until = begin + min(timeout_s, _OPEN_S)
        self._began = False

    def read(self, descriptor: int, most: int) -> bytes:
        """The next bytes; none at its end.

        Raises:
            NotReadable: nothing came in time.
        """
        poller = select.poll()
        poller.register(descriptor, select.POLLIN)
        while True:
            until, missing = self._until, "the pipe has not ended in time"
            with contextlib.suppress(BlockingIOError):
                block = os.read(descriptor, most)
                self._began = self._began or bool(block) or _has_no_name(descriptor)
                if block or self._began:
                    return block
                until, missing = self._opened_until, "nobody writes to the pipe"
            now = time.monotonic()
            if now >= until:
                raise NotReadable(self._path, missing)
            events = poller.poll((until - now) * 1000)
            self._began = self._began or events == [(descriptor, select.POLLHUP)]


def _has_no_name(pipe: int) -> bool:
    """Whether this is a shell's pipe: its other end was open from the start."""
    ends = os.pipe()
    try:
        return os.fstat(pipe).st_dev == os.fstat(ends[0]).st_dev
    finally:
        os.close(ends[0])
        os.close(ends[1])


def _check_kind(found: os.stat_result, path: str | Path, *, or_pipe: bool) -> None:
    if stat.S_ISREG(found.st_mode):
        return
    if not or_pipe:
        raise NotReadable(path, "it is not a plain file")
    if not stat.S_ISFIFO(found.st_mode):
        raise NotReadable(path, "it is neither a plain file nor a pipe")


def _too_large(path: str | Path, max_bytes: int) -> NotReadable:
    return NotReadable(path, f"it is too large, of more than {max_bytes} bytes")


def check_writable(path: str) -> None:
    """Find out now whether ``path`` can be written, not after an hour's run.

    Raises:
        ConfigError: it cannot.
    """
    target = Path(path)
    try:
        folder = (_followed(target) if target.is_symlink() else target).parent
    except OSError as error:
        raise ConfigError(f"cannot write {path}: {error.strerror}") from None
    if _is_of_another(target):
        reason = _LINK_OF_ANOTHER
    elif target.is_dir():
        reason = "it is a folder"
    elif _is_special(target):
        if os.access(target, os.W_OK):
            return
        reason = "it is write protected"
    elif not folder.is_dir():
        reason = f"there is no folder {folder}"
    elif not os.access(folder, os.W_OK | os.X_OK):
        reason = f"folder {folder} is not writable"
    elif target.exists() and not os.access(target, os.W_OK):
        reason = "it is write protected"
    else:
        return
    raise ConfigError(f"cannot write {path}: {reason}")


@contextlib.contextmanager
def atomic_replace(
    path: Path, *, follow_link: bool = True, mode: int = 0o666
) -> Iterator[Path]:
    """Yield the path of a new, empty file; when the block ends without an error, its
    content is flushed to the disk, and it replaces ``path``.

    A symbolic link is followed, unless another user has made it: it would choose which of our
    files is replaced. A device or pipe is yielded itself, and not replaced. Without
    ``follow_link`` all of them are replaced: where ``path`` lies in a folder that came from
    somewhere. The file gets ``mode``, less what the umask takes away.

    Raises:
        OSError: it could not be replaced; an earlier file of that name is unchanged.
    """
    if follow_link:
        if _is_of_another(path):
            raise OSError(errno.EPERM, _LINK_OF_ANOTHER, str(path))
        if _is_special(path):
            with naming(path):
                yield path
            return
        if path.is_symlink():
            path = _followed(path)
    # No name that somebody could foresee, to have a link there.
    part = path.with_name(f".{path.name}.{os.urandom(4).hex()}.part")
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    os.close(os.open(part, flags, mode))
    try:
        yield part
        with part.open("rb") as written:
            os.fsync(written.fileno())
        part.replace(path)
    except OSError as error:
        # A full disk names no file, and nobody knows the one beside.
        if error.filename in (None, str(part)):
            error.filename = str(path)
        raise
    finally:
        part.unlink(missing_ok=True)


@contextlib.contextmanager
def naming(path: Path) -> Iterator[None]:
    """An error in the block names this file, unless it names one: a full disk names none."""
    try:
        yield
    except OSError as error:
        if error.filename is None:
            error.filename = str(path)
        raise


def reason_of(error: OSError) -> str:
    """What went wrong, with the file that it went wrong with: ``a.csv: No space left``."""
    if error.strerror is None:
        return str(error)
    return f"{error.filename}: {error.strerror}" if error.filename else error.strerror


def write_atomically(path: Path, content: bytes, *, follow_link: bool = True) -> None:
    """Write ``content`` to ``path``, completely or not at all (`atomic_replace`).

    Raises:
        OSError: it could not be written; an earlier file of that name is unchanged.
    """
    with atomic_replace(path, follow_link=follow_link) as part:
        part.write_bytes(content)


def _is_of_another(path: Path) -> bool:
    """Whether ``path`` is a link of another user, apart from root."""
    try:
        found = path.lstat()
    except OSError:
        return False
    owned = found.st_uid in (_ROOT, os.geteuid())
    return stat.S_ISLNK(found.st_mode) and not owned


def _followed(link: Path) -> Path:
    """Where ``link`` leads.

    Raises:
        OSError: to itself.
    """
    try:
        return link.resolve()
    except RuntimeError:
        raise OSError(errno.ELOOP, "circular links", str(link)) from None


def _is_special(path: Path) -> bool:
    """Whether ``path`` is a device, a pipe or the like (root could replace them)."""
    return path.exists() and not path.is_file() and not path.is_dir()
