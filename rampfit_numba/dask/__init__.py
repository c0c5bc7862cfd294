"""Lazy fits of Dask arrays: the extra ``dask``.

Files
-----
arrays.py   from dask arrays to lazy results: what is checked at once, and the graph
blocks.py   what its tasks do
result.py   the lazy result

Whole files on a cluster need none of this: give :func:`rampfit_numba.fit_files` a client as `executor`.
"""

from __future__ import annotations

from importlib.util import find_spec

from rampfit_numba.messages import how_to_install

if find_spec("dask") is None:
    raise ImportError(f"rampfit_numba.dask needs Dask, which is not installed: {how_to_install('dask')}")

from rampfit_numba.dask.arrays import fit_ramps
from rampfit_numba.dask.result import LazyRampFit, LazyRate

__all__ = ["LazyRampFit", "LazyRate", "fit_ramps"]
