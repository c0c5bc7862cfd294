"""Roman's files, in ASDF: the linearity step's ramps, and references.

A tree is taken as it stands: tags of other packages stay tags, so no code of theirs works on what the file holds, and
arrays must be in the file itself, so no other file is opened and nothing is fetched.
"""

from __future__ import annotations

import os
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from rampfit_numba.checks import check_path
from rampfit_numba.exposure import Exposure
from rampfit_numba.io.asdf_trees import RefusedError, asdf_alone, check_asdf
from rampfit_numba.messages import RampFileError, how_to_install

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType

#: How files of ASDF begin.
MAGIC = b"#ASDF"
#: And how those end that were written whole.
_END = b"...\n"
_STEP = (
    "give the output of the linearity step: strun roman_elp r..._uncal.asdf --steps.linearity.save_results=true writes "
    "r..._linearity.asdf"
)
_CUBE, _IMAGE = 3, 2
#: Carried over to the image as they are.
COPIED = (
    "amp33",
    *(f"{kind}border_ref_pix_{side}" for kind in ("", "dq_") for side in ("left", "right", "top", "bottom")),
)


def is_asdf(path: str | os.PathLike[str]) -> bool:
    """Tell whether a file is one of ASDF, by its first bytes; False where it cannot be read."""
    try:
        if not Path(path).is_file():  # a pipe would be waited for
            return False
        with Path(path).open("rb") as file:
            return file.read(len(MAGIC)) == MAGIC
    except OSError:
        return False


def read_roman(path: str | os.PathLike[str]) -> Exposure:
    """Read an exposure of the Roman Space Telescope's WFI from the linearity step's file.

    Parameters
    ----------
    path : path-like
        ``r..._linearity.asdf`` (ASDF, any compression), with ``roman.data`` (resultants, rows, columns) in DN,
        ``groupdq``, ``pixeldq``, and ``read_pattern`` and ``frame_time`` in ``meta.exposure``.

    Returns
    -------
    Exposure
        One integration of the whole frame, its border of reference pixels included; the k-th read ends k frame times
        after the reset.

    Raises
    ------
    RampFileError
        The file cannot be used; the message says why, and what to do.

    Examples
    --------
    >>> from rampfit_numba import read_roman
    >>> exposure = read_roman("demo_linearity.asdf")
    >>> exposure.shape
    (1, 5, 20, 24)
    """
    path = check_path("path", path)
    with _opened(path) as roman:
        meta = _meta(path, roman)
        _check_kind(path, roman, meta)
        data = _array(path, roman, "data", _CUBE)
        if data.dtype.kind != "f":
            raise RampFileError(f"{path}: its data are {data.dtype}, raw counts; {_STEP}")
        groupdq = _array(path, roman, "groupdq" if "groupdq" in roman else "resultantdq", _CUBE, like=data.shape)
        pixeldq = _array(path, roman, "pixeldq", _IMAGE, like=data.shape[1:]) if "pixeldq" in roman else None
    times = _read_times(path, meta, data.shape[0])
    try:
        return Exposure(data[None], groupdq[None], group_time(times), pixeldq=pixeldq, read_times=times)
    except (TypeError, ValueError) as error:
        raise RampFileError(f"{path}: {error}") from error


def read_rate_image(path: Path) -> tuple[np.ndarray, np.ndarray | None] | None:
    """Return the rate and the flags of a rate image (level 2), the pipeline's or ours; None of another file.

    Returns
    -------
    tuple of ndarray, or None
        The rate in DN/s, float32, and the flags, uint32 (None where the file has none), both of shape (nrows, ncols).

    Raises
    ------
    RampFileError
        The file cannot be read, or is no file of Roman.
    """
    with _opened(path) as roman:
        if not _is_image(roman, _meta(path, roman)):
            return None
        rate = _array(path, roman, "data", _IMAGE)
        flags = _array(path, roman, "dq", _IMAGE, like=rate.shape) if "dq" in roman else None
        return np.array(rate, np.float32), None if flags is None else np.array(flags, np.uint32)


