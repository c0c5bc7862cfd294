"""The option ``maximum_cores``: how many workers."""

from __future__ import annotations

import re
from numbers import Integral

from rampfit_numba.engine.slices import paying_slices

_SHARES = {"quarter": 4, "half": 2, "all": 1}


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
        Of what threads are to share out: no more of them than bring something. None: as many as are asked for.

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
    if available is None:
        # Imported here: loky takes a tenth of a second, and one worker needs none of it.
        from loky import cpu_count

        available = cpu_count()
    wanted = available // _SHARES[word] if word in _SHARES else int(word)
    useful = wanted if nbytes is None else paying_slices(nbytes)
    return max(1, min(wanted, nrows, useful, available if limited else wanted))
