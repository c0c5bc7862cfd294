"""What is read from a file, beside what astropy or asdf reads from the same bytes."""

from __future__ import annotations

import dataclasses
import gzip
import io
import logging
import warnings
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
from astropy.io import fits

from rampfit_numba import RampFileError, read_exposure, read_ima, read_reference, read_roman
from rampfit_numba.io.roman import plain_asdf

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from rampfit_numba import Exposure

PLANES = {
    "data": "SCI",
    "groupdq": "GROUPDQ",
    "pixeldq": "PIXELDQ",
    "zeroframe": "ZEROFRAME",
    "average_dark_current": "AVDRKCUR",
}
KEYWORDS = {
    "group_time": ("TGROUP", None),
    "frame_time": ("TFRAME", None),
    "nframes": ("NFRAMES", None),
    "groupgap": ("GROUPGAP", 0),
    "drop_frames1": ("DRPFRMS1", 0),
    "instrument": ("INSTRUME", ""),
}


class DifferenceError(AssertionError):
    """What was read is not what the judge reads, or the file was refused in another way than it should be."""


class UnjudgedError(Exception):
    """Astropy reads what it cannot write again."""


class _Reading:
    """What is read of a file: nothing where it is refused in one line that names it; and what was said."""

    def __init__(self, read: Callable[[Path], Any], path: Path) -> None:
        lines = io.StringIO()
        handler, log = logging.StreamHandler(lines), logging.getLogger("rampfit_numba")
        log.addHandler(handler)
        self.result = None
        try:
            with _quiet():
                self.result = read(path)
        except RampFileError as error:
            if "\n" in str(error) or path.name not in str(error):
                raise DifferenceError(f"refused in a strange way: {error}") from error
        finally:
            log.removeHandler(handler)
        self.refused = self.result is None
        self.left_out = "is no FITS and is left out" in lines.getvalue()


@contextmanager
def _quiet() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def judge_ramps(path: Path) -> bool:
    """Compare the exposure in a ramp file with what astropy reads; tell whether it was refused."""
    reading = _Reading(read_exposure, path)
    if reading.refused:
        return True
    exposure = reading.result
    with _by_astropy(path, left_out=reading.left_out) as hdus:
        header = hdus[0].header_as_read
        for argument, name in PLANES.items():
            hdu = next((hdu for hdu in hdus if hdu.name == name), None)
            _same_image(argument, getattr(exposure, argument), getattr(hdu, "data", None))
        if exposure.read_times is None:
            for argument, (keyword, default) in KEYWORDS.items():
                value = header.get(keyword, default)
                _same(
                    argument,
                    getattr(exposure, argument),
                    default if isinstance(value, fits.card.Undefined | None) else value,
                )
        _same_cards("the primary header", exposure.header.primary, header)
        times, table = exposure.header.int_times, next((hdu for hdu in hdus if hdu.name == "INT_TIMES"), None)
        if times is not None:
            _same("INT_TIMES", (times.dtype, times.tobytes()), (table.data.dtype, table.data.tobytes()))
        sci = next(hdu for hdu in hdus if hdu.name == "SCI")
        _same_cards("the header of SCI", exposure.header.sci, sci.header_as_read)
    return False


def judge_wfc3(path: Path) -> bool:
    """Compare what is read with what is read from the file that astropy makes of it; tell whether it was refused."""
    return _judge_by_rewriting(read_ima, path)


def judge_reference(path: Path, exposure: Exposure) -> bool:
    """Do the same for a reference."""
    return _judge_by_rewriting(lambda file: read_reference(file, exposure, "gain"), path)


def judge_roman(path: Path) -> bool:
    """Compare an exposure of Roman's with what asdf reads; tell whether the file was refused."""
    reading = _Reading(read_roman, path)
    if reading.refused:
        return True
    exposure = reading.result
    with (
        _quiet(),
        plain_asdf() as asdf,  # other packages' classes for times and units judge more than what is read
        asdf.open(path, memmap=False, ignore_unrecognized_tag=True, ignore_missing_extensions=True) as file,
    ):
        roman = file.tree["roman"]
        flags = "groupdq" if "groupdq" in roman else "resultantdq"
        _same_image("data", exposure.data[0], np.asarray(roman["data"]))
        _same_image("groupdq", exposure.groupdq[0], np.asarray(roman[flags]))
        if "pixeldq" in roman:
            _same_image("pixeldq", exposure.pixeldq, np.asarray(roman["pixeldq"]))
        details = roman["meta"]["exposure"]
        wanted = tuple(
            tuple(float(read) * details["frame_time"] for read in resultant) for resultant in details["read_pattern"]
        )
        _same("read_times", exposure.read_times, wanted)
    return False