def read_surroundings(path: Path) -> tuple[dict[str, Any], str]:
    """Return what else a file of ramps holds, and the tag of the schema that it follows (empty: the file has none).

    That is ``meta``, and the arrays of the reference pixels.

    Raises
    ------
    RampFileError
        The file cannot be read, or is of another kind.
    """
    with _opened(path) as roman:
        meta = _meta(path, roman)
        _check_kind(path, roman, meta)
        tree: dict[str, Any] = {name: _array(path, roman, name) for name in COPIED if name in roman}
        return tree | {"meta": meta}, getattr(roman, "_tag", "") or ""


def read_history(path: Path) -> list[str]:
    """Return the lines of a file's history, all of whose arrays are read.

    Raises
    ------
    RampFileError
        The file cannot be read, or is not whole.
    """
    with plain_asdf() as asdf:
        try:
            _check_end(path)
            _check(path)
            found = asdf.open(
                path, memmap=False, lazy_load=False, ignore_unrecognized_tag=True, ignore_missing_extensions=True
            )
            with found as file:
                return [str(entry["description"]) for entry in file.get_history_entries()]
        except RampFileError:
            raise
        except Exception as error:  # asdf, yaml and the system each have their own classes
            raise _unreadable(path, error) from error


def _check_end(path: Path) -> None:
    """Refuse a file without its end, an index of the blocks, which readers do without."""
    with path.open("rb") as file:
        file.seek(-len(_END), os.SEEK_END)
        if file.read() != _END:
            raise RampFileError(f"{path}: ended early: its index of blocks is cut; make it anew")


def read_reference_image(path: Path, name: str) -> np.ndarray:
    """Return the image of a reference file; `name` is "readnoise" or "gain".

    Raises
    ------
    RampFileError
        The file is no such reference.
    """
    with _opened(path) as roman:
        kind = str(_meta(path, roman).get("reftype", "")).lower()
        if kind and kind != name:
            raise RampFileError(f"{path}: is a {kind} reference file (meta.reftype), not {name}")
        return np.array(_array(path, roman, "data", _IMAGE), np.float32, order="C")


@contextmanager
def plain_asdf() -> Iterator[ModuleType]:
    """Give the package asdf, without what other packages add to it: their tags stay tags, in and out.

    Raises
    ------
    RampFileError
        It is not installed.
    """
    try:
        import asdf
        import lz4.block  # noqa: F401  (of Roman's blocks)
    except ImportError as error:
        raise RampFileError(
            f"files of the Roman Space Telescope need the packages asdf and lz4 ({error}); "
            f"install them ({how_to_install('roman')})"
        ) from error
    with asdf_alone() as asdf:
        yield asdf


@contextmanager
def _opened(path: Path) -> Iterator[dict[str, Any]]:
    """Open a file and give its tree below "roman"; whatever asdf complains about becomes a RampFileError."""
    if not os.path.isfile(path):  # noqa: PTH113  (of a name that no file can have, too)
        there = "is a directory" if os.path.isdir(path) else "is no regular file"  # noqa: PTH112  (the same)
        what = there if os.path.exists(path) else "no such file"  # noqa: PTH110  (the same)
        raise RampFileError(f"{path}: {what}; give an ASDF file")
    with plain_asdf() as asdf:
        try:
            _check(path)
            file = asdf.open(path, memmap=False, ignore_unrecognized_tag=True, ignore_missing_extensions=True)
        except RampFileError:
            raise
        except Exception as error:  # asdf, yaml and the system each have their own classes
            raise _unreadable(path, error) from error
        with file:
            roman = file.tree.get("roman")
            if not isinstance(roman, dict) or "data" not in roman:
                keys = ", ".join(str(key) for key in file.tree if key not in {"asdf_library", "history"}) or "nothing"
                raise RampFileError(f"{path}: is no file of the Roman Space Telescope (it holds {keys}); {_STEP}")
            yield roman


def _check(path: Path) -> None:
    try:
        with path.open("rb") as file:
            check_asdf(file)
    except RefusedError as error:
        raise RampFileError(f"{path}: {error}; give one whole file") from error


