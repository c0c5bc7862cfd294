"""The Roman pipeline's rate image (L2), from a fit: the planes of romancal 1.1, and rules of its own."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from rampfit_numba import dq
from rampfit_numba._version import __version__
from rampfit_numba.io.outputs import check_outputs
from rampfit_numba.io.product_headers import history_lines
from rampfit_numba.io.roman import plain_asdf, read_roman, read_surroundings
from rampfit_numba.io.whole_files import write_all
from rampfit_numba.messages import RampFileError

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Sequence
    from typing import BinaryIO

    from rampfit_numba.exposure import Exposure
    from rampfit_numba.result import RampFit

# Reference pixels on each side, which the image does not have.
_BORDER = 4
_SCIENCE = (slice(_BORDER, -_BORDER), slice(_BORDER, -_BORDER))
# Rows at a time where float64 is needed.
_ROWS = 64
_UNKNOWN = -999999
_UNUSABLE = dq.DO_NOT_USE | dq.SATURATED
# What the linearity step, and those before it, append to a name.
_SUFFIXES = (
    *("uncal", "dqinit", "saturation", "refpix", "dark_decay", "darkdecay", "wfi18_transient", "wfi18transient"),
    *("linearity", "ramp", "rampfit"),
)


def image_path(basename: str | os.PathLike[str], output_dir: str | os.PathLike[str]) -> Path:
    """Return the path of the image: the name of the ramps' file, its last step's suffix replaced by ``_rampfit``.

    Examples
    --------
    >>> image_path("data/r0000101_wfi01_linearity.asdf", "out").as_posix()
    'out/r0000101_wfi01_rampfit.asdf'
    """
    base = Path(basename).name.removesuffix(".asdf")
    for suffix in _SUFFIXES:
        if base.lower().endswith(f"_{suffix}") and len(base) > len(suffix) + 1:
            base = base[: -len(suffix) - 1]
            break
    return Path(output_dir) / f"{base}_rampfit.asdf"


def write_roman(
    fit: RampFit,
    path: str | os.PathLike[str],
    ramp: str | os.PathLike[str],
    *,
    overwrite: bool = False,
) -> Path:
    """Write the rate image of a Roman exposure as romancal does.

    Parameters
    ----------
    fit : RampFit
        Of the exposure that :func:`rampfit_numba.read_roman` read from `ramp`.
    path : path-like
        The file to write, ``..._rampfit.asdf``.
    ramp : path-like
        The file that was fitted: its metadata and reference pixels are carried over.
    overwrite : bool
        Whether the file may exist.

    Returns
    -------
    Path
        The file written.

    Raises
    ------
    RampFileError
        A file cannot be read or written.
    ValueError
        The fit is not one of these ramps.

    Examples
    --------
    >>> from rampfit_numba import fit_ramps, read_roman, write_roman
    >>> exposure = read_roman("demo_linearity.asdf")
    >>> fit = fit_ramps(exposure, readnoise=5.0, gain=2.0, algorithm="likely", readnoise_kind="single")
    >>> write_roman(fit, "demo_rampfit.asdf", "demo_linearity.asdf").name
    'demo_rampfit.asdf'
    """
    return write_image(fit, Path(path), Path(ramp), overwrite=overwrite, inputs=[Path(ramp)])


def write_image(
    fit: RampFit,
    path: Path,
    ramp: Path,
    *,
    overwrite: bool = False,
    inputs: Iterable[Path] = (),
    references: dict[str, str] | None = None,
    history: Sequence[str] = (),
) -> Path:
    """Write the image of a fit; `references` are the names of read noise and gain. As :func:`write_roman` else.

    `history` are lines to follow what the file's history says about the fit.
    """
    check_outputs([path], overwrite=overwrite, inputs=inputs)
    tree, tag = read_surroundings(ramp)
    exposure = None if fit.inputs is None else fit.inputs.exposure
    if exposure is None or exposure.read_times is None:
        exposure = read_roman(ramp)
    tree |= {"meta": _meta(tree["meta"], path.name, references or {})} | image_planes(fit, exposure)
    document = _Document(tree, tag, history_lines(fit, history))
    write_all([(path, document)], overwrite=overwrite)
    return path


@dataclass(frozen=True)
class _Document:
    """An image on its way to its file."""

    tree: dict[str, Any]
    tag: str
    history: Sequence[str]

    def write_to(self, file: BinaryIO) -> None:
        """Write the file whole, compressed as Roman's are."""
        with plain_asdf() as asdf:
            node: Any = self.tree
            if self.tag:
                node = asdf.tagged.TaggedDict(self.tree, self.tag.replace("/ramp-", "/wfi_image-"))
            document = asdf.AsdfFile({"roman": node})
            software = {"name": "rampfit_numba", "version": __version__}
            for number, line in enumerate(self.history):
                document.add_history_entry(line, *([software] if number == 0 else []))
            document.write_to(file, all_array_compression="lz4")


