"""Reading ramp files: what is taken from them, what stays on disk, and what is said about files that cannot be used."""

from __future__ import annotations

import builtins
import gzip
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from rampfit_numba import read_exposure
from tests.make_files import SHAPE, asdf_hdu, open_files, ramp_hdulist, ramp_refused, reference_hdulist, save, to_bytes

IMAGE = SHAPE[2:]
READ_TIMES = (
    "meta:\n  exposure:\n    read_times:\n    - [1.0]\n    - [2.0]\n    - [4.0, 4.5]\n    - [8.0]\n    - [16.0]\n"
)


@pytest.fixture(params=["ramp.fits", "ramp.fits.gz"])
def name(request):
    return request.param


class TestContents:
    def test_values_are_those_of_the_file(self, tmp_path, name):
        hdulist = ramp_hdulist(optional=True)
        exposure = read_exposure(save(hdulist, tmp_path / name))
        assert exposure.shape == SHAPE
        for got, extension in (
            (exposure.data, "SCI"),
            (exposure.groupdq, "GROUPDQ"),
            (exposure.pixeldq, "PIXELDQ"),
            (exposure.zeroframe, "ZEROFRAME"),
            (exposure.average_dark_current, "AVDRKCUR"),
        ):
            np.testing.assert_array_equal(got, hdulist[extension].data)
        assert exposure.pixeldq.dtype == np.uint32
        assert exposure.pixeldq.dtype.isnative
        assert exposure.pixeldq[2, 1] == 1 << 31
        assert (exposure.group_time, exposure.frame_time) == (3.0, 1.5)
        assert (exposure.nframes, exposure.groupgap, exposure.drop_frames1) == (1, 1, 0)
        assert exposure.instrument == "NIRCAM"
        assert exposure.read_times is None

    def test_header_is_kept(self, tmp_path, name):
        header = read_exposure(save(ramp_hdulist(optional=True), tmp_path / name)).header
        assert header.filename == name
        assert header.primary["TGROUP"] == 3.0
        assert header.primary.comments["S_JUMP"] == "Jump Detection"
        assert header.sci["CRVAL1"] == 12.5
        assert list(header.int_times["integration_number"]) == [1, 2]
        assert header.int_times.columns["int_mid_MJD_UTC"].unit == "d"

    def test_optional_parts_may_be_missing(self, tmp_path):
        hdulist = ramp_hdulist(
            keywords={"TFRAME": 3.0, "GROUPGAP": None, "DRPFRMS1": None, "INSTRUME": None, "NINTS": None}
        )
        del hdulist["PIXELDQ"]
        exposure = read_exposure(save(hdulist, tmp_path / "ramp.fits"))
        assert exposure.pixeldq is None
        assert exposure.zeroframe is None
        assert exposure.average_dark_current is None
        assert exposure.header.int_times is None
        assert (exposure.groupgap, exposure.drop_frames1, exposure.instrument) == (0, 0, "")

    def test_extensions_and_keywords_without_a_value_are_as_good_as_missing(self, tmp_path):
        hdulist = ramp_hdulist(keywords={"TFRAME": 3.0})
        hdulist[0].header["GROUPGAP"] = None
        hdulist.append(fits.ImageHDU(name="ZEROFRAME"))
        hdulist.append(fits.BinTableHDU.from_columns([fits.Column("integration_number", "J")], name="INT_TIMES"))
        exposure = read_exposure(save(hdulist, tmp_path / "ramp.fits"))
        assert exposure.groupgap == 0
        assert exposure.zeroframe is None
        assert exposure.header.int_times is None

    def test_segment_of_a_time_series_has_fewer_integrations_than_its_exposure(self, tmp_path):
        hdulist = ramp_hdulist(keywords={"NINTS": 500, "NGROUPS": 7, "INTSTART": 101, "INTEND": 102})
        assert read_exposure(save(hdulist, tmp_path / "seg002_ramp.fits")).nints == SHAPE[0]

    def test_whole_numbers_may_be_stored_as_floats(self, tmp_path):
        exposure = read_exposure(save(ramp_hdulist(keywords={"NFRAMES": 4.0, "TGROUP": 7.5}), tmp_path / "ramp.fits"))
        assert exposure.nframes == 4
        assert isinstance(exposure.nframes, int)

    def test_order_of_the_extensions_does_not_matter(self, tmp_path):
        hdulist = ramp_hdulist(optional=True)
        turned = fits.HDUList([hdulist[0], *hdulist[:0:-1]])
        np.testing.assert_array_equal(read_exposure(save(turned, tmp_path / "r.fits")).data, hdulist["SCI"].data)

    def test_large_headers(self, tmp_path):
        hdulist = ramp_hdulist()
        for number in range(3000):
            hdulist[0].header[f"KEY{number:05d}"] = number
        assert read_exposure(save(hdulist, tmp_path / "ramp.fits")).header.primary["KEY02999"] == 2999

    def test_name_may_be_a_string(self, tmp_path):
        assert read_exposure(str(save(ramp_hdulist(), tmp_path / "ramp.fits"))).shape == SHAPE


