"""The part of iceoryx2 that is used here: one node a process, and the services of publishers.

iceoryx2's compiled module is imported when the first memory is shared, without the package around
it: that imports flatbuffers and, if it is installed, numpy, which is 200 modules and 20 MiB, and
takes seconds in a process that publishes at full speed. The methods that the package would add are
a few lines here. So only versions that are known may be used. Its files are in a folder of the user
alone, in the file system of shared memory, and so is the memory: if one is there, the other is
too. What crashed processes have left is removed when a node is made, and by `clean_up`.
"""

from __future__ import annotations

import contextlib
import ctypes
import importlib.util
import os
import stat
import sys
import threading
from importlib.machinery import PathFinder
from pathlib import Path
from typing import Any, Final

from pubsub_common.errors import PubSubError
from pubsub_common.shared_memory.leftovers import remove_leftovers
from pubsub_common.shared_memory.place import MEMORY
from pubsub_common.shared_memory.samples import MAX_SAMPLES

# A publisher has one port for each size of memory. Further subscribers get their events by TCP.
PORTS: Final = 8
SUBSCRIBERS: Final = 64
# Many times what iceoryx2's own files need.
_ROOM_BYTES: Final = 2**20
_VERSIONS: Final = ("0.10.",)
# Methods of the compiled module without a public name.
LOAN: Final = "__loan_slice_uninit"
ASSUME_INIT: Final = "__assume_init"
_PACKAGE: Final = "iceoryx2"
_COMPILED: Final = "iceoryx2._iceoryx2"


class SharedMemoryError(PubSubError):
    """Memory cannot be shared; the text says why."""


class Library:
    """The iceoryx2 of this process, with its node. For any thread."""

    def __init__(self) -> None:
        """Raises:
        SharedMemoryError: It is not installed, of another version, or cannot work here.
        """
        try:
            _check_version()
            iceoryx2 = self.module = _compiled_module()
        except (ImportError, OSError) as error:
            raise SharedMemoryError(f"iceoryx2 cannot be imported: {error}") from error
        for kind, method in (
            (iceoryx2.Publisher, LOAN),
            (iceoryx2.SampleMutUninit, ASSUME_INIT),
        ):
            if not hasattr(kind, method):
                raise SharedMemoryError(f"this iceoryx2 has no {method}")
        iceoryx2.set_log_level(iceoryx2.LogLevel.Fatal)
        self.prefix = f"pubsub_{os.getuid()}_"
        check_room()
        config = iceoryx2.config.default()
        folder = _own_folder()
        remove_leftovers(folder, MEMORY, self.prefix)
        config.global_cfg.root_path = iceoryx2.Path.new(f"{folder}/")
        config.global_cfg.prefix = iceoryx2.FileName.new(self.prefix)
        try:
            self._node = (
                iceoryx2.NodeBuilder.new()
                .config(config)
                .signal_handling_mode(iceoryx2.SignalHandlingMode.Disabled)
                .create(iceoryx2.ServiceType.Ipc)
            )
        except Exception as error:
            raise SharedMemoryError(f"iceoryx2 cannot work here: {error!r}") from error
        # iceoryx2 makes one file that everybody may write, of 16 bytes.
        for path in MEMORY.glob(f"{self.prefix}*.global_mgmt"):
            with contextlib.suppress(OSError):
                path.chmod(0o600)

    def service(self, publisher: int) -> Any:
        """The service of a publisher, by its session.

        Raises:
            SharedMemoryError: It cannot be opened.
        """
        check_room()
        name = self.module.ServiceName.new(f"publisher {publisher}")
        try:
            return (
                self._bytes_service(name)
                .max_publishers(PORTS)
                .max_subscribers(SUBSCRIBERS)
                .max_nodes(SUBSCRIBERS + 1)
                .history_size(0)
                .subscriber_max_buffer_size(MAX_SAMPLES)
                .subscriber_max_borrowed_samples(MAX_SAMPLES)
                .enable_safe_overflow(False)
                .open_or_create()
            )
        except Exception as error:
            raise SharedMemoryError(f"{error!r}") from error

    def _bytes_service(self, name: Any) -> Any:
        """A builder of a service with slices of bytes."""
        new, sizes = self.module.TypeDetail.new, self.module.TypeVariant
        kind = self.module.TypeName.new
        payload = new().type_variant(sizes.Dynamic).type_name(kind("u8"))
        header = new().type_variant(sizes.FixedSize).type_name(kind("()"))
        builder = call(self._node.service_builder(name), "__publish_subscribe")
        builder = call(builder, "__payload_type_details", payload.size(1).alignment(1))
        header = header.size(0).alignment(1)
        return call(builder, "__user_header_type_details", header)

    def clean_up(self) -> None:
        """Remove what processes have left that were killed."""
        with contextlib.suppress(Exception):  # of iceoryx2; it is tried again
            self._node.try_cleanup_dead_nodes()


