"""The images of an exposure and its fit, by name, each made when it is looked at."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from rampfit_numba import dq
from rampfit_numba.file_arrays import take_plane
from rampfit_numba.mapped_arrays import as_file_array

if TYPE_CHECKING:
    from collections.abc import Callable

    from rampfit_numba.exposure import Exposure
    from rampfit_numba.result import RampFit


@dataclass(frozen=True)
class Plane:
    """An image that can be looked at.

    Attributes
    ----------
    name : str
        Short, without blanks: what stands in the name of a saved file.
    title : str
        What a menu shows.
    group : str
        The part of the menu.
    unit : str
    read : callable
        ``read(integration, group)`` returns the image, shape (nrows, ncols): integers where it shows flags.
    needs : tuple of str
        What of "integration" and "group" it depends on.
    """

    name: str
    title: str
    group: str
    unit: str
    read: Callable[[int, int], np.ndarray]
    needs: tuple[str, ...] = ()


def list_planes(exposure: Exposure, fit: RampFit) -> dict[str, Plane]:
    """Return the images of an exposure and its fit by their names, in the order of the menu.

    Images of the fit are at hand; those of the ramps are read from the exposure's file, where it has one, one plane at
    a time.

    Parameters
    ----------
    exposure : Exposure
    fit : RampFit
        Its fit.

    Raises
    ------
    RampFileError
        (Reading one) The exposure's file is gone, was replaced, or is shorter than it was.
    """
    rate, ints = fit.rate, fit.rateints
    data, groupdq = as_file_array(exposure.data), as_file_array(exposure.groupdq)
    rows = slice(0, exposure.nrows)
    whole, single, ramp = "Exposure", "One integration", "Ramps"

    def group(i: int, g: int) -> np.ndarray:
        return take_plane(data, i, g, rows=rows)

    def difference(i: int, g: int) -> np.ndarray:
        g = min(g, exposure.ngroups - 2)
        return np.asarray(group(i, g + 1).astype(np.float32) - group(i, g).astype(np.float32))

    def flags(i: int, g: int) -> np.ndarray:
        if fit.groupdq is not None:
            return np.asarray(fit.groupdq[i, g])
        return take_plane(groupdq, i, g, rows=rows)

    planes = [
        Plane("rate", "Rate", whole, "DN/s", lambda *_: rate.data),
        Plane("err", "Error of the rate", whole, "DN/s", lambda *_: rate.err),
    ]
    if rate.chisq is not None:
        planes.append(Plane("chisq", "Reduced chi-square", whole, "", lambda *_: _reduced(rate.chisq, rate.dof)))
    planes += [Plane("rate-int", "Rate", single, "DN/s", lambda i, _: ints.data[i], ("integration",))]
    planes += [Plane("err-int", "Error of the rate", single, "DN/s", lambda i, _: ints.err[i], ("integration",))]
    if ints.chisq is not None:
        chisq, dof = ints.chisq, ints.dof
        planes.append(
            Plane(
                "chisq-int",
                "Reduced chi-square",
                single,
                "",
                lambda i, _: _reduced(chisq[i], None if dof is None else dof[i]),
                ("integration",),
            )
        )
    planes.append(
        Plane("last-group", "Last group", ramp, "DN", lambda i, _: group(i, exposure.ngroups - 1), ("integration",))
    )
    planes.append(Plane("group", "One group", ramp, "DN", group, ("integration", "group")))
    if exposure.ngroups > 1:
        planes.append(Plane("difference", "Difference of two groups", ramp, "DN", difference, ("integration", "group")))
    planes.append(Plane("groupdq", "Flags of one group", ramp, "", flags, ("integration", "group")))
    planes += _flag_planes(rate.dq)
    return {plane.name: plane for plane in planes}


def _reduced(chisq: np.ndarray | None, dof: np.ndarray | None) -> np.ndarray:
    """Return chi-square by degree of freedom; NaN where there is none."""
    assert chisq is not None  # noqa: S101  (for mypy: who has no chi-square, has no such image)
    if dof is None:
        return chisq
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(dof > 0, chisq / dof, np.nan).astype(np.float32)


def _flag_planes(flags: np.ndarray) -> list[Plane]:
    """Return an image of all flags of the exposure, and one of each that some pixel has."""
    counts = {bit: int(np.count_nonzero(flags & np.uint32(1 << bit))) for bit in range(len(dq.NAMES))}
    some = int(np.count_nonzero(flags))
    planes = [Plane("dq", f"Any ({some} pixels)", "Flags", "", lambda *_: flags)]
    return planes + [_flag_plane(flags, bit, count) for bit, count in counts.items() if count]


def _flag_plane(flags: np.ndarray, bit: int, count: int) -> Plane:
    name, mask = dq.NAMES[bit], np.uint32(1 << bit)
    title = f"{name} ({count} pixel{'s' if count > 1 else ''})"
    return Plane(f"dq-{name}", title, "Flags", "", lambda *_: flags & mask)
