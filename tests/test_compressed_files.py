"""Compressed input: the products are those of the file as it was, in memory and beyond it."""

from __future__ import annotations

import gzip
import logging
import re
import subprocess
import sys

import numpy as np
import pytest
from astropy.io import fits

import rampfit_numba.sections
from rampfit_numba import RampFileError, fit_file, fit_files, read_exposure, read_reads, read_reference
from rampfit_numba.cli import main
from rampfit_numba.io import scratch
from tests.make_files import (
    compressed_by_tiles,
    listing,
    ramp_hdulist,
    ramp_refused,
    reference_hdulist,
    save,
    to_bytes,
    wait_for_another_time,
)

SHAPE = (4, 5, 9, 21)
#: What tells products of one name and another, and of one time and another.
_OWN = re.compile(rb"DATE    = '[0-9T:.-]{23}'|rampfit_numba record: \w+|(?<=')\w+(?=_rate)|(?<=').fits.[fg]z")
KINDS = {
    "gzip": lambda hdulist, path: save(hdulist, path.with_name("x_jump.fits.gz")),
    "rice": lambda hdulist, path: save(compressed_by_tiles(hdulist), path.with_name("x_jump.fits.fz")),
    "gzip tiles": lambda hdulist, path: save(
        compressed_by_tiles(hdulist, "GZIP_2", "GZIP_1"), path.with_name("x_jump.fits.fz")
    ),
    "large tiles": lambda hdulist, path: save(_of_large_tiles(hdulist), path.with_name("x_jump.fits.fz")),
}
#: All in memory; SCI in a temporary file; all of them.
BUDGETS = {"memory": "1 GiB", "some": 40_000, "none": 2_000}


def _of_large_tiles(hdulist):
    """Return a file whose tiles are neither rows nor planes, and do not end where the image does."""
    found = compressed_by_tiles(hdulist)
    for number, hdu in enumerate(hdulist):
        if isinstance(hdu, fits.ImageHDU) and hdu.data.ndim == 4:
            kind = "GZIP_1" if hdu.data.dtype.kind == "f" else "RICE_1"
            found[number] = fits.CompImageHDU(
                hdu.data, hdu.header, compression_type=kind, quantize_level=0, tile_shape=(3, 2, 4, 8)
            )
    return found


@pytest.fixture(autouse=True)
def no_workspace(monkeypatch):
    """Let the budgets be for the arrays alone."""
    monkeypatch.setattr(rampfit_numba.sections.cut, "workspace_size", lambda *_: 0)


def unsigned_hdulist():
    """Return a ramp file of unsigned integers."""
    hdulist = ramp_hdulist(SHAPE, optional=True)
    hdulist["SCI"].data = hdulist["SCI"].data.clip(0, 65535).astype(np.uint16)
    return hdulist


def contents(folder):
    """Return the products in a folder as bytes, without what depends on the name of the input and on the time."""
    return {path.name: _OWN.sub(b"", path.read_bytes()) for path in sorted(folder.iterdir())}


@pytest.mark.parametrize("budget", BUDGETS)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "make", [lambda: ramp_hdulist(SHAPE, optional=True), unsigned_hdulist], ids=["float", "uint16"]
)
def test_products_are_those_of_the_file_as_it_was(tmp_path, kind, make, budget):
    path = save(make(), tmp_path / "x_jump.fits")
    packed = KINDS[kind](make(), path)
    fit_file(path, 14.0, 1.8, output_dir=tmp_path / "plain")
    fit_file(packed, 14.0, 1.8, output_dir=tmp_path / "packed", max_memory=BUDGETS[budget])
    assert listing(tmp_path / "packed") == ["x_rate.fits", "x_rateints.fits"]
    assert contents(tmp_path / "packed") == contents(tmp_path / "plain")


def scaled_bytes(hdulist, pack=lambda hdulist: hdulist, **cards):
    """Return a file with cards in its SCI header that astropy would apply itself if they were there when it writes."""
    for keyword, value in cards.items():
        hdulist["SCI"].header[f"X{keyword[1:]}"] = value
    content = to_bytes(pack(hdulist))
    for keyword in cards:
        assert content.count(f"X{keyword[1:]:7s}=".encode()) == 1
        content = content.replace(f"X{keyword[1:]:7s}=".encode(), f"{keyword:8s}=".encode())
        del hdulist["SCI"].header[f"X{keyword[1:]}"]
    return content