class TestStorage:
    def test_ramps_stay_in_the_file(self, tmp_path):
        path = save(ramp_hdulist((4, 30, 100, 100)), tmp_path / "ramp.fits")
        tracemalloc.start()
        exposure = read_exposure(path)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < exposure.groupdq.nbytes / 2
        for array, dtype in ((exposure.data, ">f4"), (exposure.groupdq, "u1")):
            assert isinstance(array, np.memmap)
            assert Path(array.filename) == path
            assert array.dtype == dtype
            assert not array.flags.writeable

    @pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs /proc")
    def test_nothing_stays_open_longer_than_the_arrays(self, tmp_path, name):
        path = save(ramp_hdulist(optional=True), tmp_path / name)
        exposure = read_exposure(path)
        assert (str(path) in open_files()) == (name == "ramp.fits")  # a map keeps a descriptor of its own
        del exposure
        assert str(path) not in open_files()

    def test_float64_and_integers_are_mapped_too(self, tmp_path):
        for dtype in (">f8", ">i2", ">i4"):
            hdulist = ramp_hdulist()
            hdulist["SCI"].data = hdulist["SCI"].data.astype(dtype)
            exposure = read_exposure(save(hdulist, tmp_path / f"{dtype[1:]}.fits"))
            assert isinstance(exposure.data, np.memmap)
            assert exposure.data.dtype == dtype

    def test_blank_of_flags_means_nothing(self, tmp_path, name):
        hdulist = ramp_hdulist()
        content = to_bytes(hdulist)
        for extension in ("GROUPDQ", "PIXELDQ"):
            content = _with_card(content, extension, fits.Card("BLANK", 4))
        path = tmp_path / name
        path.write_bytes(gzip.compress(content) if name.endswith("gz") else content)
        exposure = read_exposure(path)
        np.testing.assert_array_equal(exposure.groupdq, hdulist["GROUPDQ"].data)
        np.testing.assert_array_equal(exposure.pixeldq, hdulist["PIXELDQ"].data)
        assert isinstance(exposure.groupdq, np.memmap) == (name == "ramp.fits")

    @pytest.mark.parametrize(
        ("card", "says"),
        [
            ("BLANK   = 12.3.4", ("its card BLANK does not follow FITS",)),
            ("BLANK   = 'none    '", ("keyword BLANK of extension SCI", "integer")),
            ("BLANK   = 1.5", ("keyword BLANK of extension SCI", "integer")),
        ],
    )
    def test_blank_without_sense(self, tmp_path, card, says):
        hdulist = ramp_hdulist()
        hdulist["SCI"].data = hdulist["SCI"].data.astype(np.int32)
        path = tmp_path / "ramp.fits"
        path.write_bytes(_with_card(to_bytes(hdulist), "SCI", card))
        ramp_refused(path, *says)

    def test_random_groups_without_sense(self, tmp_path):
        content = to_bytes(ramp_hdulist()).replace(b"NAXIS1  =                    7", b"NAXIS1  =                    0")
        path = tmp_path / "ramp.fits"
        path.write_bytes(_with_card(content, "SCI", "GROUPS  = 1.2.3"))
        ramp_refused(path, "its card GROUPS does not follow FITS")

    @pytest.mark.parametrize("groups", [True, False])
    def test_random_groups_are_no_ramps(self, tmp_path, groups, name):
        hdulist = ramp_hdulist()
        path = tmp_path / name
        content = _with_card(to_bytes(hdulist), "PRIMARY", fits.Card("GROUPS", groups))
        path.write_bytes(gzip.compress(content) if name.endswith("gz") else content)
        if groups:
            ramp_refused(path, "random groups (GROUPS = T)", "expected images of ramps")
        else:  # as Hubble's files have it
            np.testing.assert_array_equal(read_exposure(path).data, hdulist["SCI"].data)

    def test_random_groups_are_in_no_extension(self, tmp_path):
        """Where astropy, too, goes by all axes."""
        hdulist = ramp_hdulist()
        hdulist.insert(1, fits.ImageHDU(np.zeros((3, 0), np.float32), name="EMPTY"))
        path = tmp_path / "ramp.fits"
        path.write_bytes(_with_card(to_bytes(hdulist), "EMPTY", fits.Card("GROUPS", True)))
        np.testing.assert_array_equal(read_exposure(path).data, hdulist["SCI"].data)
        assert fits.getval(path, "EXTNAME", 2) == "SCI"

    def test_unsigned_integers(self, tmp_path, name):
        hdulist = ramp_hdulist()
        hdulist["SCI"].data = (hdulist["SCI"].data + 40000).astype(np.uint16)
        exposure = read_exposure(save(hdulist, tmp_path / name))
        assert exposure.data.dtype == np.uint16
        np.testing.assert_array_equal(exposure.data, hdulist["SCI"].data)

    def test_scaled_values(self, tmp_path, name):
        hdulist = ramp_hdulist()
        stored = np.arange(np.prod(SHAPE), dtype=np.int16).reshape(SHAPE)
        hdulist["SCI"].data = stored
        content = to_bytes(hdulist)
        # astropy removes scaling keywords when it writes: put them where it left room.
        cards = [fits.Card("BSCALE", 0.5), fits.Card("BZERO", 1000), fits.Card("BLANK", 7)]
        end = content.index(b"END", content.index(b"XTENSION"))
        scaled = content[:end] + "".join(map(str, cards)).encode() + content[end : end + 80] + content[end + 320 :]
        path = tmp_path / name
        path.write_bytes(gzip.compress(scaled) if name.endswith("gz") else scaled)
        data = read_exposure(path).data
        expected = np.where(stored == 7, np.nan, stored * 0.5 + 1000)
        assert data.dtype == np.float32
        np.testing.assert_array_equal(data, expected)

    @pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.uint16, np.int32, np.int64])
    def test_flags_of_other_integer_types(self, tmp_path, dtype):
        hdulist = ramp_hdulist()
        flags = hdulist["GROUPDQ"].data.copy()
        flags[0, 1] = 255
        for extension, values in (("GROUPDQ", flags), ("PIXELDQ", np.full(IMAGE, 100))):
            hdulist[extension] = fits.ImageHDU(values.astype(dtype), name=extension)
        exposure = read_exposure(save(hdulist, tmp_path / "ramp.fits"))
        assert exposure.groupdq.dtype == np.uint8
        np.testing.assert_array_equal(exposure.groupdq, flags)
        assert (exposure.pixeldq == 100).all()
        assert exposure.pixeldq.dtype == np.uint32


