"""WFC3/IR's intermediate files: read by their rules, fitted, and written as calibrated images."""

from __future__ import annotations

import gzip
import threading
import warnings

import numpy as np
import pytest
from astropy.io import fits
from astropy.utils.exceptions import AstropyWarning

from rampfit_numba import RampFileError, dq, fit_file, fit_ramps
from rampfit_numba.cli import main
from rampfit_numba.io.wfc3 import BORDER, DARK_CURRENT, READNOISE_CDS, read_ima
from rampfit_numba.io.wfc3_flt import write_flt
from rampfit_numba.simulate import measure_pulls
from rampfit_numba.simulate.wfc3 import simulate_ima, write_ima

GAIN = 2.35
INNER = (slice(BORDER, -BORDER), slice(BORDER, -BORDER))


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def fitted(exposure, **options):
    return fit_ramps(exposure, READNOISE_CDS / GAIN, GAIN, **({"algorithm": "likely"} | options))


def changed(folder, change, name="x_ima.fits", **options):
    """Write a synthetic file after `change` has been applied to its HDU list."""
    simulated = simulate_ima(5, (24, 26), seed=1, **options)
    change(simulated.hdulist)
    simulated.hdulist.writeto(folder / name, overwrite=True)
    return folder / name


def test_reads_come_in_the_order_of_time_and_in_counts():
    simulated = simulate_ima(6, (24, 26), seed=2, unit="COUNTS", true_rate=5.0, hit_rate=0.0)
    exposure = read_ima(write_ima(simulated, "x_ima.fits"))
    assert exposure.shape == (1, 6, 24, 26)
    assert exposure.read_times == tuple((time,) for time in simulated.times)
    assert (exposure.data[0, 0] == 0).all()
    medians = np.median(exposure.data[0][:, *INNER], axis=(1, 2))
    np.testing.assert_allclose(medians[1:], 5.0 / GAIN * np.array(simulated.times[1:]), rtol=0.1, atol=4)
    np.testing.assert_allclose(exposure.average_dark_current, DARK_CURRENT / GAIN, rtol=1e-6)


def test_all_four_units_are_the_same_exposure():
    exposures = []
    for unit in ("COUNTS", "COUNTS/S", "ELECTRONS", "ELECTRONS/S"):
        write_ima(simulate_ima(6, (24, 26), seed=3, unit=unit), "x_ima.fits", overwrite=True)
        exposures.append(read_ima("x_ima.fits"))
    for other in exposures[1:]:
        np.testing.assert_allclose(other.data, exposures[0].data, rtol=2e-6, atol=1e-3)


def test_rates_scatter_around_the_truth_as_their_errors_say():
    simulated = simulate_ima(16, (138, 138), seed=4)
    fit = fitted(read_ima(write_ima(simulated, "x_ima.fits")))
    pulls = measure_pulls(
        fit.rate.data * GAIN, fit.rate.err * GAIN, simulated.true_rate, use=(fit.rate.dq & dq.DO_NOT_USE) == 0
    )
    assert pulls.count > 16000
    assert abs(pulls.mean) < 0.04
    assert 0.98 < pulls.width < 1.02
    saturated = (read_ima("x_ima.fits").groupdq[0] & dq.SATURATED) > 0
    found, hits = (fit.groupdq[0] & dq.JUMP_DET) > 0, simulated.hits & ~saturated
    assert (found & hits).sum() > 0.98 * hits.sum()
    assert (found & ~simulated.hits).sum() < 2e-4 * found.size


def test_flags_are_translated(folder):
    def flag(hdulist):
        for version in range(1, 6):
            bits = np.zeros((24, 26), np.int16)
            for column, bit in enumerate((0, 1, 2, 4, 8, 16, 32, 64, 256, 512, 2048, 8192)):
                bits[10, 6 + column] = bit
            hdulist["DQ", version].data = bits

    exposure = read_ima(changed(folder, flag))
    unusable, full = dq.DO_NOT_USE, dq.SATURATED
    wanted = [0, unusable, unusable, unusable, unusable, 0, unusable, 0, full, unusable, 0, 0]
    assert (exposure.groupdq[0, :, 10, 6:18] == wanted).all()
    assert (read_ima("x_ima.fits", good_bits=512).groupdq[0, :, 10, 15] == 0).all()
    border = (exposure.pixeldq & dq.REFERENCE_PIXEL) > 0
    assert border.sum() == 24 * 26 - 14 * 16
    assert not border[INNER].any()


