"""One progress bar for a whole job, however many files and slices of rows it has."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

_TITLE = "Fitting ramps"
# What is counted is no unit that a user would want to read: only its share of the whole.
_FORMAT = "{desc}: {percentage:3.0f}%|{bar}| [{elapsed}<{remaining}]"


class Job:
    """The bar of several files: it moves with the rows of each, and each takes as much of it as its size says.

    Parameters
    ----------
    sizes : sequence of int
        Of the files, in bytes: the nearest thing to the time that they will take.
    """

    def __init__(self, sizes: Sequence[int]) -> None:
        from tqdm.auto import tqdm

        self._sizes = [max(size, 1) for size in sizes]
        self._bar = tqdm(total=sum(self._sizes), desc=_TITLE, bar_format=_FORMAT)

    @contextmanager
    def file(self, number: int) -> Iterator[None]:
        """Give a file, counted from 0, its part of the bar, which is full when the block ends, also after a failure."""
        self._begin, self._size = sum(self._sizes[:number]), self._sizes[number]
        self._bar.set_description_str(f"{_TITLE}, file {number + 1} of {len(self._sizes)}")
        try:
            yield
        finally:
            self._move(1.0)

    @contextmanager
    def rows(self, nrows: int) -> Iterator[Callable[[int], None]]:
        """Give a function that moves the bar by a number of rows, of `nrows` that the file has."""
        done = 0

        def advance(count: int) -> None:
            nonlocal done
            done += count
            self._move(done / nrows)

        yield advance

    def close(self) -> None:
        """Leave the bar as it is."""
        self._bar.close()

    def _move(self, part: float) -> None:
        self._bar.update(self._begin + round(part * self._size) - self._bar.n)


@contextmanager
def job(sizes: Sequence[int], *, shown: bool) -> Iterator[Job | None]:
    """Show the bar of several files while the block runs; for one file, or none to be shown, give None."""
    if not shown or len(sizes) < 2:  # noqa: PLR2004  (the rows of one have a bar of their own)
        yield None
        return
    bar = Job(sizes)
    try:
        yield bar
    finally:
        bar.close()


@contextmanager
def row_bar(progress: bool | Job, nrows: int) -> Iterator[Callable[[int], Any]]:  # noqa: FBT001  (as users have it)
    """Give a function to be called with the number of rows that are done: on a bar of their own, a job's, or nowhere.

    In a notebook the bar is a widget.
    """
    if isinstance(progress, Job):
        with progress.rows(nrows) as advance:
            yield advance
    elif progress:
        from tqdm.auto import tqdm

        with tqdm(total=nrows, unit="row", desc=_TITLE) as bar:
            yield bar.update
    else:
        yield lambda _: None
