"""The version, as the installation knows it."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("rampfit_numba")
except PackageNotFoundError:  # a source tree that is not installed
    __version__ = "0+unknown"
