"""What tells a file from another one of its name: for arrays that are read from it, or mapped."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

import numpy as np

from rampfit_numba.messages import RampFileError

#: The attribute of a map that holds the stamp which its file had when its headers were read.
_STAMP = "rampfit_stamp"
#: Samples by which a file is told from another one, and bytes of each.
_SAMPLES, _SAMPLE = 32, 4096


class Stamp(NamedTuple):
    """What tells a file from another one of its name, and from itself after a change.

    Attributes
    ----------
    inode : int
    state : tuple of int, or None
        Size, modification and change time; None where whoever has mapped the file may be writing to it.
    """

    inode: int
    state: tuple[int, int, int] | None

    @classmethod
    def of(cls, status: os.stat_result) -> Stamp:
        """Return the stamp of a file from its status."""
        return cls(status.st_ino, (status.st_size, status.st_mtime_ns, status.st_ctime_ns))

    def check(self, path: str, status: os.stat_result) -> None:
        """Refuse a file that is not any more what it was; raises a RampFileError."""
        if status.st_ino != self.inode:
            raise RampFileError(f"{path}: was replaced by another file while it was read; read it again")
        if self.state is None:
            return
        if status.st_size < self.state[0]:
            raise ended_early(path)
        if Stamp.of(status) != self:
            raise RampFileError(f"{path}: was changed while it was read; read it again when nobody writes to it")


def ended_early(path: str) -> RampFileError:
    """Return the error of a file that has less than it had."""
    return RampFileError(f"{path}: ended early: it was truncated while it was read; restore the file")


def keep_stamp(array: np.memmap, stamp: Stamp) -> None:
    """Note at a map which stamp its file had."""
    setattr(array, _STAMP, stamp)


def mapped_stamp(root: np.memmap, path: str) -> Stamp | None:
    """Return the stamp of the file that is mapped; None where its name has gone over to another file."""
    stamp: Stamp | None = getattr(root, _STAMP, None)
    try:
        status = Path(path).stat()
        inode = _mapped_inode(root.__array_interface__["data"][0])
        if inode is None:  # the system does not tell
            inode = status.st_ino if stamp is None and _looks_like(path, root) else stamp and stamp.inode
    except OSError:
        return None
    if status.st_ino != inode:
        return None
    return stamp or (Stamp.of(status) if root.mode == "r" else Stamp(inode, None))


def _mapped_inode(address: int) -> int | None:
    """Return the inode of the file that is mapped at `address`, where the system (Linux) tells."""
    try:
        with Path("/proc/self/maps").open(encoding="utf-8", errors="replace") as lines:
            for line in lines:
                span, _, _, _, inode, *_ = line.split(maxsplit=5)
                low, high = (int(end, 16) for end in span.split("-"))
                if low <= address < high:
                    return int(inode) or None
    except OSError:
        pass
    return None


def _looks_like(path: str, root: np.memmap) -> bool:
    """Whether a file has what the map of a file shows, in samples all over it."""
    seen = root.ravel("K").view(np.uint8)
    with Path(path).open("rb", buffering=0) as file:
        # Of a file that was cut, nothing behind its end may be touched.
        seen = seen[: max(0, os.fstat(file.fileno()).st_size - root.offset)]
        for place in np.linspace(0, max(0, len(seen) - _SAMPLE), _SAMPLES).astype(int):
            file.seek(root.offset + place)
            if file.read(min(_SAMPLE, len(seen))) != seen[place : place + _SAMPLE].tobytes():
                return False
    return True
