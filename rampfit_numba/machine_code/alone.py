"""One process compiles while the others wait: a lock that a dead owner cannot keep, and a wait that ends."""

from __future__ import annotations

import os
import socket
import time
from contextlib import contextmanager, suppress
from enum import Enum
from typing import TYPE_CHECKING

from rampfit_numba.machine_code.places import usable_places

try:
    import fcntl
except ImportError:  # Windows: everybody compiles for himself
    fcntl = None  # type: ignore[assignment]

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

#: Seconds between two looks at the lock.
_LOOK = 0.1


class Held(Enum):
    """How the wait for the lock ended."""

    #: It is ours.
    OURS = "ours"
    #: The folder's file system has no locks, or there is no folder: everybody for himself.
    NO_LOCK = "no lock"
    #: Its owner took longer than anybody should.
    GIVEN_UP = "given up"


@contextmanager
def compiling_alone(kernels: str, patience: float, waiting: Callable[[str], None]) -> Iterator[Held]:
    """Compile `kernels` while no other process of this user does, as far as a lock can see to it.

    The operating system takes the lock from a process that ends, however it ends. It stands in the cache folder, so
    that machines that share the folder wait for each other where its file system can do that (NFS 4 can).

    Parameters
    ----------
    kernels : str
        A name for kernels that are compiled together.
    patience : float
        Seconds after which the wait ends in any case.
    waiting : callable
        Called once with the name of the owner if there is one to wait for.

    Yields
    ------
    Held
        What became of the lock.
    """
    number = _open(kernels)
    if number is None:
        yield Held.NO_LOCK
        return
    try:
        held = _take(number, patience, waiting)
        if held is Held.OURS:
            with suppress(OSError):  # only a help for those who wait
                os.truncate(number, 0)
                os.pwrite(number, f"process {os.getpid()} on {socket.gethostname()}".encode(), 0)
        yield held
    finally:
        # Unlocked, not only closed: a process that was forked meanwhile has the file open too.
        _unlock(number)
        os.close(number)


def _open(kernels: str) -> int | None:
    if fcntl is None:
        return None
    for place in usable_places():
        if place.writable:
            with suppress(OSError):
                return os.open(place.folder / f"{kernels}.lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    return None


def _take(number: int, patience: float, waiting: Callable[[str], None]) -> Held:
    end = time.monotonic() + patience
    said = looked = False
    while True:
        try:
            if _lock(number):
                return Held.OURS
        except OSError:  # ENOLCK, ENOSYS, EOPNOTSUPP: the file system has none
            return Held.NO_LOCK
        if time.monotonic() > end:
            return Held.GIVEN_UP
        if not said:
            owner = os.pread(number, 200, 0).decode(errors="replace")
            # Between taking the lock and writing its name an owner has none: a second look finds it.
            if owner or looked:
                said = True
                waiting(owner if owner.isprintable() and owner else "another process")
            looked = True
        time.sleep(_LOOK)


def _lock(number: int) -> bool:
    try:
        fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _unlock(number: int) -> None:
    with suppress(OSError):
        fcntl.flock(number, fcntl.LOCK_UN)