class TestKeywords:
    @pytest.mark.parametrize("keyword", ["TGROUP", "TFRAME", "NFRAMES"])
    def test_required(self, tmp_path, keyword):
        ramp_refused(
            save(ramp_hdulist(keywords={keyword: None}), tmp_path / "r.fits"), f"no keyword {keyword}", "add it"
        )

    @pytest.mark.parametrize(
        ("keyword", "value", "says"),
        [
            ("TGROUP", "three", "must be a number"),
            ("TGROUP", True, "must be a number"),
            ("TGROUP", 0.0, "> 0; got 0.0"),
            ("TFRAME", -1.5, "> 0; got -1.5"),
            ("NFRAMES", 1.5, "must be an integer"),
            ("NFRAMES", False, "must be an integer"),
            ("NFRAMES", "1", "must be an integer"),
            ("NFRAMES", 0, "; got 0"),
            ("GROUPGAP", -1, "; got -1"),
            ("GROUPGAP", "none", "must be an integer"),
            ("DRPFRMS1", -2, "; got -2"),
            ("INSTRUME", 5, "must be a string"),
        ],
    )
    def test_ramp_refused(self, tmp_path, keyword, value, says):
        ramp_refused(save(ramp_hdulist(keywords={keyword: value}), tmp_path / "r.fits"), f"keyword {keyword}", says)

    def test_card_that_breaks_the_standard(self, tmp_path):
        content = to_bytes(ramp_hdulist()).replace(b"TGROUP  =                  3.0", b"TGROUP  =                3.0.0")
        (tmp_path / "r.fits").write_bytes(content)
        ramp_refused(tmp_path / "r.fits", "keyword TGROUP", "correct its card")


