"""Samples of segments, side by side, and their noise.

The noise model is that of both algorithms: read noise, independent from frame to frame, and photon noise that adds up
along the ramp, which makes the samples depend on each other (Brandt 2024a, PASP 136, 045004, equations 4, 11, 28, 29).
Differences of neighbouring samples have a tridiagonal covariance, which is eliminated by pivots.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from rampfit_numba.pixel_ramps import SampleTimes

_FEW = 2


class SegmentSamples(NamedTuple):
    """Samples of some segments, and the noise of each.

    Attributes
    ----------
    values : ndarray of float64, shape (nsegments, longest)
        In DN; 0 behind the last sample of a segment.
    first, nsamples : ndarray of int64, shape (nsegments,)
        Where they stand in their ramps.
    photon : ndarray of float64, shape (nsegments,)
        Rate over gain, in DN^2/s.
    noise : ndarray of float64, shape (nsegments,)
        Square of the read noise of a frame, in DN^2.
    times : SampleTimes
        Of the samples of a ramp.
    """

    values: np.ndarray
    first: np.ndarray
    nsamples: np.ndarray
    photon: np.ndarray
    noise: np.ndarray
    times: SampleTimes

    @property
    def inside(self) -> np.ndarray:
        """Where there is a sample: bool, shape (nsegments, longest)."""
        return np.asarray(np.arange(self.values.shape[1]) < self.nsamples[:, np.newaxis])

    @property
    def group(self) -> np.ndarray:
        """Which sample of its ramp each is, shape (nsegments, longest); the last one behind the end of the ramp."""
        group = self.first[:, np.newaxis] + np.arange(self.values.shape[1])
        return np.minimum(group, self.times.mean_t.size - 1)

    def chi_square(self) -> np.ndarray:
        """Return the chi-squares around the lines of the best slopes; 0 for less than three samples."""
        pivot, _, time, residual = self._eliminated(0)
        information = np.sum(time * time / pivot, axis=1)
        # What is far from the first guess costs digits of the chi-square: a second pass leaves none to lose.
        weighted = np.sum(time * residual / pivot, axis=1)
        left = residual - time * (weighted / information)[:, np.newaxis]
        return np.where(self.nsamples > _FEW, np.sum(left * left / pivot, axis=1), 0)

    def chi_square_around(self, slope: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the chi-squares around the lines of these slopes, in DN/s, and 1 / variance of each best slope."""
        pivot, _, time, residual = self._eliminated(slope)
        return np.sum(residual * residual / pivot, axis=1), np.sum(time * time / pivot, axis=1)

    def slope_coefficients(self, information: np.ndarray) -> np.ndarray:
        """Return what the samples are multiplied with in a slope that is known to 1 / variance = `information`."""
        pivot, coupling, time, _ = self._eliminated(0)
        solved = time / pivot
        for k in range(solved.shape[1] - 2, -1, -1):
            solved[:, k] -= coupling[:, k + 1] * solved[:, k + 1]
        solved /= np.where(information > 0, information, np.inf)[:, np.newaxis]
        coefficients = np.zeros(self.values.shape)
        coefficients[:, 1:] += solved
        coefficients[:, :-1] -= solved
        return coefficients

    def variance_of(self, coefficients: np.ndarray) -> np.ndarray:
        """Return the variance of sums of samples, in DN^2; photon noise counts from the first frame of the segment on.

        `coefficients` has the shape of `values`.
        """
        group, inside = self.group, self.inside
        t, tau, reads = self.times.mean_t[group], self.times.tau[group], self.times.reads[group]
        steps = np.diff(t, axis=1, prepend=self.times.begin[self.first][:, np.newaxis])
        behind = np.cumsum(coefficients[:, ::-1], axis=1)[:, ::-1]
        squares = coefficients**2
        of_photons = np.sum(np.where(inside, steps * behind**2 + squares * (tau - t), 0), axis=1)
        variance: np.ndarray = self.photon * of_photons + self.noise * np.sum(
            np.where(inside, squares / reads, 0), axis=1
        )
        return variance

    def _eliminated(self, slope: np.ndarray | int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Eliminate the covariance of the differences of neighbouring samples, segment by segment.

        Returns
        -------
        pivot, coupling, time, residual : ndarray, shape (nsegments, longest - 1)
            Pivots in DN^2 (infinite behind the end of a segment), the factor of the row before, and the times and
            residuals of the differences after elimination.
        """
        nsegments, most = self.values.shape
        pivot = np.full((nsegments, max(most - 1, 0)), np.inf)
        coupling, time, residual = np.zeros_like(pivot), np.zeros_like(pivot), np.zeros_like(pivot)
        reads, t, tau, _ = self.times
        for k in range(most - 1):
            here = k + 1 < self.nsamples
            low = np.where(here, self.first + k, 0)
            high = np.where(here, low + 1, 0)
            step = t[high] - t[low]
            variance = self.photon * (tau[low] + tau[high] - 2 * t[low])
            variance += self.noise * (1 / reads[low] + 1 / reads[high])
            left = self.values[:, k + 1] - self.values[:, k] - slope * step
            if k:
                shared = self.photon * (t[low] - tau[low]) - self.noise / reads[low]
                factor = shared / pivot[:, k - 1]
                variance -= factor * shared
                step = step - factor * time[:, k - 1]
                left -= factor * residual[:, k - 1]
                coupling[:, k] = np.where(here, factor, 0)
            pivot[:, k] = np.where(here, variance, np.inf)
            time[:, k] = np.where(here, step, 0)
            residual[:, k] = np.where(here, left, 0)
        return pivot, coupling, time, residual


def padded(samples: np.ndarray, ramp: np.ndarray, first: np.ndarray, nsamples: np.ndarray) -> np.ndarray:
    """Return the samples of each segment, shape (nsegments, longest), 0 behind its last.

    Parameters
    ----------
    samples : ndarray, shape (nramps, ngroups)
    ramp, first, nsamples : ndarray of int64, shape (nsegments,)
    """
    k = np.arange(int(nsamples.max(initial=1)))
    inside = k < nsamples[:, np.newaxis]
    group = np.minimum(first[:, np.newaxis] + k, samples.shape[1] - 1)
    return np.where(inside, samples[ramp[:, np.newaxis], group], 0)
