"""The input of a fit: one exposure, whole and checked at construction."""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from rampfit_numba.checks import check_count, check_data, check_flags, check_plane, check_read_times, check_time
from rampfit_numba.reads import ReadCorrections, arrange_reads, arrange_times, check_corrections
from rampfit_numba.summary import brief, flags_text, shape_text, table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from astropy.io import fits
    from numpy.typing import ArrayLike

#: Characters of a name that a description shows.
_LONGEST = 20
#: Relative differences between time steps that still count as even: files hold rounded times.
_EVEN = 1e-4


@dataclass(frozen=True, eq=False)
class ExposureHeader:
    """What the input file says beside its arrays, carried over to the products.

    Attributes
    ----------
    primary, sci : astropy.io.fits.Header
        Headers of the primary HDU and of the SCI extension.
    int_times : astropy.io.fits.FITS_rec or None
        Rows of the INT_TIMES table, None where the file has none.
    filename : str
        Base name of the file, empty where there is none.
    """

    primary: fits.Header
    sci: fits.Header
    int_times: fits.FITS_rec | None = None
    filename: str = ""


@dataclass(frozen=True, eq=False, init=False, repr=False)  # what it takes is wider than what it holds
class Exposure:
    """One exposure: its ramps, flags and timing. Arrays are kept as given and never modified.

    Parameters
    ----------
    data : array_like, shape (nints, ngroups, nrows, ncols), or (ngroups, nrows, ncols): one integration
        Linearised, bias-subtracted ramps in DN: any float or integer type, byte order, strides, ``np.memmap`` or
        ``astropy.units.Quantity``. Fitted as float32.
    groupdq : array_like of integers or booleans, shape of `data`, or None
        Flags of the groups; only the low eight bits exist. True in a mask is DO_NOT_USE; :func:`make_groupdq` makes
        flags of masks of saturated, jump and other groups. None: all good.
    group_time : float
        Time from group to group in s.
    pixeldq : array_like of integers or booleans, shape (nrows, ncols), optional
        Flags of the pixels; True in a mask is DO_NOT_USE. None: all good.
    frame_time : float, optional
        Time from frame to frame in s; None: ``group_time / (nframes + groupgap)``.
    nframes, groupgap, drop_frames1 : int
        Frames averaged per group, skipped after each group, and dropped before the first group.
    read_times : sequence, optional
        Explicit times of the frames, in s: a number or a sequence of numbers per group, rising from group to group.
        `frame_time`, `nframes` and `groupgap` mean nothing to the likelihood fits then; OLS takes evenly spaced groups
        only.
    average_dark_current : array_like, shape (nrows, ncols), optional
        Average dark current, used as the reference does: in DN/s. None: zero.
    zeroframe : array_like, shape (nints, nrows, ncols), optional
        First frame of each integration in DN; 0 and non-finite values are unusable.
    instrument : str
        Only exactly ``"MIRI"`` makes a difference: its fully flagged edge groups are dropped.
    header : ExposureHeader or astropy.io.fits.Header, optional
        Carried over to the products; a plain header counts as the primary one.
    corrections : ReadCorrections, optional
        What is to be done with raw reads before they are fitted; :meth:`from_reads` makes them.

    Raises
    ------
    TypeError, ValueError
        An argument is unusable; the message names it, what was expected and what came.

    Examples
    --------
    >>> import numpy as np
    >>> exposure = Exposure(np.zeros((2, 10, 4, 4), np.float32), None, 2.775)
    >>> exposure.nints, exposure.ngroups, exposure.shape
    (2, 10, (2, 10, 4, 4))
    """

    data: np.ndarray
    groupdq: np.ndarray
    group_time: float
    pixeldq: np.ndarray | None
    frame_time: float
    nframes: int
    groupgap: int
    drop_frames1: int
    read_times: tuple[tuple[float, ...], ...] | None
    average_dark_current: np.ndarray | None
    zeroframe: np.ndarray | None
    instrument: str
    header: ExposureHeader | None
    corrections: ReadCorrections | None

    def __init__(
        self,
        data: ArrayLike,
        groupdq: ArrayLike | None,
        group_time: float,
        *,
        pixeldq: ArrayLike | None = None,
        frame_time: float | None = None,
        nframes: int = 1,
        groupgap: int = 0,
        drop_frames1: int | None = 0,
        read_times: Sequence[Any] | None = None,
        average_dark_current: ArrayLike | None = None,
        zeroframe: ArrayLike | None = None,
        instrument: str = "",
        header: ExposureHeader | fits.Header | None = None,
        corrections: ReadCorrections | None = None,
    ) -> None:
        samples = check_data(data)
        image, cube = samples.shape[2:], (samples.shape[0], *samples.shape[2:])
        flags = check_flags("groupdq", groupdq, samples.shape, "shape of data", np.uint8)
        time = check_time("group_time", group_time)
        frames, gap = check_count("nframes", nframes, 1), check_count("groupgap", groupgap, 0)
        if not isinstance(instrument, str):
            raise TypeError(f"instrument: expected a string; got {instrument!r}")
        checked = {
            "data": samples,
            # All good: a read-only view of one byte, whatever the shape.
            "groupdq": np.broadcast_to(np.uint8(0), samples.shape) if flags is None else flags,
            "group_time": time,
            "pixeldq": check_flags("pixeldq", pixeldq, image, "(nrows, ncols) of data", np.uint32),
            "frame_time": time / (frames + gap) if frame_time is None else check_time("frame_time", frame_time),
            "nframes": frames,
            "groupgap": gap,
            "drop_frames1": check_count("drop_frames1", 0 if drop_frames1 is None else drop_frames1, 0),
            "read_times": check_read_times(read_times, samples.shape[1]),
            "average_dark_current": check_plane(
                "average_dark_current", average_dark_current, image, "(nrows, ncols) of data", "DN / s"
            ),
            "zeroframe": check_plane("zeroframe", zeroframe, cube, "(nints, nrows, ncols) of data", "DN"),
            "instrument": instrument.strip(),
            "header": _check_header(header),
            "corrections": corrections,
        }
        if not isinstance(corrections, ReadCorrections | None):
            raise TypeError(f"corrections: expected ReadCorrections or None; got {type(corrections).__name__}")
        for name, value in checked.items():
            object.__setattr__(self, name, value)

    @classmethod
    def from_hdulist(cls, hdulist: fits.HDUList) -> Exposure:
        """Return the exposure in an astropy HDU list; shorthand for :func:`rampfit_numba.exposure_from_hdulist`."""
        import rampfit_numba

        return rampfit_numba.exposure_from_hdulist(hdulist)

    @classmethod
    def from_reads(
        cls,
        reads: ArrayLike | Sequence[ArrayLike],
        read_times: Sequence[Any] | None = None,
        frame_time: float | None = None,
        *,
        reads_per_ramp: int | None = None,
        skip: int = 0,
        reverse: bool = False,
        invert: float | None = None,
        saturation: ArrayLike | None = None,
        pedestal: ArrayLike | str | None = None,
        linearity: ArrayLike | None = None,
        nframes: int = 1,
        groupgap: int = 0,
        pixeldq: ArrayLike | None = None,
        average_dark_current: ArrayLike | None = None,
        header: ExposureHeader | fits.Header | None = None,
    ) -> Self:
        """Return the exposure of a stack of plain detector reads, from any up-the-ramp detector.

        Nothing is copied but a list of images; what is to be done with raw counts, the fit does on its own copies,
        block by block, in this order: inversion, saturation flags, pedestal, linearity.

        Parameters
        ----------
        reads : array_like, shape (nreads, nrows, ncols) or (nints, nreads, nrows, ncols), or a list of images
            Counts in DN: integers or floats, also ``np.memmap``.
        read_times : sequence, optional
            Times of the reads of a ramp in s, in the order of time, those to skip included: a number a read, or a
            sequence of the times of the frames that it is the mean of.
        frame_time : float, optional
            In place of `read_times`: time from frame to frame in s.
        reads_per_ramp : int, optional
            Of a stack of several ramps, one after the other. None: the stack is one ramp.
        skip : int
            First reads of each ramp to leave out.
        reverse : bool
            The stack begins with the last read.
        invert : float, optional
            Counts fall as light arrives: they are subtracted from this, 65536 say.
        saturation : float or array_like, shape (nrows, ncols), optional
            Level of the raw (rising) counts from which on a read and all after it are flagged SATURATED; NaN in an
            image: unknown.
        pedestal : float, array_like of shape (nrows, ncols) or "first", optional
            Level that is subtracted before the linearity correction: a bias, or the first read of the ramp (after those
            that are skipped).
        linearity : array_like, shape (n,) or (n, nrows, ncols), optional
            Coefficients c_p, from the constant on, of the polynomial that makes counts linear: the sum of c_p x^p.
        nframes, groupgap : int
            With `frame_time`: frames that each read is the mean of, and frames skipped after it.
        pixeldq, average_dark_current, header
            As for :class:`Exposure`.

        Returns
        -------
        Exposure
            A stack without `reads_per_ramp` is one integration.

        Raises
        ------
        TypeError, ValueError
            An argument is unusable; the message names it, what was expected and what came.

        Examples
        --------
        >>> import numpy as np
        >>> from rampfit_numba import Exposure, fit_ramps
        >>> reads = (1000 + 300 * np.arange(16)[:, None, None] + np.zeros((16, 4, 4))).astype(np.uint16)
        >>> exposure = Exposure.from_reads(reads, frame_time=10.0, saturation=5000)
        >>> fit = fit_ramps(exposure, readnoise=6.0, gain=2.1, readnoise_kind="single")
        >>> float(fit.rate.data[0, 0]), int(fit.rate.dq[0, 0])  # DN/s, 2: saturated in the end
        (30.0, 2)
        """
        ramps = arrange_reads(reads, reads_per_ramp, skip, reverse=reverse)
        frames = check_count("nframes", nframes, 1) + check_count("groupgap", groupgap, 0)
        group_time, times = arrange_times(read_times, frame_time, ramps.shape[1], skip, frames)
        return cls(
            ramps,
            None,
            group_time,
            pixeldq=pixeldq,
            nframes=nframes,
            groupgap=groupgap,
            drop_frames1=skip * frames if times is None else 0,
            read_times=times,
            average_dark_current=average_dark_current,
            header=header,
            corrections=check_corrections(ramps.shape[2:], saturation, pedestal, linearity, invert),
        )

    def __repr__(self) -> str:
        return brief("Exposure", {"": shape_text(self.shape), **self._facts()})

    def _repr_html_(self) -> str:
        return table("Exposure", {"size": shape_text(self.shape), **self._facts()})

    def _facts(self) -> dict[str, str]:
        facts = {"group time": f"{self.group_time:g} s", "groups flagged:": flags_text(self.groupdq)}
        if self.read_times is not None:
            facts["read times"] = "even" if self.evenly_read else "uneven"
        if self.instrument:
            facts["instrument"] = repr(self.instrument[:_LONGEST])
        return facts

    def rows(self, rows: slice) -> Self:
        """Return the exposure of some detector rows: views of the same arrays.

        Parameters
        ----------
        rows : slice

        Returns
        -------
        Exposure
        """

        def cut(array: np.ndarray | None) -> np.ndarray | None:
            return None if array is None else array[..., rows, :]

        part = copy.copy(self)
        for name in ("data", "groupdq", "pixeldq", "average_dark_current", "zeroframe"):
            object.__setattr__(part, name, cut(getattr(self, name)))
        if self.corrections is not None:
            object.__setattr__(part, "corrections", self.corrections.rows(rows))
        return part

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """(nints, ngroups, nrows, ncols)."""
        nints, ngroups, nrows, ncols = self.data.shape
        return nints, ngroups, nrows, ncols

    @property
    def evenly_read(self) -> bool:
        """Whether every group has as many reads as the others, and the same time between their means."""
        if self.read_times is None:
            return True
        means = [sum(group) / len(group) for group in self.read_times]
        steps = [after - before for before, after in pairwise(means)]
        return len({len(group) for group in self.read_times}) == 1 and all(
            math.isclose(step, steps[0], rel_tol=_EVEN) for step in steps
        )

    @property
    def nints(self) -> int:
        """Number of integrations."""
        return self.shape[0]

    @property
    def ngroups(self) -> int:
        """Number of groups per integration."""
        return self.shape[1]

    @property
    def nrows(self) -> int:
        """Number of detector rows."""
        return self.shape[2]

    @property
    def ncols(self) -> int:
        """Number of detector columns."""
        return self.shape[3]


def _check_header(value: Any) -> ExposureHeader | None:  # noqa: ANN401
    if value is None or isinstance(value, ExposureHeader):
        return value
    from astropy.io import fits

    if isinstance(value, fits.Header):
        return ExposureHeader(primary=value, sci=fits.Header())
    raise TypeError(f"header: expected an ExposureHeader or an astropy.io.fits.Header; got {type(value).__name__}")
