"""Files that are damaged, or change while they are read: what astropy reads from the same bytes, or an error."""

from __future__ import annotations

import io
import os
import re
import threading

import numpy as np
import pytest
from astropy.io import fits

from rampfit_numba import Exposure, RampFileError, RampFitWarning, fit_ramps, read_exposure, read_reference
from rampfit_numba.io import hdus
from tests.make_files import ramp_hdulist, reference_hdulist, save, to_bytes, wait_for_another_time
from tests.scripts import LINUX

SHAPE = (2, 5, 6, 7)


def sound():
    return bytearray(to_bytes(ramp_hdulist(SHAPE, optional=True)))


def header_of_extension(content, name):
    """Return where the header of an extension begins, and where its END card does."""
    where = content.index(b"EXTNAME = '%-8s'" % name.encode())
    return content.rindex(b"XTENSION", 0, where), content.index(b"END".ljust(80), where)


def extensions():
    with fits.open(io.BytesIO(sound())) as hdulist:
        return [hdu.name for hdu in hdulist[1:]]


# -------------------------------------------------------------------------------------------------------------- headers
@pytest.mark.parametrize("name", extensions())
@pytest.mark.parametrize("place", [3, 8, 40, 79])
def test_a_damaged_end_of_a_header_is_an_error(tmp_path, name, place):
    """Whoever reads on takes data for cards, and those of a later extension for its own."""
    content = sound()
    _, end = header_of_extension(content, name)
    content[end + place] = ord("?")
    (tmp_path / "x.fits").write_bytes(content)
    with pytest.raises(RampFileError, match="a header is damaged"):
        read_exposure(tmp_path / "x.fits")


@pytest.mark.parametrize("name", extensions())
def test_a_lost_end_of_a_header_is_an_error(tmp_path, name):
    content = sound()
    _, end = header_of_extension(content, name)
    content[end] ^= 1
    (tmp_path / "x.fits").write_bytes(content)
    with pytest.raises(RampFileError, match=r"x\.fits: "):
        read_exposure(tmp_path / "x.fits")


def test_a_keyword_that_begins_like_the_end_is_none(tmp_path):
    hdulist = ramp_hdulist(SHAPE)
    hdulist["SCI"].header["ENDTIME"] = 3.5
    hdulist["SCI"].header["END_DATE"] = "today"
    save(hdulist, tmp_path / "x.fits")
    assert read_exposure(tmp_path / "x.fits").header.sci["ENDTIME"] == 3.5


@pytest.mark.parametrize("name", extensions())
@pytest.mark.parametrize("bit", [0, 3, 5])
def test_an_extension_that_does_not_begin_as_one_is_an_error(tmp_path, name, bit):
    """It and all that follow would be left out: other flags, other rates."""
    content = sound()
    begin, _ = header_of_extension(content, name)
    content[begin] ^= 1 << bit
    (tmp_path / "x.fits").write_bytes(content)
    with pytest.raises(RampFileError, match=r"is an extension with a damaged header|is missing"):
        read_exposure(tmp_path / "x.fits")


@pytest.mark.parametrize("put_in", [b"\0" * 80, b"x" * 37, b" " * 2880 + b"\0"])
def test_bytes_put_in_before_an_extension_are_an_error(tmp_path, put_in):
    """Astropy takes them for cards, and finds the extension: it must not be lost."""
    content = sound()
    begin, _ = header_of_extension(content, "ZEROFRAME")
    content[begin:begin] = put_in
    path = tmp_path / "a_jump.fits"
    path.write_bytes(content)
    with pytest.raises(RampFileError, match=r"what follows extension .* is an extension with a damaged header"):
        read_exposure(path)


def test_a_header_of_zeros_before_other_extensions_is_an_error(tmp_path):
    content = sound()
    begin, _ = header_of_extension(content, extensions()[-2])
    content[begin : begin + 2880] = bytes(2880)
    (tmp_path / "x.fits").write_bytes(content)
    with pytest.raises(RampFileError, match="is an extension with a damaged header"):
        read_exposure(tmp_path / "x.fits")


@pytest.mark.parametrize("rest", [bytes(2880), b" " * 28800, b""])
def test_padding_is_not_worth_a_word(tmp_path, caplog, rest):
    (tmp_path / "x.fits").write_bytes(sound() + rest)
    read_exposure(tmp_path / "x.fits")
    assert caplog.text == ""


@pytest.mark.parametrize("rest", [b"abc", b"junk" * 3000, bytes(99) + b"\1"])
def test_what_is_no_fits_is_named(tmp_path, caplog, rest):
    (tmp_path / "x.fits").write_bytes(sound() + rest)
    read_exposure(tmp_path / "x.fits")
    assert (
        f"what follows extension {extensions()[-1]}, at byte {len(sound())}, is no FITS and is left out" in caplog.text
    )


