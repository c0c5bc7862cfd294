"""The input of a fit: one exposure, whole and checked at construction."""

from __future__ import annotations

import copy
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from rampfit_numba.checks import (
    as_measured,
    check_count,
    check_data,
    check_flags,
    check_plane,
    check_unit,
    is_quantity,
    scaled,
)
from rampfit_numba.exposure_header import ExposureHeader, check_header
from rampfit_numba.file_arrays import take_plane
from rampfit_numba.mapped_arrays import as_file_array
from rampfit_numba.messages import RampFitWarning
from rampfit_numba.reads import ReadCorrections, arrange_reads, arrange_times, check_corrections
from rampfit_numba.summary import brief, flags_text, shape_text, table
from rampfit_numba.timing import evenly_read, settle
from rampfit_numba.units import DN, DN_PER_S, ELECTRON, ELECTRON_PER_S, rate_unit, signal_unit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from astropy.io import fits
    from numpy.typing import ArrayLike

    from rampfit_numba.units import Scaled

    Keep = Callable[[Iterator[np.ndarray], tuple[int, ...]], np.ndarray]

#: Characters of a name that a description shows.
_LONGEST = 20


@dataclass(frozen=True, eq=False, init=False, repr=False)  # what it takes is wider than what it holds
class Exposure:
    """One exposure: its ramps, flags and timing. Arrays are kept as given and never modified.

    Parameters
    ----------
    data : array_like, shape (nints, ngroups, nrows, ncols), or (ngroups, nrows, ncols): one integration
        Linearised, bias-subtracted ramps in DN (see `data_unit`): any float or integer type, byte order, strides,
        ``np.memmap`` or ``astropy.units.Quantity``. Fitted as float32.
    groupdq : array_like of integers or booleans, shape of `data`, or None
        Flags of the groups; only the low eight bits exist. True in a mask is DO_NOT_USE; :func:`make_groupdq` makes
        flags of masks of saturated, jump and other groups. None: all good.
    group_time : float
        Time from group to group in s. It may be left out beside `read_times` only.
    pixeldq : array_like of integers or booleans, shape (nrows, ncols), optional
        Flags of the pixels; True in a mask is DO_NOT_USE. None: all good.
    frame_time : float, optional
        Time from frame to frame in s; None: ``group_time / (nframes + groupgap)``.
    nframes, groupgap, drop_frames1 : int
        Frames averaged per group (None: 1, or what `read_times` says), skipped after each group, and dropped before the
        first group.
    read_times : sequence, optional
        Explicit times of the frames since the reset, in s: a number or a sequence of numbers per group, rising from
        group to group. They are what every algorithm goes by: where they are even, `group_time`, `frame_time`,
        `nframes` and `groupgap` become what follows from them. They need not be evenly spaced.
    average_dark_current : array_like, shape (nrows, ncols), optional
        Average dark current that was subtracted, in DN/s (see `dark_current_unit`); the fit needs its photon noise.
        None: zero.
    zeroframe : array_like, shape (nints, nrows, ncols), optional
        First frame of each integration, in the unit of `data`; 0 and non-finite values are unusable.
    instrument : str
        Only exactly ``"MIRI"`` makes a difference: its fully flagged edge groups are dropped.
    header : ExposureHeader or astropy.io.fits.Header, optional
        Carried over to the products; a plain header counts as the primary one.
    corrections : ReadCorrections, optional
        What is to be done with raw reads before they are fitted; :meth:`from_reads` makes them.
    data_unit : str, optional
        Unit of `data` and `zeroframe`, which a Quantity brings with it: DN (None), also called ADU or counts, or
        electron, which the fit divides by the gain. As an attribute ``"DN"`` or ``"electron"``.
    dark_current_unit : str, optional
        Unit of `average_dark_current`, which a Quantity brings with it: DN/s or electron/s. None is taken as DN/s, as
        the pipeline's ramp fit does, although its dark step documents electrons. As an attribute ``"DN/s"``,
        ``"electron/s"`` or None.

    Raises
    ------
    TypeError, ValueError
        An argument is unusable; the message names it, what was expected and what came.

    Warns
    -----
    RampFitWarning
        Times contradict each other; the message says which are used. Or frames of different groups were read in turns.

    Examples
    --------
    >>> import numpy as np
    >>> exposure = Exposure(np.zeros((2, 10, 4, 4), np.float32), None, 2.775)
    >>> exposure.nints, exposure.ngroups, exposure.shape
    (2, 10, (2, 10, 4, 4))
    >>> Exposure(np.zeros((1, 3, 4, 4)), None, read_times=[1.5, 3.0, 4.5]).group_time
    1.5
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
    data_unit: str
    dark_current_unit: str | None

    def __init__(
        self,
        data: ArrayLike,
        groupdq: ArrayLike | None,
        group_time: float | None = None,
        *,
        pixeldq: ArrayLike | None = None,
        frame_time: float | None = None,
        nframes: int | None = None,
        groupgap: int = 0,
        drop_frames1: int | None = 0,
        read_times: Sequence[Any] | None = None,
        average_dark_current: ArrayLike | None = None,
        zeroframe: ArrayLike | None = None,
        instrument: str = "",
        header: ExposureHeader | fits.Header | None = None,
        corrections: ReadCorrections | None = None,
        data_unit: str | None = None,
        dark_current_unit: str | None = None,
    ) -> None:
        samples, unit = _measured("data", data, data_unit, signal_unit, "data_unit")
        samples = check_data(samples)
        image, cube = samples.shape[2:], (samples.shape[0], *samples.shape[2:])
        flags = check_flags("groupdq", groupdq, samples.shape, "shape of data", np.uint8)
        timing, complaints = settle(group_time, frame_time, nframes, groupgap, read_times, samples.shape[1])
        dark, per_second = _measured(
            "average_dark_current", average_dark_current, dark_current_unit, rate_unit, "dark_current_unit"
        )
        stated = None if is_quantity(zeroframe) else data_unit
        first, unit_of_first = _measured("zeroframe", zeroframe, stated, signal_unit)
        if first is not None and is_quantity(zeroframe) and unit_of_first != (unit or DN):
            raise ValueError(f"zeroframe: expected a Quantity in {unit or DN}, as data; got one in {unit_of_first}")
        if not isinstance(instrument, str):
            raise TypeError(f"instrument: expected a string; got {instrument!r}")
        checked = {
            "data": samples,
            "data_unit": unit or DN,
            # All good: a read-only view of one byte, whatever the shape.
            "groupdq": np.broadcast_to(np.uint8(0), samples.shape) if flags is None else flags,
            **timing._asdict(),
            "pixeldq": check_flags("pixeldq", pixeldq, image, "(nrows, ncols) of data", np.uint32),
            "drop_frames1": check_count("drop_frames1", 0 if drop_frames1 is None else drop_frames1, 0),
            "average_dark_current": check_plane("average_dark_current", dark, image, "(nrows, ncols) of data"),
            "dark_current_unit": per_second,
            "zeroframe": check_plane("zeroframe", first, cube, "(nints, nrows, ncols) of data"),
            "instrument": instrument.strip(),
            "header": check_header(header),
            "corrections": corrections,
        }
        if not isinstance(corrections, ReadCorrections | None):
            raise TypeError(f"corrections: expected ReadCorrections or None; got {type(corrections).__name__}")
        for name, value in checked.items():
            object.__setattr__(self, name, value)
        for complaint in complaints:
            where = f"{self.header.filename}: " if self.header is not None and self.header.filename else ""
            warnings.warn(where + complaint, RampFitWarning, stacklevel=2)

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
            nframes=nframes if times is None else None,
            groupgap=groupgap,
            drop_frames1=skip * frames if times is None else 0,
            read_times=times,
            average_dark_current=average_dark_current,
            header=header,
            corrections=check_corrections(ramps.shape[2:], saturation, pedestal, linearity, invert),
        )

    def in_dn(self, gain: np.ndarray, keep: Keep | None = None) -> Exposure:
        """Return the same exposure with data and dark current in DN and DN/s: itself where they are.

        Parameters
        ----------
        gain : ndarray, shape (nrows, ncols)
            In e-/DN. Where it is no positive number, there is no such value: NaN.
        keep : callable, optional
            Called with the images of a large array, each in the same memory, and its shape: returns the array, of
            float32. None: it is made in memory.
        """
        changed: dict[str, Any] = {}
        dark = self.average_dark_current if self.dark_current_unit == ELECTRON_PER_S else None
        if self.data_unit != ELECTRON and dark is None:
            return self
        with np.errstate(invalid="ignore", over="ignore"):
            divisor = np.where((gain > 0) & np.isfinite(gain), gain, np.nan).astype(np.float32)
        if self.data_unit == ELECTRON:
            changed = {"data": _divided(self.data, divisor, keep), "data_unit": DN}
            if self.zeroframe is not None:
                changed["zeroframe"] = _divided(self.zeroframe, divisor, keep)
        if dark is not None:
            changed |= {
                "average_dark_current": _divided(dark, divisor),
                "dark_current_unit": DN_PER_S,
            }
        made = copy.copy(self)
        for name, value in changed.items():
            object.__setattr__(made, name, value)
        return made

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

    def rows(self, rows: slice, columns: slice = slice(None)) -> Self:
        """Return the exposure of some detector rows, or of some columns of them: views of the same arrays.

        Parameters
        ----------
        rows, columns : slice

        Returns
        -------
        Exposure
        """

        def cut(array: np.ndarray | None) -> np.ndarray | None:
            return None if array is None else array[..., rows, columns]

        part = copy.copy(self)
        for name in ("data", "groupdq", "pixeldq", "average_dark_current", "zeroframe"):
            object.__setattr__(part, name, cut(getattr(self, name)))
        if self.corrections is not None:
            object.__setattr__(part, "corrections", self.corrections.rows(rows, columns))
        return part

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """(nints, ngroups, nrows, ncols)."""
        nints, ngroups, nrows, ncols = self.data.shape
        return nints, ngroups, nrows, ncols

    @property
    def evenly_read(self) -> bool:
        """Whether every group has as many reads as the others, and the same time between their means."""
        return evenly_read(self.read_times)

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


def _measured(
    name: str,
    value: Any,  # noqa: ANN401
    stated: Any,  # noqa: ANN401
    kind: Callable[[Any], Scaled],
    argument: str = "data_unit",
) -> tuple[Any, str | None]:
    """Return an array without its unit, and the unit, which is that of a Quantity or the one stated beside it."""
    array, unit = (None, None) if value is None and name != "data" else as_measured(name, value, kind)
    known = check_unit(argument, stated, kind)
    if known is None:
        return array, unit
    if unit is not None:
        raise ValueError(f"{argument}: expected None beside a Quantity, which has its unit; got {stated!r}")
    return None if array is None else scaled(array, known.factor), known.unit


def _divided(
    values: np.ndarray,
    divisor: np.ndarray,
    keep: Keep | None = None,
) -> np.ndarray:
    """Return an array of images divided by an image, in single precision, image by image."""
    images, every = np.ndindex(values.shape[:-2]), slice(None)
    source = as_file_array(values)  # a map of a file that is truncated would end the process
    if keep is not None:
        room = np.empty(values.shape[-2:], np.float32)
        quotients = (_quotient(take_plane(source, *image, rows=every), divisor, room) for image in images)
        return keep(quotients, values.shape)
    result = np.empty(values.shape, np.float32)
    for image in images:
        _quotient(take_plane(source, *image, rows=every), divisor, result[image])
    return result


def _quotient(values: np.ndarray, divisor: np.ndarray, out: np.ndarray) -> np.ndarray:
    with np.errstate(all="ignore"):
        np.divide(values, divisor, out=out, casting="unsafe")
    return out