def test_planes_of_one_value_are_stored_without_data(folder):
    def constant(hdulist):
        hdu = hdulist["SCI", 2]
        header = hdu.header.copy()
        hdulist[hdulist.index_of(("SCI", 2))] = new = fits.ImageHDU(header=header)
        new.data = None
        new.header["PIXVALUE"], new.header["NPIX1"], new.header["NPIX2"] = 7.0, 26, 24

    exposure = read_ima(changed(folder, constant, unit="COUNTS"))
    assert (exposure.data[0, 3] == 7.0).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda h: h[0].header.set("INSTRUME", "ACS"), "expected a WFC3/IR file"),
        (lambda h: h[0].header.set("ZOFFCORR", "PERFORM"), "ZOFFCORR: expected COMPLETE"),
        (lambda h: h[0].header.set("NLINCORR", "OMIT"), "NLINCORR: expected COMPLETE"),
        (lambda h: h[0].header.remove("NLINCORR"), "NLINCORR: expected COMPLETE .*no such keyword"),
        (lambda h: h[0].header.set("NSAMP", 7), "one SCI extension for each of the 7 reads"),
        (lambda h: h["SCI", 3].header.set("BUNIT", "JY"), "BUNIT of SCI"),
        (lambda h: h["SCI", 3].header.set("SAMPTIME", 1e6), "SAMPTIME to rise"),
        (lambda h: h["SCI", 3].header.remove("SAMPTIME"), "SAMPTIME of SCI, EXTVER 3: expected a number"),
        (lambda h: h[0].header.remove("ATODGNC"), "ATODGNA to ATODGND"),
        (lambda h: h.pop(h.index_of(("SCI", 3))), "EXTVER 1, 2, 4, 5"),
        (lambda h: setattr(h["SCI", 3], "data", np.zeros((24, 25), np.float32)), "expected shape"),
    ],
)
def test_a_file_that_is_nearly_right_is_refused_in_one_sentence(change, message, folder):
    path = changed(folder, change)
    with pytest.raises(RampFileError, match=message) as caught:
        read_ima(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_no_file_a_damaged_file_and_an_image(folder):
    with pytest.raises(RampFileError, match="no such file"):
        read_ima("nothing_ima.fits")
    path = write_ima(simulate_ima(4, (24, 26)), "x_ima.fits")
    path.write_bytes(path.read_bytes()[:20000])
    with pytest.raises(RampFileError, match=r"x_ima\.fits"):
        read_ima(path)
    (folder / "y_ima.fits").write_bytes(b"no FITS at all")
    with pytest.raises(RampFileError, match=r"y_ima\.fits"):
        read_ima("y_ima.fits")


def test_reads_are_left_out_and_the_others_keep_their_times():
    simulated = simulate_ima(8, (24, 26), seed=5)
    exposure = read_ima(write_ima(simulated, "x_ima.fits"), exclude_reads=[3, 5])
    assert [times[0] for times in exposure.read_times] == [simulated.times[read] for read in (0, 1, 2, 4, 6, 7)]
    for wrong, message in (([8], "from 0 to 7"), ([1.5], "numbers of reads"), (range(7), "to leave 2")):
        with pytest.raises((TypeError, ValueError), match=message):
            read_ima("x_ima.fits", exclude_reads=wrong)


def test_a_background_that_changes_is_flattened():
    extra = np.where((np.arange(15) >= 4) & (np.arange(15) < 9), 3.0, 0.0)
    write_ima(simulate_ima(16, (74, 74), seed=6, true_rate=1.0, variable=extra, hit_rate=0.0), "x_ima.fits")
    as_is, flat = (fitted(read_ima("x_ima.fits", flatten=how)) for how in (False, True))
    flagged = [((fit.rate.dq & dq.JUMP_DET) > 0)[INNER].mean() for fit in (as_is, flat)]
    assert flagged[0] > 0.5
    assert flagged[1] < 0.01
    good = (flat.rate.dq & dq.DO_NOT_USE) == 0
    pull = (flat.rate.data - np.median(flat.rate.data[good])) / flat.rate.err
    assert 0.95 < np.std(pull[good]) < 1.05
    with pytest.raises(ValueError, match="flatten: expected a region"):
        read_ima("x_ima.fits", flatten=(slice(0, 2), slice(0, 2)))


def test_with_the_flat_the_photon_noise_is_that_of_the_photons():
    response = np.full((74, 74), 0.25)
    simulated = simulate_ima(10, (74, 74), seed=7, true_rate=30.0, flat=response, hit_rate=0.0)
    write_ima(simulated, "x_ima.fits")
    widths = []
    for flat in (None, response, response[INNER]):
        fit = fitted(read_ima("x_ima.fits", flat=flat))
        scale = GAIN / (1 if flat is None else 0.25)
        good = (fit.rate.dq & dq.DO_NOT_USE) == 0
        pulls = measure_pulls(fit.rate.data * scale, fit.rate.err * scale, simulated.true_rate, use=good)
        widths.append(pulls.width)
    assert widths[0] > 1.3  # believes in four times as many photons
    assert 0.97 < widths[1] < 1.03
    assert widths[1] == pytest.approx(widths[2])
    with pytest.raises(ValueError, match="flat: expected shape"):
        read_ima("x_ima.fits", flat=np.ones((3, 3)))


def test_the_calibrated_image_is_as_hst_has_it():
    simulated = simulate_ima(8, (74, 74), seed=8, true_rate=2.0, hit_rate=5e-3)
    result = main([str(write_ima(simulated, "ibxy01z8q_ima.fits"))])
    assert result == 0
    with fits.open("ibxy01z8q_flt.fits") as flt:
        assert [hdu.name for hdu in flt[1:]] == ["SCI", "ERR", "DQ", "SAMP", "TIME"]
        assert [flt[name].data.shape for name in ("SCI", "ERR", "DQ", "SAMP", "TIME")] == [(64, 64)] * 5
        assert [flt[name].data.dtype.kind for name in ("DQ", "SAMP")] == ["i", "i"]
        assert flt["DQ"].header["BITPIX"] == flt["SAMP"].header["BITPIX"] == 16
        assert flt["SCI"].header["BUNIT"] == flt["ERR"].header["BUNIT"] == "ELECTRONS/S"
        assert flt["SCI"].header["CRPIX1"] == 74 / 2 - 5
        assert flt["SCI"].header["LTV1"] == 0.0
        assert flt[0].header["FILENAME"] == "ibxy01z8q_flt.fits"
        assert flt[0].header["ROOTNAME"] == "ibxy01z8q"
        assert "rampfit_numba" in str(flt[0].header["HISTORY"])
        quality, rate, samples, seconds = (flt[name].data for name in ("DQ", "SCI", "SAMP", "TIME"))
        hit = simulated.hits.any(axis=0)[INNER]
        assert ((quality[hit] & 8192) > 0).mean() > 0.95
        assert ((quality[~hit] & 8192) > 0).mean() < 0.01
        clean = (quality == 0) & ~hit
        assert (samples[clean] == 8).all()
        np.testing.assert_allclose(seconds[clean], simulated.times[-1], rtol=1e-6)
        single = simulated.hits.sum(axis=0)[INNER] == 1
        assert np.median(samples[single]) == 7
        assert np.median(rate[clean]) == pytest.approx(2.0, rel=0.02)


def test_pixels_without_a_rate_are_zero_and_flagged(folder):
    def fill(hdulist):
        for version in range(1, 6):
            bits = np.zeros((24, 26), np.int16)
            bits[10, 10] = 256 if version < 5 else 0  # from the first read on
            bits[11, 11] = 4
            hdulist["DQ", version].data = bits

    path = changed(folder, fill, hit_rate=0.0)
    written = fit_file(path, output_dir=folder / "out")
    with fits.open(folder / "out" / "x_flt.fits") as flt:
        for place, bit in (((5, 5), 256), ((6, 6), 4)):
            assert [flt[name].data[place] for name in ("SCI", "ERR", "SAMP", "TIME")] == [0, 0, 0, 0]
            assert flt["DQ"].data[place] & bit
        assert np.isfinite(flt["SCI"].data).all()
    assert "x_flt.fits" in str(written)


def test_a_compressed_file_is_read(folder):
    path = write_ima(simulate_ima(5, (24, 26), seed=2), "x_ima.fits")
    (folder / "y_ima.fits.gz").write_bytes(gzip.compress(path.read_bytes()))
    np.testing.assert_array_equal(read_ima("y_ima.fits.gz").data, read_ima(path).data)
    assert main(["y_ima.fits.gz", "--quiet"]) == 0
    assert (folder / "y_flt.fits").exists()


def test_existing_files_and_other_options_are_refused(folder, capsys):
    path = write_ima(simulate_ima(6, (24, 26), seed=9), "x_ima.fits")
    assert main(["x_ima.fits", "--exclude-reads", "2", "--flatten"]) == 0
    assert main(["x_ima.fits"]) == 1
    assert "x_flt.fits: exists" in capsys.readouterr().err
    with pytest.raises(RampFileError, match="exists"):
        write_flt(fitted(read_ima(path)), "x_flt.fits", ima=path, gain=GAIN)
    with pytest.raises(ValueError, match="fit: expected one integration of shape"):
        write_flt(
            fitted(read_ima(path)), "y_flt.fits", ima=write_ima(simulate_ima(6, (30, 30)), "y_ima.fits"), gain=GAIN
        )
    (folder / "z_jump.fits").write_bytes(b"")
    with pytest.raises(ValueError, match="flatten: only for WFC3/IR files"):
        fit_file("z_jump.fits", 10.0, 2.0, flatten=True)


def test_the_command_simulates_such_a_file(folder):
    assert main(["simulate", "s_ima.fits", "--like", "wfc3", "--shape", "1x6x30x32", "--seed", "4"]) == 0
    assert read_ima("s_ima.fits").shape == (1, 6, 30, 32)
    assert [path.name for path in folder.iterdir()] == ["s_ima.fits"]
    assert main(["simulate", "t_ima.fits", "--like", "wfc3", "--shape", "2x6x30x32"]) == 2
    assert main(["simulate", "t_ima.fits", "--like", "wfc3", "--truth"]) == 2


@pytest.mark.parametrize(("algorithm", "warns"), [("ols", True), ("likely", False)])
def test_a_fit_that_relies_on_flags_of_jumps_warns(capsys, algorithm, warns):
    write_ima(simulate_ima(6, (24, 26), seed=9), "w_ima.fits")
    assert main(["w_ima.fits", "--algorithm", algorithm]) == 0
    assert ("jumps are not flagged in files of WFC3/IR, and 'ols' takes hits" in capsys.readouterr().err) is warns


def flt_of(fit, ima, **options):
    """Return SAMP and TIME of a calibrated image, by name."""
    path = write_flt(fit, "written_flt.fits", ima=ima, gain=GAIN, overwrite=True, **options)
    with fits.open(path) as flt:
        return {name: flt[name].data.copy() for name in ("SAMP", "TIME", "SCI")}


@pytest.mark.parametrize("algorithm", ["likely", "ols"])
@pytest.mark.parametrize(("first", "last"), [(None, 4), (3, 6), (2, None), (None, None)])
def test_reads_that_the_options_leave_out_are_not_used(algorithm, first, last):
    simulated = simulate_ima(10, (24, 26), seed=3, hit_rate=0.0)
    path = write_ima(simulated, "x_ima.fits")
    exposure = read_ima(path)
    options = {"algorithm": algorithm, "firstgroup": first, "lastgroup": last}
    written = flt_of(
        fitted(exposure, rejection_threshold=50.0, **options) if algorithm == "likely" else fitted(exposure, **options),
        path,
    )
    first, last = first or 0, 9 if last is None else last
    used = (exposure.groupdq[0] == 0).all(axis=0)[INNER]
    assert used.any()
    assert set(written["SAMP"][used].tolist()) == {last - first + 1}
    np.testing.assert_allclose(written["TIME"][used], simulated.times[last] - simulated.times[first], rtol=1e-6)


def test_samples_that_are_no_number_are_not_used():
    simulated = simulate_ima(8, (24, 26), seed=1, hit_rate=0.0)
    for version, row, value in ((3, 10, np.nan), (8, 11, np.inf), (1, 12, np.nan)):  # reads 5, 0 and 7
        hdu = simulated.hdulist["SCI", version]
        hdu.data = hdu.data.copy()
        hdu.data[row, 12] = value
    path = write_ima(simulated, "x_ima.fits")
    written = flt_of(fitted(read_ima(path), rejection_threshold=50.0), path)
    times = simulated.times
    for row, reads, seconds in (
        (10, 6, times[7] - times[6] + times[4]),
        (11, 7, times[7] - times[1]),
        (12, 7, times[6]),
        (9, 8, times[7]),
    ):
        place = row - BORDER, 12 - BORDER
        assert written["SCI"][place] != 0
        assert written["SAMP"][place] == reads
        assert written["TIME"][place] == pytest.approx(seconds, rel=1e-6)


class PathLike:
    """A path that is no Path."""

    def __init__(self, path):
        self._path = path

    def __fspath__(self):
        return str(self._path)


@pytest.mark.parametrize("kind", [str, PathLike])
@pytest.mark.parametrize("name", ["flat.fits", "flat.fits.gz"])
def test_a_flat_is_read_from_a_file(kind, name, folder):
    response = np.full((74, 74), 0.25, np.float32)
    table = fits.BinTableHDU.from_columns([fits.Column("a", "J", array=np.arange(3))])  # has two axes as well
    fits.HDUList([fits.PrimaryHDU(), table, fits.ImageHDU(response, name="SCI")]).writeto(folder / name)
    simulated = simulate_ima(6, (74, 74), seed=7, flat=response, hit_rate=0.0)
    path = write_ima(simulated, "x_ima.fits")
    found, expected = read_ima(PathLike(path), flat=kind(name)), read_ima(path, flat=response)
    np.testing.assert_array_equal(found.data, expected.data)
    fit = fitted(found)
    np.testing.assert_array_equal(flt_of(fit, path, flat=kind(name))["SCI"], flt_of(fit, path, flat=response)["SCI"])
    fits.PrimaryHDU().writeto(folder / "none.fits")
    with pytest.raises(RampFileError, match=r"none\.fits: holds no image; expected a flat field of shape \(74, 74\)"):
        read_ima(path, flat="none.fits")
    with pytest.raises(RampFileError, match=r"nowhere\.fits: no such file"):
        read_ima(path, flat=kind("nowhere.fits"))
    with pytest.raises(TypeError, match="flat: expected an array of real numbers; got dtype"):
        read_ima(path, flat=[["a"]])


def test_warnings_in_other_threads_stay_warnings():
    """Which warnings are errors is global to a process."""
    path = write_ima(simulate_ima(4, (24, 26)), "x_ima.fits")
    started, done = threading.Event(), threading.Event()

    def read_often():
        try:
            for _ in range(20):
                read_ima(path, flat=np.ones((24, 26)))
                started.set()
        finally:
            done.set()

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        before = warnings.filters[:]
        thread = threading.Thread(target=read_often)
        thread.start()
        seen = []
        try:
            while not done.is_set():
                warnings.warn("of another file", AstropyWarning, stacklevel=1)
                seen.append(warnings.filters[:] == before)
        finally:
            thread.join()
    assert started.is_set()
    assert all(seen)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda h: h[0].header.set("NSAMP", "five"), "keyword NSAMP of the primary header must be an integer"),
        (lambda h: h["DQ", 2].header.set("EXTVER", "x"), "EXTVER"),
        (lambda h: setattr(h["DQ", 2], "data", np.full((24, 26), np.nan, np.float32)), "DQ, EXTVER 2: expected flags"),
        (lambda h: h["DQ", 2].header.set("NPIX1", 10**9), "DQ, EXTVER 2: NPIX1, NPIX2: expected the size of an image"),
        (lambda h: h["DQ", 2].header.set("PIXVALUE", "x"), "PIXVALUE of DQ, EXTVER 2: expected a number; got 'x'"),
        (lambda h: setattr(h["SCI", 5], "data", np.zeros((2, 24, 26), np.float32)), "expected an image; got shape"),
    ],
)
def test_headers_without_sense_are_named(change, message, folder):
    def prepare(hdulist):
        hdulist["DQ", 2].data = None
        for key, value in (("PIXVALUE", 0), ("NPIX1", 26), ("NPIX2", 24)):
            hdulist["DQ", 2].header[key] = value
        change(hdulist)

    with pytest.raises(RampFileError, match=message):
        read_ima(changed(folder, prepare))


