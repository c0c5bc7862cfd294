"""Plain reads in FITS files: each layout, what stands in headers, and files that are nearly right."""

from __future__ import annotations

import gzip
import shutil

import numpy as np
import pytest
from astropy import units
from astropy.io import fits

from rampfit_numba import Exposure, RampFileError, count_reads, estimate_readnoise, fit_ramps, fit_reads, read_reads
from rampfit_numba.cli import main
from tests.sizes import INTERPRETED

pytestmark = pytest.mark.skipif(INTERPRETED, reason="files and whole fits")

N, IMAGE = 12, (9, 14)


def make_reads(nramps=1, seed=0):
    """Return counts of uint16, shape (nramps * N, rows, columns), and the rate in DN/s; 2 s from read to read."""
    generator = np.random.default_rng(seed)
    rate = generator.uniform(20, 60, IMAGE)
    steps = generator.poisson(rate * 2 * 2.0, (nramps, N, *IMAGE)) / 2.0
    ramps = 1000 + np.cumsum(steps, axis=1) + generator.normal(0, 6, steps.shape)
    return np.rint(ramps).astype(np.uint16).reshape(-1, *IMAGE), rate


def write(path, *images, primary=None, **cards):
    """Write a file with one HDU an image: (array, cards) or an array; the first one in the primary HDU if asked."""
    hdulist = fits.HDUList([fits.PrimaryHDU(primary, fits.Header(cards))])
    for image in images:
        values, extra = image if isinstance(image, tuple) else (image, {})
        hdulist.append(fits.ImageHDU(values, fits.Header(extra)))
    hdulist.writeto(path)
    return path


def files_of(folder, reads, keyword="ITIME", unit=1.0, name="ramp_{}.fits", **cards):
    return [
        write(folder / name.format(k + 1), primary=read, **{keyword: 2.0 * (k + 1) / unit}, **cards)
        for k, read in enumerate(reads)
    ]


def assert_reads(exposure, reads, nints=1):
    np.testing.assert_array_equal(exposure.data, reads.reshape(nints, -1, *IMAGE))
    assert exposure.group_time == pytest.approx(2.0)