_lock: Final = threading.Lock()
_library: Library | SharedMemoryError | None = None


def library() -> Library:
    """The library of this process.

    Raises:
        SharedMemoryError: It cannot be used, now and later.
    """
    global _library
    with _lock:
        if _library is None:
            try:
                _library = Library()
            except SharedMemoryError as error:
                _library = error
    if isinstance(_library, SharedMemoryError):
        raise SharedMemoryError(str(_library))
    return _library


def check_room() -> None:
    """iceoryx2's own files are not reserved before they are written, as the memory of events
    is (`ring_writer`): a file system without room would end the process (SIGBUS).

    Raises:
        SharedMemoryError: There is too little room.
    """
    found = os.statvfs(MEMORY)
    free = found.f_bavail * found.f_frsize
    if free < _ROOM_BYTES:
        raise SharedMemoryError(f"{MEMORY} has {free} bytes free, not {_ROOM_BYTES}")


def call(thing: Any, method: str, *args: Any) -> Any:
    """Call a method of the compiled module that has no public name."""
    return getattr(thing, method)(*args)


def _compiled_module() -> Any:
    """Raises:
    ImportError: There is none.
    """
    loaded = sys.modules.get(_COMPILED)
    if loaded is not None:
        return loaded
    package = importlib.util.find_spec(_PACKAGE)
    places = None if package is None else package.submodule_search_locations
    spec = PathFinder.find_spec(_COMPILED, None if places is None else list(places))
    if not places or spec is None or spec.loader is None:
        raise ImportError("it is not installed")
    module = importlib.util.module_from_spec(spec)
    # A program that uses the package too must not load it again.
    sys.modules[_COMPILED] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[_COMPILED]
        raise
    return module


def _check_version() -> None:
    from importlib.metadata import version

    found = version("iceoryx2")
    if not found.startswith(_VERSIONS):
        raise SharedMemoryError(f"iceoryx2 {found} is not 0.10")


def _own_folder() -> Path:
    """The folder of this user.

    Raises:
        SharedMemoryError: It cannot be made, or others may write to it.
    """
    folder = MEMORY / f"pubsub-{os.getuid()}"
    try:
        folder.mkdir(0o700, exist_ok=True)
        found = folder.lstat()
    except OSError as error:
        raise SharedMemoryError(f"{folder}: {error.strerror}") from error
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
        raise SharedMemoryError(f"{folder} is not a folder of this user")
    if found.st_mode & 0o077:
        raise SharedMemoryError(f"others may use {folder}: its mode is not 0700")
    return folder


def leak(thing: object) -> None:
    """Never end this object. In a forked child: its end would be the parent's."""
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(thing))


def _after_fork_in_child() -> None:
    global _library
    if isinstance(_library, Library):
        leak(_library)
        leak(_library._node)
    _library = None


os.register_at_fork(after_in_child=_after_fork_in_child)
