"""Files that are no FITS, truncated or damaged: one clear line each, and never a crash."""

from __future__ import annotations

import gzip
import os
import warnings

import numpy as np
import pytest

from rampfit_numba import RampFileError, read_exposure, read_ima, read_roman, write_products
from rampfit_numba.cli.commands import parse
from tests.make_files import SHAPE, ramp_hdulist, ramp_refused, save, some_fit, to_bytes


def test_no_file(tmp_path):
    ramp_refused(tmp_path / "none.fits", "no such file")


@pytest.mark.parametrize("name", ["a" * 300, "a/" * 3000 + "x.fits", "a\0b.fits"])
@pytest.mark.parametrize("read", [read_exposure, read_ima, read_roman], ids=lambda read: read.__name__)
def test_a_name_that_no_file_can_have(name, read):
    with pytest.raises(RampFileError, match=r"no such file|no name that a file can have|File name too long"):
        read(name)


def test_a_word_too_long_for_a_name_is_no_command(capsys):
    with pytest.raises(SystemExit):
        parse(["a" * 300])
    assert "is neither a file nor a command" in capsys.readouterr().err


def test_folder(tmp_path):
    ramp_refused(tmp_path, "is a directory")


def test_empty(tmp_path):
    (tmp_path / "r.fits").touch()
    ramp_refused(tmp_path / "r.fits", "is empty")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_pipe_does_not_block(tmp_path):
    os.mkfifo(tmp_path / "r.fits")
    ramp_refused(tmp_path / "r.fits", "no regular file")


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read everything")
def test_no_permission(tmp_path):
    path = save(ramp_hdulist(), tmp_path / "r.fits")
    path.chmod(0)
    ramp_refused(path, "Permission denied")


@pytest.mark.parametrize("content", [b"x", b"PK\x03\x04" * 2000, b"SIMPLE\n" * 1000, b"\x00" * 5760])
def test_no_fits(tmp_path, content):
    for name, stored in (("r.fits", content), ("r.fits.gz", gzip.compress(content))):
        (tmp_path / name).write_bytes(stored)
        ramp_refused(tmp_path / name, "no FITS file")


def test_header_without_end(tmp_path):
    (tmp_path / "r.fits").write_bytes(b"SIMPLE  =                    T".ljust(80) + b" " * (2880 * 20_001))
    ramp_refused(tmp_path / "r.fits", "no FITS file", "END")


def test_truncated_anywhere(tmp_path):
    content = to_bytes(ramp_hdulist())
    last = content.rindex(b"XTENSION")  # GROUPDQ, whose data end before the padding does
    whole = last + 2880 + int(np.prod(SHAPE))
    path = tmp_path / "r.fits"
    for size in [*range(1, whole, 487), *range(2880, whole, 2880), whole - 1]:
        path.write_bytes(content[:size])
        ramp_refused(path)
    for size in (whole, len(content)):
        path.write_bytes(content[:size])
        assert read_exposure(path).shape == SHAPE
    path.write_bytes(content[: last + 3000])
    ramp_refused(path, "truncated", "extension GROUPDQ", "fetch it again")


def test_truncated_compressed_file(tmp_path):
    content = gzip.compress(to_bytes(ramp_hdulist()), 1)
    path = tmp_path / "r.fits.gz"
    for size in [*range(2, len(content), 211), len(content) - 1]:
        path.write_bytes(content[:size])
        ramp_refused(path, "truncated")


def test_compressed_truncated_file(tmp_path):
    content = to_bytes(ramp_hdulist())
    path = tmp_path / "r.fits.gz"
    for size in (4000, 9000, content.rindex(b"XTENSION") + 2881):
        path.write_bytes(gzip.compress(content[:size], 1))
        ramp_refused(path, "truncated")


def test_bytes_after_the_last_hdu_do_not_matter(tmp_path):
    content = to_bytes(ramp_hdulist())
    for number, rest in enumerate((b"\x00" * 2880, b"abc", b"junk" * 3000)):
        path = tmp_path / f"{number}.fits"
        path.write_bytes(content + rest)
        assert read_exposure(path).shape == SHAPE


def test_sizes_without_sense(tmp_path):
    content = to_bytes(ramp_hdulist())
    path = tmp_path / "r.fits"
    for number, (card, other) in enumerate(
        [("NAXIS1  =                    7", "NAXIS1  =                   -7"),
         ("NAXIS1  =                    7", "NAXIS1  =             70000000"),
         ("BITPIX  =                  -32", "BITPIX  =                   12"),
         ("PCOUNT  =                    0", "PCOUNT  =                   -1")]
    ):  # fmt: skip
        path.write_bytes(content.replace(card.encode(), other.encode()))
        ramp_refused(path, "truncated" if number == 1 else "damaged", "SCI")


def test_damaged_headers_are_read_or_refused(tmp_path):
    content = bytearray(to_bytes(ramp_hdulist(optional=True)))
    starts = [0, *(i for i in range(0, len(content), 2880) if content.startswith(b"XTENSION", i))]
    random = np.random.default_rng(5)
    path = tmp_path / "r.fits"
    for _ in range(100):
        damaged = content.copy()
        for _ in range(random.integers(1, 4)):
            damaged[random.choice(starts) + random.integers(0, 1600)] = random.integers(0, 256)
        path.write_bytes(damaged)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # astropy's remarks on cards
            try:
                exposure = read_exposure(path)
            except RampFileError:
                continue
            assert exposure.data.shape == exposure.groupdq.shape
            # What could be read can be written: no fault of a header costs a fit.
            write_products(some_fit(exposure.header, exposure.shape), tmp_path, "x", overwrite=True)