class TestExtensions:
    @pytest.mark.parametrize("extension", ["SCI", "GROUPDQ"])
    def test_required(self, tmp_path, extension):
        hdulist = ramp_hdulist()
        del hdulist[extension]
        ramp_refused(save(hdulist, tmp_path / "r.fits"), f"extension {extension} is missing", "PIXELDQ")

    @pytest.mark.parametrize("extension", ["GROUPDQ", "PIXELDQ", "ZEROFRAME", "AVDRKCUR"])
    def test_contradicting_shapes(self, tmp_path, extension):
        hdulist = ramp_hdulist(optional=True)
        hdulist[extension].data = hdulist[extension].data[..., :-1].copy()
        ramp_refused(save(hdulist, tmp_path / "r.fits"), f"extension {extension}", str(SHAPE), "contradicts itself")

    def test_image_in_place_of_ramps(self, tmp_path):
        hdulist = ramp_hdulist()
        hdulist["SCI"].data = hdulist["SCI"].data[0].copy()
        ramp_refused(save(hdulist, tmp_path / "r.fits"), "extension SCI must have 4 axes", "it has 3")

    def test_no_data(self, tmp_path):
        for shape in ((), (2, 5, 0, 7)):
            hdulist = ramp_hdulist()
            data = None if shape == () else np.zeros(shape, np.float32)
            hdulist["SCI"] = fits.ImageHDU(data, name="SCI")
            hdulist["GROUPDQ"] = fits.ImageHDU(data, name="GROUPDQ")
            del hdulist["PIXELDQ"]
            ramp_refused(save(hdulist, tmp_path / f"r{len(shape)}.fits"), "extension SCI")

    def test_flags_must_be_integers_that_fit(self, tmp_path):
        for values, says in ((np.zeros(SHAPE, np.float32), "integers"), (np.full(SHAPE, 300, np.int16), "300")):
            hdulist = ramp_hdulist()
            hdulist["GROUPDQ"].data = values
            ramp_refused(save(hdulist, tmp_path / f"{says}.fits"), "extension GROUPDQ", says)

    def test_table_in_place_of_an_image(self, tmp_path):
        hdulist = ramp_hdulist()
        column = fits.Column("x", "J", array=np.zeros(5))
        hdulist["PIXELDQ"] = fits.BinTableHDU.from_columns([column], name="PIXELDQ")
        hdulist["PIXELDQ"].header["NAXIS1"] = 4
        ramp_refused(save(hdulist, tmp_path / "r.fits"), "extension PIXELDQ")

    def test_rate_file(self, tmp_path):
        for model in ("ImageModel", "CubeModel", ""):
            hdulist = reference_hdulist(np.ones((4, 5)), {"DATAMODL": model or None})
            hdulist.append(fits.ImageHDU(np.ones((4, 5)), name="VAR_RNOISE"))
            ramp_refused(save(hdulist, tmp_path / f"{model}_rate.fits"), "product of ramp fitting", model, "jump-step")

    def test_uncalibrated_file(self, tmp_path):
        hdulist = ramp_hdulist(keywords={"DATAMODL": "Level1bModel"})
        del hdulist["GROUPDQ"]
        ramp_refused(save(hdulist, tmp_path / "r_uncal.fits"), "uncalibrated", "jump step")

    def test_int_times_must_be_a_table(self, tmp_path):
        hdulist = ramp_hdulist()
        hdulist.append(fits.ImageHDU(np.zeros(4), name="INT_TIMES"))
        ramp_refused(save(hdulist, tmp_path / "r.fits"), "extension INT_TIMES", "table")