def image_planes(fit: RampFit, exposure: Exposure) -> dict[str, np.ndarray]:
    """Return the planes of an image by name.

    Rates (DN/s) and flags as they are, the rest in half precision, without the border of reference pixels.

    Parameters
    ----------
    fit : RampFit
    exposure : Exposure
        Its ramps.

    Raises
    ------
    ValueError
        The fit is not one of these ramps, or they are nothing but border.
    """
    rate = fit.rate
    if rate.data.shape != exposure.shape[2:]:
        raise ValueError(f"fit: expected that of ramps of {exposure.shape[2:]} pixels; got {rate.data.shape}")
    if min(rate.data.shape) <= 2 * _BORDER:
        raise RampFileError(f"{rate.data.shape} pixels are nothing but a border of {_BORDER} reference pixels")
    groupdq = exposure.groupdq[0] if fit.groupdq is None else fit.groupdq[0]
    image = {"data": rate.data[_SCIENCE].copy(), "dq": (rate.dq | few_resultants(groupdq))[_SCIENCE]}
    for name, plane in (("err", rate.err), ("var_poisson", rate.var_poisson), ("chisq", rate.chisq)):
        image[name] = _half(np.zeros_like(rate.data) if plane is None else plane)
    image["dumo"] = _uniform_minus_optimal(exposure, rate.data)
    if fit.groupdq is not None:
        image["jump_indices"] = jump_indices(groupdq)
    return image


def _meta(meta: dict[str, Any], filename: str, references: dict[str, str]) -> dict[str, Any]:
    """Return the image's metadata: those of the ramps, with what the fit changes."""
    found = copy.deepcopy(meta)
    found["model_type"], found["product_type"], found["filename"] = "ImageModel", "l2", filename
    found["cal_logs"] = []
    names = ("conversion_megajanskys", "conversion_megajanskys_uncertainty", "pixel_area")
    found["photometry"] = dict.fromkeys(names, _UNKNOWN)
    found["cal_step"] = dict(found.get("cal_step") or {}) | {"ramp_fit": "COMPLETE"}
    found.setdefault("wcs", None)
    if isinstance(found.get("ref_file"), dict):
        found["ref_file"].update(references)
    _set_date(found)
    return found


def _set_date(meta: dict[str, Any]) -> None:
    """Set the date of the file, in the form that it had: a tagged text, or a text with its format beside it."""
    date = meta.get("file_date")
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3]
    if isinstance(date, dict) and "value" in date:
        date["value"] = now
    elif isinstance(date, str):
        tag = getattr(date, "_tag", "")
        meta["file_date"] = _tagged(now, tag) if tag else now


def _tagged(text: str, tag: str) -> Any:  # noqa: ANN401
    with plain_asdf() as asdf:
        found = asdf.tagged.TaggedString(text)
        found._tag = tag  # noqa: SLF001  (asdf has no other way)
        return found


def few_resultants(groupdq: np.ndarray) -> np.ndarray:
    """Return DO_NOT_USE, as uint32, where at most one resultant is free of SATURATED and DO_NOT_USE."""
    free = np.zeros(groupdq.shape[1:], np.uint16)
    for flags in groupdq:
        free += (flags & np.uint8(_UNUSABLE)) == 0
    return np.where(free <= 1, np.uint32(dq.DO_NOT_USE), np.uint32(0))


def _half(plane: np.ndarray) -> np.ndarray:
    with np.errstate(over="ignore", invalid="ignore"):  # what half precision cannot hold is infinite
        return plane[_SCIENCE].astype(np.float16)


def _uniform_minus_optimal(exposure: Exposure, rate: np.ndarray) -> np.ndarray:
    """Return the slope with uniform weights minus that of the fit ("dumo"), flags ignored, in half precision.

    The weight of a resultant of n reads at mean time t is (N n t - S1 n) / (N S2 - S1^2), with the sums N of n, S1 of
    n t and S2 of n t^2 over all resultants: least squares where read noise dominates.
    """
    times = exposure.read_times
    assert times is not None  # noqa: S101  (for mypy)
    reads, mean = np.array([len(group) for group in times]), np.array([np.mean(group) for group in times])
    count, first, second = np.sum(reads), np.sum(reads * mean), np.sum(reads * mean**2)
    spread = count * second - first**2
    data = exposure.data[0]
    rows, cols = (size - 2 * _BORDER for size in rate.shape)
    found = np.empty((rows, cols), np.float16)
    with np.errstate(all="ignore"):  # of a single resultant, or what half precision cannot hold
        weights = (count * reads * mean - first * reads) / spread
        for top in range(0, rows, _ROWS):
            part = slice(_BORDER + top, _BORDER + min(top + _ROWS, rows)), _SCIENCE[1]
            slope = np.zeros((part[0].stop - part[0].start, cols))
            for weight, plane in zip(weights, data, strict=True):
                slope += weight * plane[part]
            found[top : top + _ROWS] = (slope - rate[part]).astype(np.float16)
    return found


def jump_indices(groupdq: np.ndarray) -> np.ndarray:
    """Return resultant, row and column of every jump in the image, as int16 of shape (n, 3)."""
    found = []
    for number, flags in enumerate(groupdq):
        rows, cols = np.nonzero(flags[_SCIENCE] & np.uint8(dq.JUMP_DET))
        found.append(np.stack([np.full_like(rows, number), rows, cols], axis=1).astype(np.int16))
    return np.concatenate(found)