def _judge_by_rewriting(read: Callable[[Path], Any], path: Path) -> bool:
    reading = _Reading(read, path)
    if reading.refused:
        return True
    again = path.with_name("again.fits")
    with _by_astropy(path, left_out=reading.left_out) as hdus:
        try:
            fits.HDUList(hdus).writeto(again, overwrite=True, output_verify="silentfix+ignore")
        except ValueError as error:
            if "printable ASCII" in str(error):
                raise UnjudgedError from error
            raise
    found, rewritten = reading.result, _Reading(read, again)
    wanted = rewritten.result
    if rewritten.refused:
        raise DifferenceError("what astropy makes of it is refused")
    if isinstance(found, np.ndarray):
        _same_image("values", found, wanted)
        return False
    for field in dataclasses.fields(found):
        if field.name == "source":
            continue
        one, other = getattr(found, field.name), getattr(wanted, field.name)
        if isinstance(one, np.ndarray):
            _same_image(field.name, one, other)
        elif isinstance(one, str | int | float | tuple | None):
            _same(field.name, one, other)
    return False


@contextmanager
def _by_astropy(path: Path, *, left_out: bool) -> Iterator[list[Any]]:
    """Give what astropy reads, HDU by HDU; where it stops in the middle, something must have been left out."""
    hdus: list[Any] = []
    try:
        # In memory: after an error astropy closes a file of its own, and the data of what it has read are lost.
        content = path.read_bytes()
        content = gzip.decompress(content) if content.startswith(b"\x1f\x8b") else content
        with _quiet(), fits.open(io.BytesIO(content), memmap=False) as hdulist:
            try:
                while True:
                    hdus.append(hdulist[len(hdus)])
                    hdus[-1].header_as_read = hdus[-1].header.copy()  # astropy changes it with the data
                    unused = isinstance(hdus[-1], fits.CompImageHDU) and hdus[-1].name not in PLANES.values()
                    if getattr(hdus[-1], "is_image", False) and not unused:
                        hdus[-1].data  # noqa: B018  (read now)
            except IndexError:
                pass
            except (OSError, ValueError, TypeError, AttributeError, fits.VerifyError):
                # AttributeError: for astropy, a header of nothing but END is an HDU that has no size.
                if not hdus or not (left_out or _ends_in_padding(content)):
                    raise
            yield hdus
    except (DifferenceError, UnjudgedError):
        raise
    except Exception as error:
        complaint = f"astropy cannot read it ({type(error).__name__}: {error}), and it was not refused"
        raise DifferenceError(complaint) from error


def _ends_in_padding(content: bytes) -> bool:
    """Whether the last block is nothing: astropy stops at one of blanks and zeros."""
    return not content[-2880:].strip(b"\0 ")


def _same(name: str, found: object, wanted: object) -> None:
    if found != wanted and not (found != found and wanted != wanted):  # noqa: PLR0124  (NaN)
        raise DifferenceError(f"{name} is {found!r}; the judge reads {wanted!r}")


def _same_image(name: str, found: Any, wanted: Any) -> None:
    if wanted is None:
        # Exposures have flags of zero where the file has none.
        if found is not None and np.asarray(found).any():
            raise DifferenceError(f"{name} is there; the judge reads none")
        return
    if found is None:
        raise DifferenceError(f"{name} is missing; the judge reads {wanted.shape}")
    found, wanted = np.asarray(found), np.asarray(wanted)
    if found.shape != wanted.shape or not np.array_equal(found, wanted.astype(found.dtype), equal_nan=True):
        raise DifferenceError(f"{name} of {found.shape}, {found.ravel()[:3]}; the judge reads {wanted.ravel()[:3]}")


def _same_cards(name: str, found: fits.Header, wanted: fits.Header) -> None:
    one, other = _cards(found), _cards(wanted)
    unlike = [pair for pair in zip(one, other, strict=False) if None not in pair and pair[0] != pair[1]]
    if unlike or len(one) != len(other):
        lines = unlike[0] if unlike else (len(one), len(other))
        raise DifferenceError(f"{name} has {lines[0]!r}; the judge reads {lines[1]!r}")


def _cards(header: fits.Header) -> list[str | None]:
    """Return the cards as they stand in the file; astropy sets EXTEND, and what is no text cannot be written again."""
    cards: list[str | None] = []
    for card in header.cards:
        try:
            image = "".join(character if " " <= character <= "~" else "?" for character in card.image)
        except (fits.VerifyError, ValueError):
            cards.append(None)  # astropy cannot tell
            continue
        if image.strip() and not image.startswith("EXTEND "):
            cards.append(image)
    return cards