class TestReadTimes:
    @pytest.mark.parametrize(
        "text", ["meta: {exposure: {read_times: [ ], type: X}}\n", "meta: {read_times: null}\n", "a: 1\n"]
    )
    def test_none_without_asdf(self, tmp_path, monkeypatch, text, name):
        monkeypatch.setattr(builtins, "__import__", _no_asdf(builtins.__import__))
        path = save(fits.HDUList([*ramp_hdulist(), asdf_hdu(text)]), tmp_path / name)
        assert read_exposure(path).read_times is None

    def test_needs_asdf(self, tmp_path, monkeypatch, name):
        monkeypatch.setattr(builtins, "__import__", _no_asdf(builtins.__import__))
        path = save(fits.HDUList([*ramp_hdulist(), asdf_hdu(READ_TIMES)]), tmp_path / name)
        ramp_refused(path, "extension ASDF", "read times", "pip install '.[asdf]' in a clone")

    def test_read(self, tmp_path, name):
        pytest.importorskip("asdf")
        path = save(fits.HDUList([*ramp_hdulist(), asdf_hdu(READ_TIMES)]), tmp_path / name)
        assert read_exposure(path).read_times == ((1.0,), (2.0,), (4.0, 4.5), (8.0,), (16.0,))

    @pytest.mark.parametrize(
        "text",
        [
            "meta:\n  exposure:\n    read_times: [[1.0], [2.0]]\n",
            "meta: {exposure: {read_times: soon}}\n",
            "read_times: [1\n",
        ],
    )
    def test_without_sense(self, tmp_path, text):
        pytest.importorskip("asdf")
        ramp_refused(save(fits.HDUList([*ramp_hdulist(), asdf_hdu(text)]), tmp_path / "r.fits"), "ASDF")


def _with_card(content, extension, card):
    """Return a file with one more card in the header of an HDU, whose last block must have room for it."""
    begin = 0 if extension == "PRIMARY" else content.index(f"EXTNAME = '{extension}".encode())
    end = content.index(b"END".ljust(80), begin)
    assert not content[end + 80 : end + 160].strip()
    return content[:end] + str(card).ljust(80).encode() + content[end : end + 80] + content[end + 160 :]


def _no_asdf(imports):
    def refuse(name, *args, **kwargs):
        if name.partition(".")[0] == "asdf":
            raise ModuleNotFoundError(name)
        return imports(name, *args, **kwargs)

    return refuse


def test_real_files(real_data):
    ramps = [path for path in sorted(real_data.glob("*.fits")) if path.stem.endswith(("_jump", "_ramp"))]
    assert ramps
    for path in sorted(real_data.glob("*.fits")):
        if path not in ramps:
            ramp_refused(path)
            continue
        exposure = read_exposure(path)
        with fits.open(path) as hdulist:
            for array, extension in (
                (exposure.data, "SCI"),
                (exposure.groupdq, "GROUPDQ"),
                (exposure.pixeldq, "PIXELDQ"),
            ):
                np.testing.assert_array_equal(array, hdulist[extension].data)
            assert exposure.group_time == hdulist[0].header["TGROUP"]
        assert isinstance(exposure.data, np.memmap)