# --------------------------------------------------------------------------------------------------------------- claims
def test_a_compressed_file_may_not_claim_what_it_cannot_hold(tmp_path):
    import gzip

    content = bytes(sound()).replace(b"NAXIS1  =                    7", b"NAXIS1  =             50000000")
    (tmp_path / "x.fits.gz").write_bytes(gzip.compress(content))
    with pytest.raises(RampFileError, match=r"ends at byte \d+, no compressed file of \d+ bytes goes so far"):
        read_exposure(tmp_path / "x.fits.gz")


def test_a_compressed_file_that_is_sound_is_read(tmp_path):
    """Also one that is nearly all zeros, which is compressed a thousand times."""
    import gzip

    hdulist = ramp_hdulist((1, 5, 256, 256))
    hdulist["SCI"].data[...] = 0
    (tmp_path / "x.fits.gz").write_bytes(gzip.compress(to_bytes(hdulist)))
    exposure = read_exposure(tmp_path / "x.fits.gz")
    assert not exposure.data.any()
    assert not exposure.data.flags.writeable


def test_no_group_is_the_mean_of_a_billion_frames(tmp_path):
    save(ramp_hdulist(SHAPE, {"NFRAMES": 10**9}), tmp_path / "x.fits")
    with pytest.raises(RampFileError, match=r"keyword NFRAMES = 1000000000: no group is the mean of so many"):
        read_exposure(tmp_path / "x.fits")
    with pytest.raises(ValueError, match=r"nframes: expected groups of fewer frames"):
        fit_ramps(Exposure(np.ones(SHAPE), None, 1.0, nframes=10**9), 12.0, 2.0, algorithm="likely")


@pytest.mark.parametrize("form", ["0X", "1PD(5)", "9999999D"])
def test_tables_that_cannot_be_written_again_are_an_error(tmp_path, form):
    hdulist = ramp_hdulist(SHAPE)
    columns = [fits.Column("integration_number", "J", array=[1, 2]), fits.Column("start", "D", array=[1.0, 2.0])]
    hdulist.append(fits.BinTableHDU.from_columns(columns, name="INT_TIMES"))
    content = to_bytes(hdulist)
    old = re.search(rb"TFORM2  = 'D       '", content)
    assert old
    content = content.replace(old.group(), b"TFORM2  = %-10s" % f"'{form}'".encode(), 1)
    (tmp_path / "x.fits").write_bytes(content)
    with pytest.raises(RampFileError, match="extension INT_TIMES cannot be understood"):
        read_exposure(tmp_path / "x.fits")


def test_numbers_beyond_all_sense_are_refused_in_one_sentence():
    class Gradients:
        def __array__(self, dtype=None, copy=None):
            raise RuntimeError("Can't call numpy() on Tensor that requires grad.")

    ramps = np.ones(SHAPE)
    with pytest.raises(ValueError, match=r"group_time: expected a finite number of seconds > 0; got 1000"):
        Exposure(ramps, None, 10**400)
    with pytest.raises(ValueError, match="lastgroup: expected a group of the exposure"):
        fit_ramps(Exposure(ramps, None, 1.0), 12.0, 2.0, lastgroup=10**30)
    for arguments in ({"data": Gradients()}, {"data": ramps, "pixeldq": Gradients()}):
        with pytest.raises(TypeError, match=r"expected an array of numbers; got Gradients \(Can't call numpy"):
            Exposure(**arguments, groupdq=None, group_time=1.0)


# --------------------------------------------------------------------------------------------------------- read times
ASDF = b"#ASDF 1.0.0\n#ASDF_STANDARD 1.5.0\n%YAML 1.1\n%TAG ! tag:stsci.edu:asdf/\n--- !core/asdf-1.1.0\n"


def with_tree(path, tree):
    content = np.frombuffer(ASDF + tree.encode() + b"\n...\n", np.uint8)
    hdulist = ramp_hdulist(SHAPE)
    column = fits.Column("ASDF_METADATA", f"{len(content)}B", array=content[None])
    hdulist.append(fits.BinTableHDU.from_columns([column], name="ASDF"))
    save(hdulist, path)
    return path


@pytest.mark.parametrize("place", ["file:///etc/passwd", "http://127.0.0.1:9/x.asdf", "other.asdf"])
def test_arrays_that_stand_elsewhere_are_not_fetched(tmp_path, monkeypatch, place):
    array = f"!core/ndarray-1.0.0 {{source: '{place}', datatype: float64, byteorder: little, shape: [5]}}"
    path = with_tree(tmp_path / "x.fits", f"meta: {{exposure: {{read_times: {array}}}}}")
    import asdf

    monkeypatch.setattr(asdf, "open", lambda *_, **__: pytest.fail("it was opened"))
    with pytest.raises(RampFileError, match=rf"refers to another file \('{place}'\), which is not opened"):
        read_exposure(path)


def test_arrays_in_extensions_of_the_same_file_are_as_data_models_write_them(tmp_path):
    array = "!core/ndarray-1.0.0 {source: 'fits:SCI,1', datatype: float32, byteorder: big, shape: [2, 5, 4, 6]}"
    times = ", ".join(f"[{2.0 * (group + 1)}]" for group in range(SHAPE[1]))
    path = with_tree(tmp_path / "x.fits", f"data: {array}\nmeta: {{exposure: {{read_times: [{times}]}}}}")
    with pytest.warns(RampFitWarning, match="read_times"):  # they are not those of TGROUP
        exposure = read_exposure(path)
    assert exposure.read_times == tuple((2.0 * (group + 1),) for group in range(SHAPE[1]))