@pytest.mark.parametrize("exclude_reads", [3, None, "35", b"3", 2.5, ["3"], [True]])
def test_reads_to_leave_out_that_are_none_are_named(exclude_reads):
    path = write_ima(simulate_ima(6, (24, 26)), "x_ima.fits")
    with pytest.raises(TypeError, match=r"^exclude_reads: expected a sequence of numbers of reads; got "):
        fit_file(path, exclude_reads=exclude_reads)


@pytest.mark.parametrize(
    "flatten",
    ["yes", 1, 0, None, 1.0, slice(0, 5), (0, 5), (slice(0, 5),), (slice(0, 5), 3), (slice("a"), slice(3)),
     (slice(0, 9, 0), slice(3)), np.ones((24, 26), bool)],
)  # fmt: skip
def test_a_region_to_flatten_that_is_none_is_named(flatten):
    path = write_ima(simulate_ima(6, (24, 26)), "x_ima.fits")
    with pytest.raises(TypeError, match=r"^flatten: expected True, False, or two slices, of rows and of columns; got "):
        read_ima(path, flatten=flatten)


def test_all_of_the_detector_is_flattened_or_some_of_it():
    path = write_ima(simulate_ima(6, (24, 26), seed=4), "x_ima.fits")
    whole = read_ima(path, flatten=True).data
    np.testing.assert_array_equal(read_ima(path, flatten=np.True_).data, whole)
    np.testing.assert_array_equal(read_ima(path, flatten=np.s_[:, :]).data, whole)
    np.testing.assert_array_equal(read_ima(path, flatten=np.False_).data, read_ima(path).data)


def test_a_sample_that_is_no_number_does_not_change_the_background(folder):
    def lose(hdulist):
        hdu = hdulist["SCI", 2]
        hdu.data = hdu.data.copy()
        hdu.data[10, 12] = np.nan

    data = read_ima(changed(folder, lose), flatten=True).data
    assert np.isnan(data).sum() == 1


@pytest.mark.parametrize(
    ("gain", "error", "message"),
    [
        (np.ones((3, 3)), ValueError, r"gain: expected a number or an array of shape \(24, 26\); got shape \(3, 3\)"),
        (np.ones(26), ValueError, r"gain: expected a number or an array of shape \(24, 26\); got shape \(26,\)"),
        ("2.35", TypeError, "gain: expected an array of real numbers; got dtype"),
        (None, TypeError, "gain: expected a number or an array of numbers; got None"),
    ],
)
def test_a_gain_that_is_none_is_named(gain, error, message, folder):
    path = write_ima(simulate_ima(6, (24, 26)), "x_ima.fits")
    with pytest.raises(error, match=f"^{message}"):
        write_flt(fitted(read_ima(path)), "x_flt.fits", ima=path, gain=gain)
    assert not (folder / "x_flt.fits").exists()
