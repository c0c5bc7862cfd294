"""One progress bar for a whole job, however many files and slices of rows it has."""

from __future__ import annotations

import math
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

_TITLE = "Fitting ramps"
# What is counted is no unit that a user would want to read: only its share of the whole.
_FORMAT = "{desc}: {percentage:3.0f}%|{bar}| [{elapsed}<{remaining}]"


class Stopped(Exception):  # noqa: N818  (no error: it is what was asked for)
    """The job was stopped, by Ctrl-C for instance: what has not been done is left."""


class Job:
    """The bar of several files: each takes as much of it as its size says, also where several are fitted at once.

    Parameters
    ----------
    sizes : sequence of int
        Of the files, in bytes: the nearest thing to the time that they will take.
    shown : bool
        Whether there is a bar; without one a job can still be stopped.
    is_stopped : callable, optional
        Asked beside :meth:`stop`, for a job whose end another process decides.
    """

    def __init__(
        self, sizes: Sequence[int], *, shown: bool = True, is_stopped: Callable[[], bool] = lambda: False
    ) -> None:
        self._sizes = [max(size, 1) for size in sizes]
        self._parts = [0.0] * len(self._sizes)
        self._done = 0
        self._ended = 0
        self._lock = threading.Lock()
        self._last: float = math.inf
        self._is_stopped = is_stopped
        self._bar: Any = None
        if shown:
            from tqdm.auto import tqdm

            self._bar = tqdm(total=sum(self._sizes), desc=_TITLE, bar_format=_FORMAT)

    @property
    def shown(self) -> bool:
        """Whether there is a bar."""
        return self._bar is not None

    @contextmanager
    def file(self, number: int) -> Iterator[FilePart]:
        """Give a file, counted from 0, its part of the bar, which is full when the block ends, also after a failure."""
        self._describe()
        try:
            yield FilePart(self, number)
        finally:
            self.move(number, 1.0)
            self._ended += 1
            self._describe()

    def move(self, number: int, part: float) -> None:
        """Show that this part of a file is done."""
        with self._lock:
            before, self._parts[number] = self._parts[number], part
            size = self._sizes[number]
            self._done += round(part * size) - round(before * size)
            if self._bar is not None:
                self._bar.update(self._done - self._bar.n)

    def stop(self, after: int = -1) -> None:
        """Let whoever works for this job, at a file behind that of a number, find a :class:`Stopped` soon."""
        with self._lock:
            self._last = min(self._last, after)

    def check(self, number: int) -> None:
        """Raise :class:`Stopped` if the job was stopped in front of a file."""
        if number > self._last or self._is_stopped():
            raise Stopped

    def _describe(self) -> None:
        with self._lock:
            if self._bar is not None:
                count = len(self._sizes)
                self._bar.set_description_str(f"{_TITLE}, file {min(self._ended + 1, count)} of {count}")

    def close(self) -> None:
        """Leave the bar as it is."""
        if self._bar is not None:
            self._bar.close()


class FilePart:
    """The part of a job that is one file; true where there is a bar to be seen.

    Parameters
    ----------
    job : Job
    number : int
        Of the file, counted from 0.
    seen : bool
        Whether rows that are done move the bar.
    """

    def __init__(self, job: Job, number: int, *, seen: bool = True) -> None:
        self._job = job
        self._number = number
        self._seen = seen

    def __bool__(self) -> bool:
        return self._seen and self._job.shown

    def unseen(self) -> FilePart:
        """Return the same part for rows that are fitted once more: it can be stopped, and moves no bar."""
        return FilePart(self._job, self._number, seen=False)

    @contextmanager
    def rows(self, nrows: int) -> Iterator[Callable[[int], None]]:
        """Give a function that moves the bar by a number of rows, of `nrows` that the file has."""
        done = 0
        self.check()

        def advance(count: int) -> None:
            nonlocal done
            self.check()
            done += count
            if self._seen:
                self._job.move(self._number, done / nrows)

        yield advance

    def check(self) -> None:
        """Raise :class:`Stopped` if the job was stopped in front of this file."""
        self._job.check(self._number)


@contextmanager
def job(sizes: Sequence[int], *, shown: bool) -> Iterator[Job]:
    """Give the job of several files while the block runs, with a bar where it is to be `shown`."""
    bar = Job(sizes, shown=shown)
    try:
        yield bar
    finally:
        bar.close()


def unseen(progress: bool | FilePart) -> bool | FilePart:  # noqa: FBT001  (as users have it)
    """Return what to give for `progress` where rows are fitted once more, whose bar is full."""
    return progress.unseen() if isinstance(progress, FilePart) else False


@contextmanager
def row_bar(progress: bool | FilePart, nrows: int) -> Iterator[Callable[[int], Any]]:  # noqa: FBT001  (as users have it)
    """Give a function to be called with the number of rows that are done: on a bar of their own, a job's, or nowhere.

    In a notebook the bar is a widget.
    """
    if isinstance(progress, FilePart):
        with progress.rows(nrows) as advance:
            yield advance
    elif progress:
        from tqdm.auto import tqdm

        with tqdm(total=nrows, unit="row", desc=_TITLE) as bar:
            yield bar.update
    else:
        yield lambda _: None