@pytest.mark.parametrize("budget", BUDGETS)
@pytest.mark.parametrize("name", ["x_jump.fits", "x_jump.fits.gz", "x_jump.fits.fz"])
def test_scaled_values(tmp_path, name, budget):
    """Also of files that are not compressed: their physical values stand nowhere in the file."""
    hdulist = ramp_hdulist(SHAPE, optional=True)
    hdulist["SCI"].data = hdulist["SCI"].data.astype(">i2")
    cards = {"BSCALE": 0.1, "BZERO": 100.0, "BLANK": int(hdulist["SCI"].data[1, 1, 1, 1])}
    pack = {"pack": compressed_by_tiles} if name.endswith("fz") else {}
    content = scaled_bytes(hdulist, **pack, **cards)
    path = tmp_path / name
    path.write_bytes(gzip.compress(content) if name.endswith("gz") else content)
    stored = hdulist["SCI"].data
    physical = np.where(stored == cards["BLANK"], np.nan, stored * 0.1 + 100)
    assert np.isnan(physical).any()
    hdulist["SCI"].data = physical.astype(">f4")
    expected = fit_file(save(hdulist, tmp_path / "expected.fits"), 14.0, 1.8, output_dir=tmp_path / "expected")
    found = fit_file(path, 14.0, 1.8, output_dir=tmp_path / "found", max_memory=BUDGETS[budget])
    for one, other in zip(found, expected, strict=True):
        with fits.open(one) as ours, fits.open(other) as theirs:
            for name_of_plane in ("SCI", "ERR", "DQ"):
                np.testing.assert_array_equal(ours[name_of_plane].data, theirs[name_of_plane].data)


@pytest.mark.parametrize(
    "options",
    [
        {"ints": "PLIO_1", "floats": "RICE_1", "quantize_level": 16},
        {"ints": "HCOMPRESS_1", "floats": "HCOMPRESS_1", "quantize_level": 4},
        {"ints": "GZIP_1", "floats": "GZIP_2", "quantize_level": 8, "quantize_method": 1, "dither_seed": 3},
    ],
    ids=lambda options: options["floats"],
)
def test_what_is_lost_is_lost_as_in_astropy(tmp_path, options):
    hdulist = ramp_hdulist(SHAPE)
    hdulist["SCI"].data[1, 2, 3, 4] = np.nan
    hdulist["PIXELDQ"].data = hdulist["PIXELDQ"].data.astype(np.int32) & 0xFFFF
    path = save(compressed_by_tiles(hdulist, **options), tmp_path / "x_jump.fits.fz")
    exposure = read_exposure(path)
    with fits.open(path) as found:
        assert (found["SCI"].data != hdulist["SCI"].data).mean() > 0.5
        np.testing.assert_array_equal(exposure.data, found["SCI"].data)
        np.testing.assert_array_equal(exposure.groupdq, found["GROUPDQ"].data)
        np.testing.assert_array_equal(exposure.pixeldq, found["PIXELDQ"].data)


@pytest.mark.parametrize("executor", ["threads", "processes"])
@pytest.mark.parametrize("kind", ["gzip", "rice"])
def test_workers_read_the_temporary_file(tmp_path, kind, executor):
    path = save(ramp_hdulist(SHAPE), tmp_path / "x_jump.fits")
    packed = KINDS[kind](ramp_hdulist(SHAPE), path)
    fit_file(path, 14.0, 1.8, output_dir=tmp_path / "plain")
    more = {"maximum_cores": 2, "executor": executor, "max_memory": 20_000}
    fit_file(packed, 14.0, 1.8, output_dir=tmp_path / "packed", **more)
    assert contents(tmp_path / "packed") == contents(tmp_path / "plain")