class TestLayouts:
    def test_a_cube_stays_in_its_file(self, tmp_path):
        reads, _ = make_reads()
        path = write(tmp_path / "cube.fits", primary=reads.astype(np.float32))
        exposure = read_reads(path, frame_time=2.0)
        assert_reads(exposure, reads)
        assert isinstance(exposure.data, np.memmap)
        assert exposure.header.filename == "cube.fits"

    @pytest.mark.parametrize("dtype", [np.uint16, np.int32, np.float32, np.float64, np.uint8])
    @pytest.mark.parametrize("packed", [False, True])
    def test_cubes_of_any_type_packed_or_not(self, tmp_path, dtype, packed):
        reads = (make_reads()[0] % 200).astype(dtype)
        path = write(tmp_path / "cube.fits", reads)
        if packed:
            with path.open("rb") as plain, gzip.open(tmp_path / "cube.fits.gz", "wb") as target:
                shutil.copyfileobj(plain, target)
            path = tmp_path / "cube.fits.gz"
        exposure = read_reads(path, frame_time=2.0)
        assert_reads(exposure, reads)
        assert exposure.data.dtype.newbyteorder("=") == dtype

    @pytest.mark.parametrize(
        ("stored", "cards", "dtype"),
        [
            (np.uint8, {"BZERO": 128}, np.float32),  # 128 to 383
            (np.uint8, {"BZERO": -128}, np.int8),  # FITS's signed bytes
            (np.uint8, {"BSCALE": 2}, np.float32),
            (np.uint8, {"BLANK": 3}, np.float32),
            (np.uint8, {}, np.uint8),
            (np.int16, {"BZERO": 32768}, np.uint16),
            (np.int16, {"BZERO": 32768, "BLANK": 3}, np.float32),
            (np.int16, {"BZERO": 100.5}, np.float32),
            (np.int32, {"BZERO": 2147483648.0}, np.uint32),
            (np.float64, {"BSCALE": 3.0}, np.float32),
            (np.float64, {}, np.float64),
        ],
    )
    @pytest.mark.parametrize("layout", ["a file a read", "an HDU a read"])
    def test_reads_that_are_put_together_keep_their_values(self, tmp_path, stored, cards, dtype, layout):
        numbers = (np.arange(N * 6 * 7).reshape(N, 6, 7) % 251).astype(stored)
        hdus = []
        for read in numbers:
            hdu = fits.ImageHDU(read)
            hdu.header.update(cards)
            hdus.append(hdu)
        raw = numbers.astype(float)
        expected = raw * cards.get("BSCALE", 1) + cards.get("BZERO", 0)
        expected[raw == cards.get("BLANK", np.nan)] = np.nan
        if layout == "an HDU a read":
            fits.HDUList([fits.PrimaryHDU(), *hdus]).writeto(tmp_path / "x.fits")
            paths = tmp_path / "x.fits"
        else:
            paths = [tmp_path / f"x_{number}.fits" for number in range(N)]
            for path, hdu in zip(paths, hdus, strict=True):
                fits.HDUList([fits.PrimaryHDU(), hdu]).writeto(path)
        data = read_reads(paths, frame_time=2.0).data
        np.testing.assert_array_equal(data[0], expected.astype(dtype))
        assert data.dtype == dtype
        assert data.dtype.isnative

    def test_four_axes_and_several_ramps_in_a_stack(self, tmp_path):
        reads, _ = make_reads(3)
        ramps = write(tmp_path / "ramps.fits", reads.reshape(3, N, *IMAGE))
        assert_reads(read_reads(ramps, frame_time=2.0), reads, 3)
        stack = write(tmp_path / "stack.fits", reads)
        assert_reads(read_reads(stack, frame_time=2.0, reads_per_ramp=N), reads, 3)

    def test_of_several_cubes_sci_is_taken(self, tmp_path, caplog):
        reads, _ = make_reads()
        path = write(tmp_path / "x.fits", (reads * 0, {"EXTNAME": "DQ"}), (reads, {"EXTNAME": "SCI"}), reads[0])
        with caplog.at_level("INFO"):
            assert_reads(read_reads([path], frame_time=2.0), reads)
        assert "not used: DQ, (no name)" in caplog.text

    def test_an_hdu_a_read_in_either_order(self, tmp_path):
        reads, _ = make_reads()
        timed = [(read, {"ITIME": 2.0 * (k + 1)}) for k, read in enumerate(reads)]
        assert_reads(read_reads(write(tmp_path / "up.fits", *timed), time_keyword="ITIME"), reads)
        down = write(tmp_path / "down.fits", *timed[::-1])
        exposure = read_reads(down, time_keyword="itime", reverse=True)
        assert_reads(exposure, reads)
        assert exposure.read_times == tuple((2.0 * (k + 1),) for k in range(N))

    def test_hdus_by_name(self, tmp_path):
        reads, _ = make_reads()
        pairs = [(read, {"EXTNAME": f"IMAGE_{k + 1}"}) for k, read in enumerate(reads)]
        others = [(read[:, :3], {"EXTNAME": f"REF_{k + 1}"}) for k, read in enumerate(reads)]
        path = write(tmp_path / "x.fits", *(image for pair in zip(pairs, others, strict=True) for image in pair))
        assert_reads(read_reads(path, frame_time=2.0, extname="image_*"), reads)
        with pytest.raises(RampFileError, match=r"extension REF_1 has shape \(9, 3\), extension IMAGE_1 \(9, 14\)"):
            read_reads(path, frame_time=2.0)
        with pytest.raises(RampFileError, match="no image HDU is called SCI; there are IMAGE_1, REF_1"):
            read_reads(path, frame_time=2.0, extname="SCI")

    def test_a_file_a_read_sorted_as_people_count(self, tmp_path):
        reads, _ = make_reads()
        paths = files_of(tmp_path, reads)
        assert sorted(paths)[1].name == "ramp_10.fits"
        shuffled = np.random.default_rng(2).permutation(paths).tolist()
        exposure = read_reads(iter(shuffled), time_keyword="ITIME")
        assert_reads(exposure, reads)
        assert exposure.data.dtype == np.uint16

    def test_a_file_a_read_of_several_ramps_and_units(self, tmp_path):
        reads, _ = make_reads(2)
        for ramp in range(2):
            one = reads[ramp * N : (ramp + 1) * N]
            files_of(tmp_path, one, "ACTEXP", 1e-6, f"R0{ramp + 1}_F{{}}.fits")
        exposure = read_reads(tmp_path.glob("*.fits"), time_keyword="ACTEXP", time_unit="us", reads_per_ramp=N, skip=2)
        np.testing.assert_array_equal(exposure.data, reads.reshape(2, N, *IMAGE)[:, 2:])
        assert exposure.read_times[0][0] == pytest.approx(6.0)

    def test_a_keyword_of_a_cube_is_the_frame_time(self, tmp_path):
        reads, _ = make_reads()
        path = write(tmp_path / "x.fits", primary=reads, FRMTIME=500.0)
        exposure = read_reads(path, time_keyword="FRMTIME", time_unit="ms", nframes=3, groupgap=1)
        assert_reads(exposure, reads)
        assert (exposure.frame_time, exposure.nframes) == (0.5, 3)

    def test_maps_from_files(self, tmp_path):
        reads, _ = make_reads()
        path = write(tmp_path / "x.fits", primary=reads)
        level = np.full(IMAGE, 1800.0)
        cube = np.ones((3, *IMAGE)) * np.array([0, 1, 1e-6])[:, None, None]
        maps = {"saturation": level, "pedestal": level / 2, "linearity": cube}
        named = {name: write(tmp_path / f"{name}.fits", plane.astype(np.float32)) for name, plane in maps.items()}
        expected = Exposure.from_reads(reads, frame_time=2.0, **maps)
        found = read_reads(path, frame_time=2.0, **named)
        for name in maps:
            np.testing.assert_allclose(getattr(found.corrections, name), getattr(expected.corrections, name), rtol=1e-6)
        assert read_reads(path, frame_time=2.0, pedestal="first").corrections.from_first


