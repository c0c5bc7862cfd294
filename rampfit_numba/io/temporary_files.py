"""Files under temporary names, beside where they will stand; what killed processes have left of them is swept.

Who writes one holds a lock on it (``flock``), which the system lets go of with the process, whatever way that ends. So
a file that nobody holds has been left behind. A lock need not be seen by other machines that share the folder, and some
file systems have none: what comes from there must also have lain untouched for a day. What a failure could not put back
(``.kept``) is never swept.
"""

from __future__ import annotations

import contextlib
import logging
import os
import platform
import re
import stat
import time
import uuid
import zlib
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

try:
    import fcntl
except ImportError:  # no locks there, and open files cannot be renamed
    fcntl = None  # type: ignore[assignment]

if TYPE_CHECKING:
    from typing import BinaryIO

log = logging.getLogger(__name__)

_NAME = re.compile(r"\.rampfit-(?P<machine>[0-9a-f]{8})-[0-9a-f]{32}\.(?P<kind>tmp|old)")
#: Seconds after which a file is nobody's, where no lock tells.
_FORGOTTEN = 86400.0
#: Seconds between two signs of life.
_LIVING = 600.0
_ATTEMPTS = 10


class TemporaryFile:
    """A file of this process under a name of its own, locked until it is closed.

    Parameters
    ----------
    folder : Path
        The names are short: what the file will be called may be as long as names can be.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        #: What the file has taken the place of must stay.
        self.old_is_needed = False
        self._held: int | None = None
        self._lived = time.monotonic()
        self._choose_names()

    def _choose_names(self) -> None:
        name = f".rampfit-{_machine()}-{uuid.uuid4().hex}"
        #: The file's name, and one for what it takes the place of.
        self.path, self.old = self._folder / f"{name}.tmp", self._folder / f"{name}.old"

    def create(self) -> BinaryIO:
        """Make the file and return it, open for writing; the lock stays when that is closed.

        Raises
        ------
        OSError
            It cannot be made.
        """
        for _ in range(_ATTEMPTS):
            # os.open applies the umask, which the functions of tempfile do not.
            number = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o666)
            try:
                if fcntl is None or not self._is_lost(number):
                    self._held = None if fcntl is None else os.dup(number)
                    return os.fdopen(number, "wb")
            except BaseException:
                os.close(number)
                self.path.unlink(missing_ok=True)
                raise
            # Who sweeps this folder came between.
            os.close(number)
            self.path.unlink(missing_ok=True)
            self._choose_names()
        raise OSError(f"{self._folder}: files vanish from it while they are made")

    def _is_lost(self, number: int) -> bool:
        """Lock the new file; tell whether somebody has been faster, or has removed it."""
        try:
            fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        except OSError:  # no locks on this file system
            return False
        return not _is_at(self.path, number)

    def live(self) -> None:
        """Show now and then that this file is in use, where it stays for as long as a job takes: no lock may tell."""
        if time.monotonic() - self._lived > _LIVING:
            self._lived = time.monotonic()
            with contextlib.suppress(OSError):  # there is time for another one
                os.utime(self.path)  # what somebody has removed stays so

    def keep_old(self) -> Path | None:
        """Let stay what the file has taken the place of, and return its name: one that is not swept, if it can have it.

        None: there is nothing.
        """
        if not os.path.lexists(self.old):
            return None
        kept = self.old.with_suffix(".kept")
        try:
            self.old.rename(kept)
        except OSError:
            return self.old
        return kept

    def remove(self) -> None:
        """Let go of the file, and remove whatever has not been given another name, but for what is needed."""
        # In a folder that cannot be written, removing what is not there fails too: not what is to be told.
        for path in (self.path,) if self.old_is_needed else (self.path, self.old):
            with contextlib.suppress(OSError):
                path.unlink(missing_ok=True)
        if self._held is not None:
            os.close(self._held)
            self._held = None


def sweep_once(folder: Path) -> None:
    """Do :func:`sweep` unless this process has already done so in this folder."""
    _sweep_once(folder.absolute(), os.getpid())


@cache
def _sweep_once(folder: Path, _: int) -> None:
    sweep(folder)


def sweep(folder: Path) -> list[Path]:
    """Remove what killed processes of this user have left in a folder; return what it was.

    Parameters
    ----------
    folder : Path
        Files of running processes stay. Nothing is an error: a folder that cannot be read or written stays as it is.
    """
    swept: list[Path] = []
    if fcntl is None:
        return swept
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            match = _NAME.fullmatch(entry.name)
            if match is None:
                continue
            path = folder / entry.name
            with contextlib.suppress(OSError):
                if _remove_if_left(path, ours=match["machine"] == _machine(), locked=match["kind"] == "tmp"):
                    log.info("%s: removed; a run that was killed had left it", path)
                    swept.append(path)
    return swept


def _remove_if_left(path: Path, *, ours: bool, locked: bool) -> bool:
    number = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOFOLLOW)
    try:
        information = os.fstat(number)
        if not stat.S_ISREG(information.st_mode) or information.st_uid != os.geteuid():
            return False
        has_lock = False
        try:
            fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
            has_lock = True
        except BlockingIOError:
            return False
        except OSError:
            pass
        # The time of a link to a product is when it was made: the inode changes then.
        forgotten = time.time() - max(information.st_mtime, information.st_ctime) > _FORGOTTEN
        if not forgotten and not (ours and locked and has_lock):
            return False
        if not _is_at(path, number):
            return False
        path.unlink()
        return True
    finally:
        os.close(number)


def _is_at(path: Path, number: int) -> bool:
    """Whether an open file is what stands under a name."""
    try:
        return os.path.samestat(os.lstat(path), os.fstat(number))
    except FileNotFoundError:
        return False


@cache
def _machine() -> str:
    """Return a short name of this machine since it was started: of all that see each other's locks."""
    try:
        name = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii")
    except OSError:
        name = platform.node()
    return f"{zlib.crc32(name.encode()):08x}"
