"""Likelihood fits of given differences, row by row: the entries that the engine is given."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from rampfit_numba.algorithms.median_network import middle_network
from rampfit_numba.algorithms.rows import Tiles, fill
from rampfit_numba.kernels._jit import LANES
from rampfit_numba.kernels.likely.given_differences import fit_given, search_given, weigh_given

if TYPE_CHECKING:
    from collections.abc import Iterator

#: Bytes of the differences that are copied to a buffer at once, where they stay in the cache.
_BUFFER_BYTES = 1 << 20
_DOUBLE = 8


class GivenInputs(NamedTuple):
    """Inputs of some rows, which are the last axis but one of every array; of any dtype, byte order and strides.

    Attributes
    ----------
    differences : ndarray, shape (ndiffs, nrows, ncols)
        Rates in e-/s. None for the weights, which do not depend on them.
    wanted : ndarray, shape (ndiffs, nrows, ncols), or None
        Nonzero for the differences to use.
    sigma : ndarray, shape (nrows, ncols)
        Noise of a single read in e-.
    guess : ndarray, shape (nrows, ncols), or None
        Rate that the covariance is made of, in e-/s.
    """

    differences: Any
    wanted: Any
    sigma: Any
    guess: Any


class GivenRates(NamedTuple):
    """Rate, standard deviation, chi-square, and the rate that the covariance was made of: float64, (nrows, ncols)."""

    rate: np.ndarray
    err: np.ndarray
    chisq: np.ndarray
    assumed: np.ndarray


class GivenWeights(NamedTuple):
    """Weights of the differences, float64, shape (ndiffs, nrows, ncols)."""

    weights: np.ndarray


class GivenFound(NamedTuple):
    """Rate in e-/s, float64, shape (nrows, ncols); 1 or 0 for differences to use, uint8, (ndiffs, nrows, ncols)."""

    rate: np.ndarray
    wanted: np.ndarray


class _Part(NamedTuple):
    """Copies of the inputs of some pixels, in double precision and padded to whole vectors."""

    rows: slice
    columns: slice
    differences: np.ndarray
    wanted: np.ndarray
    sigma: np.ndarray
    guess: np.ndarray

    def put(self, plane: np.ndarray, values: np.ndarray) -> None:
        """Copy results, shape (..., pixels), to their place in a plane."""
        here = plane[..., self.rows, self.columns]
        here[...] = values[..., : here.shape[-2] * here.shape[-1]].reshape(here.shape)


def _parts(inputs: GivenInputs, count: int) -> Iterator[_Part]:
    """Yield the inputs, of `count` differences, part by part, each valid until the next one comes."""
    nrows, ncols = inputs.sigma.shape
    tiles = Tiles(nrows, ncols, _BUFFER_BYTES // (count * _DOUBLE))
    most = -(-tiles.pixels // LANES) * LANES
    # What is behind the last pixel is padding: each lane is fitted for itself.
    differences = np.zeros((count, most if inputs.differences is not None else 0))
    wanted, sigma = np.ones((count, most), np.uint8), np.ones(most)
    guess = np.ones(most if inputs.guess is not None else 0)
    for rows, columns in tiles:
        for buffer, plane in ((differences, inputs.differences), (sigma, inputs.sigma), (guess, inputs.guess)):
            if plane is not None:
                fill(buffer, plane[..., rows, columns])
        if inputs.wanted is None:
            wanted[...] = 1
        else:
            fill(wanted, inputs.wanted[..., rows, columns] != 0)
        yield _Part(rows, columns, differences, wanted, sigma, guess)


def fit_given_rows(inputs: GivenInputs, outputs: GivenRates, table: np.ndarray) -> None:
    """Fit some rows; `table` is that of :func:`difference_table`."""
    for part in _parts(inputs, len(table) - 1):
        rate, err, chisq, assumed = np.empty((4, part.sigma.size))
        fit_given(part.differences, part.wanted, part.sigma, part.guess, table, rate, err, chisq, assumed)
        for plane, values in zip(outputs, (rate, err, chisq, assumed), strict=True):
            part.put(plane, values)


def weigh_given_rows(inputs: GivenInputs, outputs: GivenWeights, table: np.ndarray) -> None:
    """Find the weights of the differences of some rows; the guess of `inputs` is what the fit assumed."""
    for part in _parts(inputs, len(table) - 1):
        weights = np.empty(part.wanted.shape)
        weigh_given(part.wanted, part.sigma, part.guess, table, weights)
        part.put(outputs.weights, weights)


def search_given_rows(inputs: GivenInputs, outputs: GivenFound, table: np.ndarray, limits: tuple[float, float]) -> None:
    """Search for jumps in some rows; `limits` are the least gains in chi-square of one difference and of a pair."""
    network = middle_network(len(table) - 1)
    for part in _parts(inputs, len(table) - 1):
        rate = np.empty(part.sigma.size)
        search_given(part.differences, part.wanted, part.sigma, table, limits, network, rate)
        part.put(outputs.rate, rate)
        part.put(outputs.wanted, part.wanted)