class TestNearlyRight:
    def complaint(self, paths, **options):
        with pytest.raises(RampFileError) as caught:
            read_reads(paths, **({"frame_time": 2.0} | options))
        assert "\n" not in str(caught.value)
        return str(caught.value)

    def test_no_file_and_no_fits(self, tmp_path):
        assert "no such file" in self.complaint(tmp_path / "x.fits")
        (tmp_path / "text.fits").write_text("no FITS")
        assert "is no FITS file" in self.complaint(tmp_path / "text.fits")
        with pytest.raises(ValueError, match="paths: expected one file or more; got none"):
            read_reads([], frame_time=2.0)

    def test_no_image(self, tmp_path):
        path = write(tmp_path / "x.fits")
        assert "holds no image" in self.complaint(path)

    def test_one_read_alone(self, tmp_path):
        path = write(tmp_path / "x.fits", primary=make_reads()[0][0])
        assert "holds one read alone, and a ramp needs several; give the files" in self.complaint(path)

    def test_mixed(self, tmp_path):
        reads, _ = make_reads()
        path = write(tmp_path / "x.fits", reads[0], reads)
        assert "holds images of two and of three axes" in self.complaint(path)
        assert_reads(read_reads(write(tmp_path / "y.fits", reads, reads[0]), frame_time=2.0), reads)

    def test_files_of_which_one_holds_more(self, tmp_path):
        reads, _ = make_reads()
        paths = files_of(tmp_path, reads)
        cube = write(tmp_path / "ramp_99.fits", primary=reads)
        text = self.complaint([*paths, cube])
        assert "ramp_99.fits: of several files each must hold one read; it holds an image of shape (12, 9, 14)" in text
        two = write(tmp_path / "ramp_98.fits", reads[0], reads[1])
        assert "it holds 2 images ((no name), (no name)): name the one" in self.complaint([*paths, two])

    def test_files_of_different_shapes(self, tmp_path):
        paths = files_of(tmp_path, [*make_reads()[0], np.zeros((9, 13), np.uint16)])
        assert "ramp_13.fits: has a read of shape (9, 13)" in self.complaint(paths)

    def test_a_file_twice(self, tmp_path):
        paths = files_of(tmp_path, make_reads()[0])
        with pytest.raises(ValueError, match="paths: expected each file once"):
            read_reads([*paths, paths[3]], frame_time=2.0)

    def test_a_missing_keyword(self, tmp_path):
        paths = files_of(tmp_path, make_reads()[0], "INTTIME")
        text = self.complaint(paths, frame_time=None, time_keyword="ITIME")
        assert "ramp_1.fits: the primary HDU has no keyword ITIME for the time; it has INTTIME = 2.0" in text
        with pytest.raises(ValueError, match=r"frame_time: expected it, .* got none; the header has INTTIME = 2.0"):
            read_reads(paths)

    def test_a_keyword_that_is_no_number(self, tmp_path):
        path = write(tmp_path / "x.fits", primary=make_reads()[0], FRMTIME="fast")
        text = self.complaint(path, frame_time=None, time_keyword="FRMTIME")
        assert "keyword FRMTIME must be a number (a time); it is 'fast'" in text

    def test_the_wrong_order(self, tmp_path):
        reads, _ = make_reads()
        timed = [(read, {"ITIME": 2.0 * (k + 1)}) for k, read in enumerate(reads)]
        path = write(tmp_path / "down.fits", *timed[::-1])
        text = self.complaint(path, frame_time=None, time_keyword="ITIME")
        assert "ITIME is 22 s in image 2" in text
        assert "the reads are stored in the other order (reverse)" in text

    def test_ramps_that_nobody_parted(self, tmp_path):
        reads, _ = make_reads(2)
        times = [2.0 * (k % N + 1) for k in range(2 * N)]
        path = write(tmp_path / "x.fits", *((read, {"ITIME": t}) for read, t in zip(reads, times, strict=True)))
        text = self.complaint(path, frame_time=None, time_keyword="ITIME")
        assert "of several ramps in one stack, say how many reads each has (reads_per_ramp)" in text
        assert_reads(read_reads(path, time_keyword="ITIME", reads_per_ramp=np.int64(N)), reads, 2)
        with pytest.raises(ValueError, match="reads_per_ramp: expected an integer from 1"):
            read_reads(path, time_keyword="ITIME", reads_per_ramp=-N)

    def test_ramps_read_at_different_times(self, tmp_path):
        reads, _ = make_reads(2)
        times = [(2.0 + 0.1 * (k >= N)) * (k % N + 1) for k in range(2 * N)]
        path = write(tmp_path / "x.fits", *((read, {"ITIME": t}) for read, t in zip(reads, times, strict=True)))
        text = self.complaint(path, frame_time=None, time_keyword="ITIME", reads_per_ramp=N)
        assert "ramps of one exposure must be read at the same times" in text

    @pytest.mark.parametrize(("unit", "advice"), [("ELECTRONS/S", "rates cannot be fitted"), ("Jy", "convert it")])
    def test_other_units(self, tmp_path, unit, advice):
        path = write(tmp_path / "x.fits", primary=make_reads()[0], BUNIT=unit)
        assert f"BUNIT is '{unit}', expected counts (ADU, DN) or electrons; {advice}" in self.complaint(path)

    @pytest.mark.parametrize("unit", ["ADU", "adu", "DN", "count", "COUNTS", "ELECTRONS", "e-", " "])
    def test_units_that_are_right(self, tmp_path, unit):
        reads, _ = make_reads()
        assert_reads(read_reads(write(tmp_path / "x.fits", primary=reads, BUNIT=unit), frame_time=2.0), reads)

    def test_maps_that_do_not_fit(self, tmp_path):
        path = write(tmp_path / "x.fits", primary=make_reads()[0])
        small = write(tmp_path / "small.fits", np.ones((9, 13)))
        text = self.complaint(path, saturation=small)
        assert "the image with the saturation must have 9 rows x 14 columns, as the reads; it has shape (9, 13)" in text
        assert "must have ncoefficients x 9 rows" in self.complaint(path, linearity=small)

    def test_truncated(self, tmp_path):
        path = write(tmp_path / "x.fits", primary=make_reads()[0])
        content = path.read_bytes()
        path.write_bytes(content[: len(content) // 2])
        assert "truncated" in self.complaint(path)

    def test_two_kinds_of_times(self, tmp_path):
        with pytest.raises(ValueError, match="time_keyword: expected one of read_times, frame_time and time_keyword"):
            read_reads(tmp_path / "x.fits", frame_time=2.0, time_keyword="ITIME")
        with pytest.raises(ValueError, match="time_unit: expected one of s, ms, us, min, d; got 'h'"):
            read_reads(tmp_path / "x.fits", time_keyword="ITIME", time_unit="h")


class TestProducts:
    def fit(self, path, folder, **options):
        return fit_reads(path, 6.0, 2.0, frame_time=2.0, output_dir=folder, **options)

    def test_of_one_ramp(self, tmp_path):
        reads, rate = make_reads()
        path = write(tmp_path / "x.fits", primary=reads, OBSERVER="nobody")
        (product,) = self.fit(path, tmp_path / "out", saturation=1300)
        assert product.name == "x_rate.fits"
        exposure = Exposure.from_reads(reads, frame_time=2.0, saturation=1300)
        fit = fit_ramps(exposure, 6.0, 2.0, algorithm="likely", readnoise_kind="single")
        used = count_reads(exposure, fit)
        with fits.open(product) as found:
            names = ["SCI", "ERR", "DQ", "VAR_POISSON", "VAR_RNOISE", "CHISQ", "DOF", "NREADS"]
            assert [hdu.name for hdu in found[1:-1]] == names
            assert found[0].header["OBSERVER"] == "nobody"
            assert found["SCI"].header["BUNIT"] == "DN/s"
            np.testing.assert_array_equal(found["SCI"].data, fit.rate.data)
            np.testing.assert_array_equal(found["NREADS"].data, used.rate)
            assert 2 < found["NREADS"].data.mean() < N
            good = np.isfinite(found["SCI"].data)
            pulls = ((found["SCI"].data - rate) / found["ERR"].data)[good]
            assert 0.8 < pulls.std() < 1.2
            assert "saturated from 1300 DN" in str(found[0].header["HISTORY"]).replace("\n", " ")

    def test_of_reads_in_electrons_are_in_electrons(self, tmp_path):
        reads, rate = make_reads(2)
        path = write(tmp_path / "x.fits", primary=reads * np.float32(2), BUNIT="electron")
        options = {"frame_time": 2.0, "reads_per_ramp": N, "saturation": 2600}
        products = fit_reads(path, 12.0, output_dir=tmp_path / "e", **options)
        assert [product.name for product in products] == ["x_rate.fits", "x_rateints.fits"]
        for product in products:
            with fits.open(product) as found:
                assert found["SCI"].header["BUNIT"] == found["ERR"].header["BUNIT"] == "electron/s"
                assert np.nanmedian(found["SCI"].data / (2 * rate)) == pytest.approx(1, abs=0.05)
                assert "saturated from 2600 electron" in str(found[0].header["HISTORY"]).replace("\n", " ")

    @pytest.mark.parametrize("given", ["file", "primary", "Quantity"])
    @pytest.mark.parametrize("reads_in", ["DN", "electron"])
    def test_a_read_noise_in_electrons_is_that(self, tmp_path, given, reads_in):
        reads, _ = make_reads()
        gain = 2.0 if reads_in == "DN" else None
        path = write(tmp_path / "x.fits", primary=reads, BUNIT=reads_in)
        noise = np.full(IMAGE, 12.0)
        readnoise = {
            "file": lambda: write(tmp_path / "noise.fits", (noise, {"BUNIT": "electron"})),
            "primary": lambda: write(tmp_path / "noise.fits", noise, BUNIT="ELECTRONS"),
            "Quantity": lambda: noise * units.electron,
        }[given]()
        (found,) = fit_reads(path, readnoise, gain, frame_time=2.0, output_dir=tmp_path / "a")
        (expected,) = fit_reads(path, 12.0 / (gain or 1), gain, frame_time=2.0, output_dir=tmp_path / "b")
        for plane in ("SCI", "ERR", "VAR_RNOISE"):
            np.testing.assert_array_equal(fits.getdata(found, plane), fits.getdata(expected, plane), err_msg=plane)

    def test_references_in_another_unit_are_refused(self, tmp_path):
        dn = write(tmp_path / "dn.fits", primary=make_reads()[0], BUNIT="ADU")
        electrons = write(tmp_path / "e.fits", primary=make_reads()[0], BUNIT="e-")
        volts, digital = (
            write(tmp_path / f"{unit}.fits", (np.full(IMAGE, 12.0), {"BUNIT": unit, "EXTNAME": "NOISE"}))
            for unit in ("uV", "DN")
        )
        options = {"frame_time": 2.0, "output_dir": tmp_path / "out"}
        with pytest.raises(RampFileError, match=r"uV\.fits: BUNIT of extension NOISE: expected DN .*; got 'uV'"):
            fit_reads(dn, volts, 2.0, **options)
        with pytest.raises(RampFileError, match=r"DN\.fits: BUNIT of extension NOISE: expected electron/DN; got 'DN'"):
            fit_reads(dn, digital, digital, **options)
        with pytest.raises(
            RampFileError,
            match=r"DN\.fits: BUNIT of extension NOISE: expected electron, as that of the reads; got 'DN'",
        ):
            fit_reads(electrons, digital, **options)
        with pytest.raises(ValueError, match=r"^readnoise: expected electron, since BUNIT says .*; got adu"):
            fit_reads(electrons, 12.0 * units.adu, **options)
        assert not (tmp_path / "out").exists()

    @pytest.mark.parametrize("unit", ["", "e-/ADU", "electron/DN", "no unit"])
    def test_gains_and_noises_of_files(self, tmp_path, unit):
        path = write(tmp_path / "x.fits", primary=make_reads()[0])
        cards = {"BUNIT": unit} if unit else {}
        gain = write(tmp_path / "gain.fits", (np.full(IMAGE, 2.0), cards))
        noise = write(tmp_path / "noise.fits", (np.full(IMAGE, 6.0), {"BUNIT": "DN"} if unit else {}))
        (found,) = fit_reads(path, noise, gain, frame_time=2.0, output_dir=tmp_path / "a")
        (expected,) = self.fit(path, tmp_path / "b")
        np.testing.assert_array_equal(fits.getdata(found, "ERR"), fits.getdata(expected, "ERR"))

    def test_of_several_ramps(self, tmp_path):
        path = write(tmp_path / "x.fits", primary=make_reads(3)[0])
        products = self.fit(path, tmp_path, reads_per_ramp=N, name="y.fits")
        assert [product.name for product in products] == ["y_rate.fits", "y_rateints.fits"]
        with fits.open(products[1]) as found:
            assert found["NREADS"].data.shape == (3, *IMAGE)
            assert (found["NREADS"].data == N).mean() > 0.9
        with fits.open(products[0]) as found:
            assert (found["NREADS"].data == 3 * N).mean() > 0.9

    def test_reads_in_electrons_need_no_gain(self, tmp_path):
        path = write(tmp_path / "x.fits", primary=make_reads()[0], BUNIT="ELECTRONS")
        one, two = (fit_reads(path, 6.0, gain, frame_time=2.0, output_dir=tmp_path / str(gain)) for gain in (None, 1))
        np.testing.assert_array_equal(*(fits.getdata(product[0], "ERR") for product in (one, two)))
        with pytest.raises(ValueError, match="gain: expected 1, or none, since BUNIT says"):
            fit_reads(path, 6.0, 2.0, frame_time=2.0, output_dir=tmp_path)
        counts = write(tmp_path / "y.fits", primary=make_reads()[0])
        with pytest.raises(ValueError, match="gain: expected a number, an array or a file"):
            fit_reads(counts, 6.0, frame_time=2.0, output_dir=tmp_path)

    def test_inputs_and_products_are_safe(self, tmp_path):
        path = write(tmp_path / "x_rate.fits", primary=make_reads()[0])
        with pytest.raises(RampFileError, match="would overwrite the input"):
            self.fit(path, tmp_path, overwrite=True)
        self.fit(path, tmp_path / "out")
        with pytest.raises(RampFileError, match="exists; allow overwriting"):
            self.fit(path, tmp_path / "out")
        assert self.fit(path, tmp_path / "out", overwrite=True)

    def test_unknown_options_are_refused_before_a_file_is_read(self):
        with pytest.raises(TypeError, match="saturate: unknown option; expected some of read_times"):
            fit_reads("no.fits", 6.0, 2.0, saturate=3)
        with pytest.raises(ValueError, match="algorithm: expected"):
            fit_reads("no.fits", 6.0, 2.0, algorithm="best")
        with pytest.raises(ValueError, match="readnoise: expected a finite number > 0"):
            fit_reads("no.fits", -6.0, 2.0)


class TestCommand:
    def run(self, *arguments):
        return main(["reads", *map(str, arguments)])

    def test_files_a_read(self, tmp_path, capsys):
        reads, rate = make_reads()
        paths = files_of(tmp_path, reads, name="R01_F{}.fits")
        options = "--readnoise 6 --readnoise-kind single --gain 2.0 --frame-time 2 --saturation 45000"
        assert self.run(*paths, *options.split(" "), "--output-dir", tmp_path / "out") == 0
        data, err = (fits.getdata(tmp_path / "out" / "R01_F1_rate.fits", name) for name in ("SCI", "ERR"))
        assert abs(((data - rate) / err).mean()) < 0.3
        assert "12 files, one read each" in capsys.readouterr().err

    def test_all_options(self, tmp_path):
        reads = 65535 - make_reads(2)[0]
        path = write(tmp_path / "x.fits", *((read, {"ITIME": 2e3 * (k % N)}) for k, read in enumerate(reads)))
        write(tmp_path / "sat.fits", np.full(IMAGE, 40000.0))
        write(tmp_path / "lin.fits", np.stack([np.zeros(IMAGE), np.ones(IMAGE), np.full(IMAGE, 1e-7)]))
        options = (
            "--readnoise 8.4 --readnoise-kind cds --gain 2 --time-keyword ITIME --time-unit ms --reads-per-ramp 12"
        )
        options += " --skip 1 --invert 65535 --pedestal first --algorithm likely_joint --rejection-threshold 5"
        options += f" --linearity {tmp_path}/lin.fits --saturation {tmp_path}/sat.fits --maximum-cores 2"
        assert self.run(path, *options.split(), "--executor", "threads", "--output-dir", tmp_path / "out") == 0
        exposure = Exposure.from_reads(
            reads.reshape(2, N, *IMAGE)[:, 1:],
            [2.0 * k for k in range(1, N)],
            invert=65535,
            pedestal="first",
            linearity=np.float32([0, 1, 1e-7]),
            saturation=40000.0,
        )
        fit = fit_ramps(exposure, 8.4, 2.0, algorithm="likely_joint", rejection_threshold=5.0)
        np.testing.assert_allclose(fits.getdata(tmp_path / "out" / "x_rate.fits", "SCI"), fit.rate.data, rtol=1e-6)

    @pytest.mark.parametrize("level", ["-100", "0", "2.5", "-2.5"])
    def test_a_bias_can_be_any_number(self, tmp_path, level):
        path = write(tmp_path / "x.fits", primary=make_reads()[0])
        options = f"--readnoise 6 --gain 2 --frame-time 2 --linearity {tmp_path}/lin.fits --pedestal {level}"
        write(tmp_path / "lin.fits", np.stack([np.zeros(IMAGE), np.ones(IMAGE), np.full(IMAGE, 1e-7)]))
        assert self.run(path, *options.split(), "--output-dir", tmp_path / "out") == 0
        options = {"frame_time": 2.0, "linearity": tmp_path / "lin.fits", "pedestal": float(level)}
        (expected,) = fit_reads(path, 6.0, 2.0, output_dir=tmp_path / "here", **options)
        np.testing.assert_array_equal(fits.getdata(tmp_path / "out" / "x_rate.fits"), fits.getdata(expected))

    @pytest.mark.parametrize(
        ("options", "status", "message"),
        [
            (
                "--readnoise 6 --gain 2 --frame-time 2 --pedestal nan",
                2,
                "--pedestal: expected a finite number; got nan",
            ),
            ("--readnoise 6 --gain 2 --frame-time 2 --pedestal=-inf", 2, "--pedestal: expected a finite number"),
            ("--gain 2 --frame-time 2", 2, "the following arguments are required: --readnoise"),
            ("--readnoise 6 --frame-time 2", 2, "--gain: expected a number, an array or a file"),
            ("--readnoise 6 --gain 2", 2, "--frame-time: expected it, or read_times (--read-times), or time_keyword"),
            ("--readnoise 6 --gain 2 --frame-time 2 --skip 99", 2, "--skip: expected fewer than 12"),
            (
                "--readnoise 6 --gain 2 --frame-time 2 --pedestal last",
                2,
                "--pedestal: last: no such file, and no number",
            ),
            ("--readnoise 6 --gain 2 --time-keyword ITIME", 1, "has no keyword ITIME for the time"),
            ("--readnoise 6 --gain 2 --frame-time 2 --extname SCI", 1, "no image HDU is called SCI"),
        ],
    )
    def test_complaints_are_one_line(self, tmp_path, capsys, options, status, message):
        path = write(tmp_path / "x.fits", primary=make_reads()[0])
        assert self.run(path, *options.split(), "--output-dir", tmp_path / "out", "--quiet") == status
        text = capsys.readouterr().err
        assert message in text
        assert text.count("\n") == 1
        assert not (tmp_path / "out").exists()

    def test_simulated_reads(self, tmp_path):
        path = tmp_path / "demo.fits"
        assert main(["simulate", str(path), "--like", "reads", "--shape", "2x6x16x16", "--truth", "--quiet"]) == 0
        assert {p.name for p in tmp_path.iterdir()} == {
            f"demo{end}.fits" for end in ("", "_gain", "_readnoise", "_truth")
        }
        with fits.open(path) as found:
            assert found[0].data.shape == (2, 6, 16, 16)
            assert found[0].data.dtype == np.uint16
            assert 900 < found[0].data[:, 0].mean() < 2000
        exposure = read_reads(path, time_keyword="FRMTIME")
        assert exposure.shape == (2, 6, 16, 16)


class TestReadNoise:
    @pytest.mark.parametrize(
        ("nreads", "rate", "hits"), [(6, 0.0, 0.0), (16, 0.0, 0.02), (16, 4.0, 0.02), (40, 8.0, 0)]
    )
    def test_is_within_one_percent(self, nreads, rate, hits):
        generator = np.random.default_rng(nreads)
        shape = (nreads, 200, 256)
        steps = generator.poisson(rate * 5.0, shape) / 2.0 + 800 * (generator.random(shape) < hits)
        reads = np.cumsum(steps, axis=0) + generator.normal(500, 6.0, shape)
        exposure = Exposure.from_reads(reads, frame_time=5.0)
        assert estimate_readnoise(exposure, 2.0) == pytest.approx(6.0, rel=0.01)
        assert estimate_readnoise(exposure, np.full(shape[1:], 2.0)) == pytest.approx(6.0, rel=0.01)

    def test_of_groups_and_raw_counts(self):
        generator = np.random.default_rng(3)
        reads = generator.normal(1000, 3.0, (12, 100, 100)) - 0.02 * np.arange(12)[:, None, None]
        exposure = Exposure.from_reads(reads, frame_time=5.0, nframes=4, invert=65536, saturation=65000)
        assert estimate_readnoise(exposure, 2.0) == pytest.approx(6.0, rel=0.01)
        assert estimate_readnoise(exposure) == pytest.approx(6.0, rel=0.01)  # dark

    def test_what_tells_nothing_is_refused(self):
        bright = np.random.default_rng(1).poisson(4e4, (10, 50, 50)).cumsum(axis=0)
        with pytest.raises(ValueError, match=r"expected 100 ramps or more without flags.*got 0 of 2500"):
            estimate_readnoise(Exposure.from_reads(bright, frame_time=1.0), 1.0)
        with pytest.raises(ValueError, match="exposure: expected 4 reads or more; got 3"):
            estimate_readnoise(Exposure.from_reads(bright[:3], frame_time=1.0), 1.0)
        with pytest.raises(TypeError, match="exposure: expected an Exposure; got ndarray"):
            estimate_readnoise(bright, 1.0)

    def test_of_an_exposure_in_electrons(self):
        """It needs the gain, which makes DN of them, and is then that of the same exposure in DN."""
        generator = np.random.default_rng(4)
        signal = np.cumsum(generator.poisson(20.0, (1, 12, 80, 90)), axis=1) / 5
        reads = 1000 + signal + generator.normal(0, 6.0, signal.shape)
        expected = estimate_readnoise(Exposure(reads, None, 2.0), 5.0)
        assert expected == pytest.approx(6.0, rel=0.01)
        gain = np.full((80, 90), 5.0)
        gain[3, :20] = np.nan
        for given in (5.0, gain):
            found = estimate_readnoise(Exposure(reads * 5, None, 2.0, data_unit="electron"), given)
            assert found == pytest.approx(expected, rel=1e-3)
        with pytest.raises(ValueError, match=r"^gain: expected e-/DN, since the exposure is in electron; got None$"):
            estimate_readnoise(Exposure(reads * 5, None, 2.0, data_unit="electron"))


def test_rows_of_an_exposure():
    reads = make_reads()[0]
    exposure = Exposure.from_reads(reads, frame_time=2.0, saturation=np.full(IMAGE, 1300.0), linearity=[0, 1, 1e-7])
    whole = fit_ramps(exposure, 6.0, 2.0)
    part = fit_ramps(exposure.rows(slice(2, 7)), 6.0, 2.0)
    np.testing.assert_array_equal(part.rate.data, whole.rate.data[2:7])