def _unreadable(path: Path, error: Exception) -> RampFileError:
    text = " ".join(str(error).split()) or type(error).__name__
    return RampFileError(f"{path}: cannot be read as ASDF ({text}); fetch it again")


def _meta(path: Path, roman: dict[str, Any]) -> dict[str, Any]:
    meta = roman.get("meta")
    if not isinstance(meta, dict):
        raise RampFileError(f"{path}: its tree has no roman.meta; {_STEP}")
    return meta


def _is_kind(roman: dict[str, Any], meta: dict[str, Any], tag: str, model: str) -> bool:
    return tag in (getattr(roman, "_tag", "") or "") or meta.get("model_type", "") == model


def _is_image(roman: dict[str, Any], meta: dict[str, Any]) -> bool:
    return _is_kind(roman, meta, "wfi_image", "ImageModel")


def _check_kind(path: Path, roman: dict[str, Any], meta: dict[str, Any]) -> None:
    """Refuse files from before the linearity step, and from after the fit."""
    steps = meta.get("cal_step") or {}
    if _is_kind(roman, meta, "wfi_science_raw", "ScienceRawModel"):
        raise RampFileError(f"{path}: is an uncalibrated (L1) file; {_STEP}")
    if _is_image(roman, meta):
        raise RampFileError(f"{path}: is a rate image, its ramps are gone; {_STEP}")
    if steps.get("linearity", "COMPLETE") != "COMPLETE":
        raise RampFileError(f"{path}: meta.cal_step.linearity is {steps['linearity']!r}, not 'COMPLETE'; {_STEP}")


def _array(
    path: Path, roman: dict[str, Any], name: str, ndim: int = 0, like: tuple[int, ...] | None = None
) -> np.ndarray:
    if name not in roman:
        raise RampFileError(f"{path}: its tree has no roman.{name}; {_STEP}")
    try:
        array = np.asarray(roman[name])
    except Exception as error:  # as above
        raise _unreadable(path, error) from error
    if ndim and array.ndim != ndim:
        raise RampFileError(f"{path}: roman.{name} must have {ndim} axes; it has {array.ndim}")
    if like is not None and array.shape != like:
        raise RampFileError(f"{path}: roman.{name} must have shape {like}, to go with data; it has {array.shape}")
    return array


def _read_times(path: Path, meta: dict[str, Any], nresultants: int) -> list[list[float]]:
    exposure = meta.get("exposure") or {}
    times = times_of_reads(path, exposure.get("read_pattern"), exposure.get("frame_time"))
    if len(times) != nresultants:
        raise RampFileError(
            f"{path}: meta.exposure.read_pattern has {len(times)} resultants, but roman.data has {nresultants}"
        )
    return times


def times_of_reads(source: Any, read_pattern: Any, frame_time: Any) -> list[list[float]]:  # noqa: ANN401
    """Return the times of the reads of each resultant in s; the k-th read ends k frame times after the reset.

    Parameters
    ----------
    source : object
        What messages call the exposure.
    read_pattern : sequence of sequences of int
        The reads of each resultant.
    frame_time : float
        Time of a read in s.

    Raises
    ------
    RampFileError
        One of them is none.
    """
    if isinstance(frame_time, bool) or not isinstance(frame_time, int | float) or not 0 < frame_time < np.inf:
        raise RampFileError(f"{source}: meta.exposure.frame_time must be a number of seconds > 0; it is {frame_time!r}")
    try:
        return [(np.asarray(list(reads), float) * frame_time).tolist() for reads in read_pattern]
    except (TypeError, ValueError):
        raise RampFileError(
            f"{source}: meta.exposure.read_pattern must be a list of lists of reads; it is {read_pattern!r}"
        ) from None


def group_time(times: list[list[float]]) -> float:
    """Return the mean time from resultant to resultant in s; of a single one, its time."""
    means = [float(np.mean(reads)) for reads in times if reads] or [1.0]
    # Times that do not rise are refused as such, by the exposure.
    return abs(means[-1] - means[0]) / (len(means) - 1) or 1.0 if len(means) > 1 else means[0]