def test_references_and_plain_reads_may_be_compressed(tmp_path):
    image = np.random.default_rng(1).uniform(1, 2, SHAPE[2:]).astype(np.float32)
    hdulist = reference_hdulist(image, start=(11, 21))
    save(hdulist, tmp_path / "gain.fits")
    save(compressed_by_tiles(hdulist), tmp_path / "gain.fits.fz")
    exposure = read_exposure(save(ramp_hdulist(SHAPE), tmp_path / "x_jump.fits"))
    plain, packed = (read_reference(tmp_path / name, exposure, "gain") for name in ("gain.fits", "gain.fits.fz"))
    np.testing.assert_array_equal(packed.data, plain.data)
    reads = np.arange(5 * 4 * 6, dtype=np.uint16).reshape(5, 4, 6)
    fits.HDUList([fits.PrimaryHDU(), fits.CompImageHDU(reads)]).writeto(tmp_path / "reads.fits.fz")
    np.testing.assert_array_equal(read_reads(tmp_path / "reads.fits.fz", frame_time=2.0).data[0], reads)


@pytest.mark.parametrize("kind", ["gzip", "rice"])
def test_the_log_says_so(tmp_path, caplog, kind):
    caplog.set_level(logging.INFO, "rampfit_numba")
    packed = KINDS[kind](ramp_hdulist(SHAPE), tmp_path / "x_jump.fits")
    fit_file(packed, 14.0, 1.8, output_dir=tmp_path / "out", max_memory=2_000)
    assert f"{packed}: is compressed; 19.2 KiB of it are unpacked" in caplog.text
    assert f"{packed}: extension SCI, 14.8 KiB, stands in a temporary file in {tmp_path / 'out'}" in caplog.text