def test_a_tree_that_repeats_itself_without_end_is_refused(tmp_path):
    tree = "a0: &a0 [1,2,3,4,5,6,7,8,9]\n"
    tree += "".join(f"a{i}: &a{i} [{','.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 9))
    path = with_tree(tmp_path / "x.fits", tree + "meta: {exposure: {read_times: [*a8,*a8,*a8,*a8,*a8]}}")
    with pytest.raises(RampFileError, match=r"its tree of \d+ values stands for \d\.\de\+09"):
        read_exposure(path)


def test_read_times_that_are_sound_are_read(tmp_path):
    path = with_tree(
        tmp_path / "x.fits", "a: &a [1.0]\nmeta: {exposure: {read_times: [*a, [2.0], [3.5], [4.0], [5.0]]}}"
    )
    assert read_exposure(path).read_times == ((1.0,), (2.0,), (3.5,), (4.0,), (5.0,))


# ---------------------------------------------------------------------------------------------------- files that change
@LINUX
@pytest.mark.parametrize("kind", [("none", None), (2, "threads"), (2, "processes")])
def test_a_file_that_was_changed_in_place_is_refused(tmp_path, kind):
    """Same inode, same size: after the headers were read, and while the rows are."""
    path = tmp_path / "x.fits"
    save(ramp_hdulist(SHAPE), path)
    cores, executor = kind
    exposure = read_exposure(path)
    fit_ramps(exposure, 12.0, 2.0, maximum_cores=cores, executor=executor)
    status = path.stat()
    content = path.read_bytes()
    wait_for_another_time(path)
    with path.open("r+b") as file:
        file.write(content)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))  # as rsync does: the time of the change tells
    with pytest.raises(RampFileError, match=r"x\.fits: was changed while it was read"):
        fit_ramps(exposure, 12.0, 2.0, maximum_cores=cores, executor=executor)
    fit_ramps(read_exposure(path), 12.0, 2.0)


@LINUX
def test_a_change_at_the_very_end_is_noticed(tmp_path, monkeypatch):
    """When all rows have been read and fitted."""
    from rampfit_numba.engine import executors

    path = tmp_path / "x.fits"
    save(ramp_hdulist(SHAPE), path)
    wait_for_another_time(path)
    run = executors.run_chunks

    def run_and_change(*arguments):
        result = run(*arguments)
        path.touch()
        return result

    monkeypatch.setattr(executors, "run_chunks", run_and_change)
    with pytest.raises(RampFileError, match="was changed while it was read"):
        fit_ramps(read_exposure(path), 12.0, 2.0)


@LINUX
@pytest.mark.parametrize("what", ["scaled", "unsigned", "flags", "reference"])
def test_what_is_copied_is_read_and_not_mapped(tmp_path, monkeypatch, what):
    """A map of a file that shrinks ends the process."""
    path = tmp_path / "x.fits"
    hdulist = ramp_hdulist(SHAPE)
    if what == "scaled":
        hdulist["SCI"].header["BSCALE"] = 2.0
    elif what == "unsigned":
        hdulist["SCI"].data = hdulist["SCI"].data.clip(0, 60_000).astype(np.uint16)
    elif what == "flags":
        hdulist["GROUPDQ"].data = hdulist["GROUPDQ"].data.astype(np.int16)
    save(hdulist, path)
    gain = tmp_path / "gain.fits"
    save(reference_hdulist(np.ones(SHAPE[2:], np.float32), start=(11, 21)), gain)
    exposure = read_exposure(path)
    scan = hdus.scan

    def scan_and_shrink(name, *how):
        found = scan(name, *how)
        os.truncate(name, 2880)
        return found

    monkeypatch.setattr(hdus, "scan", scan_and_shrink)
    with pytest.raises(RampFileError, match=r"it was truncated while it was read|cannot be mapped"):
        read_reference(gain, exposure, "gain") if what == "reference" else read_exposure(path)


@LINUX
def test_who_writes_to_his_own_map_is_not_refused(tmp_path):
    """Only the inode is compared then: the times of such a file change when the system likes."""
    ramps = np.memmap(tmp_path / "ramps.dat", np.float32, "w+", 0, SHAPE)
    ramps[...] = np.cumsum(np.ones(SHAPE), axis=1)
    exposure = Exposure(ramps, None, 1.0)
    stop = threading.Event()

    def touch():
        while not stop.wait(0.001):
            (tmp_path / "ramps.dat").touch()

    other = threading.Thread(target=touch)
    other.start()
    try:
        for _ in range(5):
            assert fit_ramps(exposure, 12.0, 2.0).rate.data[0, 0] == pytest.approx(1.0)
    finally:
        stop.set()
        other.join()
