"""The option ``maximum_cores``: how many workers."""

from __future__ import annotations

import re
from numbers import Integral

_SHARES = {"quarter": 4, "half": 2, "all": 1}
#: Data and flags that are worth a thread: they are fitted in 3 ms by `ols`, and each thread costs half a millisecond to
#: one in Python, where the others wait for it (`bench_workers.py`, the table of small exposures).
_BYTES_PER_THREAD = 16 << 20


def threads_worth(nbytes: int) -> int:
    """Return how many threads an exposure of so many bytes is worth.

    Examples
    --------
    >>> threads_worth(200 << 20)
    12
    """
    return max(1, nbytes // _BYTES_PER_THREAD)


def count_workers(
    maximum_cores: str | int,
    nrows: int,
    available: int | None = None,
    *,
    limited: bool = True,
    nbytes: int | None = None,
) -> int:
    """Return the number of workers.

    Parameters
    ----------
    maximum_cores : str or int
        ``"none"``, ``"quarter"``, ``"half"``, ``"all"`` (any case), or a positive integer, also as a string.
    nrows : int
        Rows to share out: there are never more workers.
    available : int, optional
        Cores that this process may use; None asks the system, affinity and container limits included.
    limited : bool
        No more workers than cores; not so where the work is done elsewhere.
    nbytes : int, optional
        Data and flags of an exposure, where no more threads are wanted than these are worth. None: as many workers as
        are asked for.

    Returns
    -------
    int
        At least 1.

    Raises
    ------
    TypeError, ValueError
        `maximum_cores` is none of these.

    Examples
    --------
    >>> count_workers("half", 1024, available=8)
    4
    """
    expected = "maximum_cores: expected 'none', 'quarter', 'half', 'all' or a positive integer"
    if isinstance(maximum_cores, bool) or not isinstance(maximum_cores, str | Integral):
        raise TypeError(f"{expected}; got {maximum_cores!r}")
    word = str(maximum_cores).strip().lower()
    if word == "none":
        return 1
    if word not in _SHARES and not (re.fullmatch(r"[0-9]+", word) and int(word) > 0):
        raise ValueError(f"{expected}; got {maximum_cores!r}")
    most = nrows if nbytes is None else min(nrows, threads_worth(nbytes))
    if available is None and most > 1:
        # Imported here: loky takes a tenth of a second, and one worker needs none of it.
        from loky import cpu_count

        available = cpu_count()
    if available is None:
        return 1
    wanted = available // _SHARES[word] if word in _SHARES else int(word)
    return max(1, min(wanted, most, available if limited else wanted))