def test_the_command_takes_them(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    save(compressed_by_tiles(ramp_hdulist()), tmp_path / "jw01_jump.fits.fz")
    assert main(["jw01_jump.fits.fz", "--readnoise", "14", "--gain", "1.8", "--quiet"]) == 0
    assert listing(tmp_path) == ["jw01_jump.fits.fz", "jw01_rate.fits", "jw01_rateints.fits"]


@pytest.mark.parametrize("kind", ["gzip", "rice"])
@pytest.mark.parametrize("failure", [KeyboardInterrupt, OSError(28, "No space left on device")])
def test_whatever_stops_it_leaves_nothing(tmp_path, monkeypatch, kind, failure):
    packed = KINDS[kind](ramp_hdulist(SHAPE), tmp_path / "x_jump.fits")

    class Full(scratch.TemporaryFile):
        def create(self):
            super().create().close()
            raise failure

    monkeypatch.setattr(scratch, "TemporaryFile", Full)
    complaint = "extension SCI: its 15120 bytes cannot be written to .* \\(No space left on device\\)"
    kinds = (KeyboardInterrupt, None) if failure is KeyboardInterrupt else (RampFileError, complaint)
    with pytest.raises(kinds[0], match=kinds[1]):
        fit_file(packed, 14.0, 1.8, output_dir=tmp_path / "out", max_memory=2_000)
    assert listing(tmp_path) == [packed.name]


def test_a_file_that_cannot_be_fitted_leaves_nothing(tmp_path):
    """And no folder that was made for its temporary files."""
    hdulist = ramp_hdulist(SHAPE)
    hdulist["PIXELDQ"].data = np.zeros((3, 3), np.uint32)
    save(hdulist, tmp_path / "x_jump.fits.gz")
    with pytest.raises(RampFileError, match="PIXELDQ must have shape"):
        fit_file(tmp_path / "x_jump.fits.gz", 14.0, 1.8, output_dir=tmp_path / "out", max_memory=2_000)
    assert listing(tmp_path) == ["x_jump.fits.gz"]


def test_damaged_tiles_are_one_clear_error(tmp_path):
    """Those of gzip have checksums, others not: what astropy cannot decompress is refused."""
    content = bytearray(to_bytes(compressed_by_tiles(ramp_hdulist(SHAPE))))
    place = content.index(b"\x1f\x8b")
    content[place + 10 : place + 60] = bytes(50)
    path = tmp_path / "x_jump.fits.fz"
    path.write_bytes(content)
    ramp_refused(path, "extension SCI cannot be decompressed (", "fetch the file again")
    for max_memory in (2_000, "1 GiB"):
        with pytest.raises(RampFileError, match="extension SCI cannot be decompressed"):
            fit_file(path, 14.0, 1.8, output_dir=tmp_path / "out", max_memory=max_memory)
    assert listing(tmp_path) == ["x_jump.fits.fz"]


def test_tiles_cannot_claim_what_the_file_does_not_hold(tmp_path):
    content = to_bytes(compressed_by_tiles(ramp_hdulist(SHAPE)))
    card = next(content[i : i + 80] for i in range(0, len(content), 80) if content[i : i + 8] == b"ZNAXIS4 ")
    path = tmp_path / "x_jump.fits.fz"
    path.write_bytes(content.replace(card, str(fits.Card("ZNAXIS4", 70_000_000)).encode()))
    ramp_refused(path, "extension SCI claims 264600000000 bytes, no compressed file of")


def test_both_ways_at_once_are_refused(tmp_path):
    path = tmp_path / "x_jump.fits.fz.gz"
    path.write_bytes(gzip.compress(to_bytes(compressed_by_tiles(ramp_hdulist()))))
    ramp_refused(path, "extension SCI is tile-compressed within a compressed file; gunzip that")


def test_a_file_that_changes_while_it_is_unpacked_is_refused(tmp_path, monkeypatch):
    path = save(compressed_by_tiles(ramp_hdulist()), tmp_path / "x_jump.fits.fz")
    wait_for_another_time(path)
    decompress = fits.CompImageHDU.section.fget
    content = path.read_bytes()

    def changing(self):
        path.write_bytes(content)
        return decompress(self)

    monkeypatch.setattr(fits.CompImageHDU, "section", property(changing))
    ramp_refused(path, "was changed while it was read")


def test_many_files_leave_no_temporary_ones(tmp_path):
    paths = [tmp_path / f"{name}_jump.fits.gz" for name in "abc"]
    for seed, path in enumerate(paths):
        save(ramp_hdulist(SHAPE, seed=seed), path)
    fit_files(paths, 14.0, 1.8, output_dir=tmp_path / "out", max_memory=10_000, progress=False)
    assert listing(tmp_path / "out") == [f"{name}_{kind}.fits" for name in "abc" for kind in ("rate", "rateints")]


MEMORY = """
import re, sys
from pathlib import Path
from rampfit_numba import fit_file
small, path, folder, max_memory = sys.argv[1:]
def peak():
    return int(re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text()).group(1)) * 1024
fit_file(small, 14.0, 1.8, output_dir=folder)
before = peak()
fit_file(path, 14.0, 1.8, output_dir=folder, max_memory=int(max_memory))
print(peak() - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
@pytest.mark.parametrize("kind", ["gzip", "tiles"])
def test_peak_memory_is_bounded_by_the_budget(tmp_path, kind):
    """The arrays alone are larger."""
    shape, budget = (200, 4, 64, 512), 48 << 20

    def hdulist(nints):
        made = ramp_hdulist((1, 4, 64, 512))
        for name in ("SCI", "GROUPDQ"):
            made[name].data = np.repeat(made[name].data, nints, axis=0)
        return made

    def packed(nints, path):
        tiles = {"compression_type": "GZIP_1", "quantize_level": 0, "tile_shape": (1, 1, 64, 512)}
        made = hdulist(nints)
        if kind == "tiles":
            for name in ("SCI", "GROUPDQ"):
                made[name] = fits.CompImageHDU(made[name].data, made[name].header, **tiles)
        return save(made, path)

    ending = {"gzip": "gz", "tiles": "fz"}[kind]
    small = packed(2, tmp_path / f"small_jump.fits.{ending}")
    large = packed(shape[0], tmp_path / f"x_jump.fits.{ending}")
    command = [sys.executable, "-W", "ignore", "-c", MEMORY, small, large, tmp_path / "out", str(budget)]
    grown = int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    assert grown < budget + (32 << 20) < np.prod(shape) * 4


def test_tiles_of_no_size_are_an_error(tmp_path):
    """Astropy decompresses none of them, and what was in memory before would be taken for the image."""
    content = to_bytes(compressed_by_tiles(ramp_hdulist(SHAPE)))
    card = b"ZTILE4  =                    1 "
    assert card in content
    (tmp_path / "x.fits.fz").write_bytes(content.replace(card, b"ZTILE4  =                  -32 "))
    with pytest.raises(RampFileError, match=r"extension \w+ is damaged: tiles of shape \(-32, "):
        read_exposure(tmp_path / "x.fits.fz")
