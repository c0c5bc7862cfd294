"""The door: what `Exposure` and `FitOptions` accept, what they refuse, and what the message says."""

from __future__ import annotations

import dataclasses
import re

import numpy as np
import pytest
from astropy import units
from astropy.io import fits

from rampfit_numba import Exposure, ExposureHeader, FitOptions, fit_ramps

SHAPE = (2, 5, 3, 4)
IMAGE = SHAPE[2:]
CUBE = (SHAPE[0], *IMAGE)
DATA = np.arange(np.prod(SHAPE), dtype=np.float32).reshape(SHAPE)
READ_ONLY = DATA.copy()
READ_ONLY.flags.writeable = False


def exposure(**changes):
    """Make a good exposure, with the arguments named in `changes` replaced."""
    arguments = {"data": DATA, "groupdq": np.zeros(SHAPE, np.uint8), "group_time": 2.5} | changes
    return Exposure(arguments.pop("data"), arguments.pop("groupdq"), arguments.pop("group_time"), **arguments)


def refused(error, name, expected, got, **changes):
    """Check that the constructor raises `error`, and that it names the argument, the expectation and what came."""
    with pytest.raises(error) as caught:
        exposure(**changes)
    message = str(caught.value)
    assert re.match(rf"{name}\b", message), message
    assert expected in message, message
    assert got in message, message


# ---------------------------------------------------------------------------------------------------------- refusals
@pytest.mark.parametrize(
    ("data", "error", "expected", "got"),
    [
        pytest.param(None, TypeError, "array", "None", id="none"),
        pytest.param("ramp", TypeError, "array of real numbers", "<U4", id="string"),
        pytest.param([[1.0, 2.0], [3.0]], TypeError, "array of numbers", "list", id="ragged"),
        pytest.param(DATA.astype(complex), TypeError, "real numbers", "complex128", id="complex"),
        pytest.param(DATA > 0, TypeError, "real numbers", "bool", id="bool"),
        pytest.param(DATA.astype(object), TypeError, "real numbers", "object", id="object"),
        pytest.param(np.ma.masked_greater(DATA, 9), TypeError, "without a mask", "masked", id="masked"),
        pytest.param(DATA[0, 0], ValueError, "3 for one integration", "(3, 4)", id="2-d"),
        pytest.param(DATA[None], ValueError, "4 dimensions", "(1, 2, 5, 3, 4)", id="5-d"),
        pytest.param(np.float32(1), ValueError, "4 dimensions", "()", id="0-d"),
        pytest.param(DATA[:0], ValueError, "at least one integration", "(0, 5, 3, 4)", id="no-integration"),
        pytest.param(DATA[:, :0], ValueError, "group", "(2, 0, 3, 4)", id="no-group"),
        pytest.param(DATA[:, :, :0], ValueError, "row", "(2, 5, 0, 4)", id="no-row"),
        pytest.param(DATA[..., :0], ValueError, "column", "(2, 5, 3, 0)", id="no-column"),
        pytest.param(DATA * units.s, ValueError, "DN", "s", id="seconds"),
        pytest.param(DATA * units.electron / units.s, ValueError, "DN", "electron / s", id="rates"),
    ],
)
def test_data_is_refused(data, error, expected, got):
    refused(error, "data", expected, got, data=data, groupdq=None)


@pytest.mark.parametrize(
    ("flags", "error", "expected", "got"),
    [
        pytest.param(np.zeros(SHAPE, np.float32), TypeError, "integers", "float32", id="float"),
        pytest.param("good", TypeError, "", "<U4", id="string"),
        pytest.param(np.zeros(SHAPE[1:], np.uint8), ValueError, str(SHAPE), str(SHAPE[1:]), id="3-d"),
        pytest.param(np.zeros((2, 4, 3, 4), np.uint8), ValueError, str(SHAPE), "(2, 4, 3, 4)", id="a-group-short"),
        pytest.param(np.full(SHAPE, 256, np.uint16), ValueError, "255", "256", id="above-bit-7"),
        pytest.param(np.full(SHAPE, 2**40, np.int64), ValueError, "255", str(2**40), id="int64"),
        pytest.param(np.full(SHAPE, -1, np.int8), ValueError, "0", "-1", id="negative"),
    ],
)
def test_groupdq_is_refused(flags, error, expected, got):
    refused(error, "groupdq", expected, got, groupdq=flags)


@pytest.mark.parametrize(
    ("flags", "error", "expected", "got"),
    [
        pytest.param(np.zeros(IMAGE), TypeError, "integers", "float64", id="float"),
        pytest.param(np.zeros(SHAPE, np.uint32), ValueError, str(IMAGE), str(SHAPE), id="4-d"),
        pytest.param(np.zeros(IMAGE[::-1], np.uint32), ValueError, str(IMAGE), str(IMAGE[::-1]), id="transposed"),
        pytest.param(np.full(IMAGE, 2**32, np.int64), ValueError, str(2**32 - 1), str(2**32), id="above-bit-31"),
        pytest.param(np.full(IMAGE, -1, np.int32), ValueError, "0", "-1", id="negative"),
    ],
)
def test_pixeldq_is_refused(flags, error, expected, got):
    refused(error, "pixeldq", expected, got, pixeldq=flags)


@pytest.mark.parametrize(("name", "shape"), [("average_dark_current", IMAGE), ("zeroframe", CUBE)])
def test_planes_are_refused(name, shape):
    refused(ValueError, name, str(shape), "(7,)", **{name: np.zeros(7)})
    refused(ValueError, name, str(shape), str(SHAPE), **{name: np.zeros(SHAPE)})
    refused(ValueError, name, str(shape), "()", **{name: 3.0})
    refused(TypeError, name, "real numbers", "complex", **{name: np.zeros(shape, complex)})
    refused(TypeError, name, "", "<U4", **{name: "dark"})
    refused(TypeError, name, "mask", "masked", **{name: np.ma.zeros(shape)})
    refused(ValueError, name, "DN", "m", **{name: np.zeros(shape) * units.m})


@pytest.mark.parametrize("name", ["group_time", "frame_time"])
@pytest.mark.parametrize(
    ("value", "error"),
    [
        pytest.param(0, ValueError, id="zero"),
        pytest.param(-2.5, ValueError, id="negative"),
        pytest.param(float("nan"), ValueError, id="nan"),
        pytest.param(float("inf"), ValueError, id="inf"),
        pytest.param(1e-50, ValueError, id="zero-in-single-precision"),
        pytest.param(1e50, ValueError, id="infinite-in-single-precision"),
        pytest.param("2.5", TypeError, id="string"),
        pytest.param(True, TypeError, id="bool"),
        pytest.param(2.5j, TypeError, id="complex"),
        pytest.param([2.5], TypeError, id="list"),
        pytest.param(2.5 * units.m, ValueError, id="metre"),
        pytest.param([2.5, 3.5] * units.s, (TypeError, ValueError), id="quantity-array"),
    ],
)
def test_times_are_refused(name, value, error):
    refused(error, name, "expected", "got", **{name: value})


def test_group_time_has_no_default():
    with pytest.raises(TypeError, match="group_time"):
        Exposure(DATA, None)
    refused(TypeError, "group_time", "seconds", "None", group_time=None)


@pytest.mark.parametrize(("name", "least"), [("nframes", 1), ("groupgap", 0), ("drop_frames1", 0)])
def test_counts_are_refused(name, least):
    refused(ValueError, name, f"from {least} to", str(least - 1), **{name: least - 1})
    refused(ValueError, name, f"from {least} to", str(10**400), **{name: 10**400})
    for value in (1.0, 1.5, "1", True, float("nan"), [1]):
        refused(TypeError, name, f">= {least}", repr(value), **{name: value})


@pytest.mark.parametrize(
    ("value", "error", "expected", "got"),
    [
        pytest.param([1.0, 2.0, 3.0], ValueError, "5", "3", id="a-short-list"),
        pytest.param([1.0, 2.0, 2.0, 3.0, 4.0], ValueError, "rising", "2.0", id="not-rising"),
        pytest.param([1.0, 2.0, np.nan, 3.0, 4.0], ValueError, "finite", "nan", id="nan"),
        pytest.param([[1.0], [], [2.0], [3.0], [4.0]], ValueError, "rising", "()", id="empty-group"),
        pytest.param(["a", "b", "c", "d", "e"], TypeError, "numbers", "'a'", id="strings"),
        pytest.param(3.0, TypeError, "sequence", "3.0", id="number"),
    ],
)
def test_read_times_are_refused(value, error, expected, got):
    refused(error, "read_times", expected, got, read_times=value)


def test_instrument_and_header_are_refused():
    refused(TypeError, "instrument", "string", "None", instrument=None)
    refused(TypeError, "instrument", "string", "7", instrument=7)
    refused(TypeError, "header", "Header", "dict", header={"INSTRUME": "MIRI"})


def test_unknown_argument_is_refused():
    with pytest.raises(TypeError, match="grouptime"):
        exposure(grouptime=3.0)


# --------------------------------------------------------------------------------------------------- what is accepted
@pytest.mark.parametrize(
    "data",
    [
        pytest.param(DATA, id="float32"),
        pytest.param(DATA.astype(">f4"), id="big-endian"),
        pytest.param(DATA.astype(np.float64), id="float64"),
        pytest.param(DATA.astype(">f8"), id="big-endian-float64"),
        pytest.param(DATA.astype(np.float16), id="float16"),
        pytest.param(DATA.astype(np.longdouble), id="longdouble"),
        pytest.param(DATA.astype(np.uint16), id="uint16"),
        pytest.param(DATA.astype(">i4"), id="big-endian-int32"),
        pytest.param(DATA.astype(np.int64), id="int64"),
        pytest.param(np.asfortranarray(DATA), id="fortran-order"),
        pytest.param(DATA[::-1, ::-1, ::-1, ::-1], id="negative-strides"),
        pytest.param(np.broadcast_to(DATA[:1, :, :1, :1], SHAPE), id="zero-strides"),
        pytest.param(READ_ONLY, id="read-only"),
    ],
)
def test_data_is_kept_as_given(data):
    kept = exposure(data=data).data
    assert kept is data
    assert kept.dtype == data.dtype


def test_memmap_is_kept_as_a_memmap(tmp_path):
    DATA.astype(">f4").tofile(tmp_path / "ramp.bin")
    data = np.memmap(tmp_path / "ramp.bin", dtype=">f4", mode="r", shape=SHAPE)
    assert exposure(data=data).data is data


def test_quantities_lose_their_unit_and_nothing_else():
    made = exposure(
        data=DATA * units.DN,
        group_time=0.25 * units.min,
        frame_time=5000 * units.ms,
        groupgap=2,
        zeroframe=np.ones(CUBE, np.float32) * units.DN,
    )
    assert type(made.data) is np.ndarray
    assert np.array_equal(made.data, DATA)
    assert (made.group_time, made.frame_time) == (15.0, 5.0)
    assert type(made.zeroframe) is np.ndarray
    quantity = units.Quantity(DATA, units.DN, copy=False)
    assert np.shares_memory(exposure(data=quantity).data, DATA)


def test_nested_lists_are_accepted():
    made = exposure(data=DATA.tolist(), groupdq=np.zeros(SHAPE, int).tolist(), pixeldq=np.zeros(IMAGE, int).tolist())
    assert np.array_equal(made.data, DATA)
    assert made.groupdq.dtype == np.uint8
    assert made.pixeldq.dtype == np.uint32


@pytest.mark.parametrize("dtype", ["u1", "i1", "<u2", ">u2", ">i4", "i8", "u8"])
def test_groupdq_of_any_integer_type(dtype):
    given = (np.arange(np.prod(SHAPE)) % 100).astype(dtype).reshape(SHAPE)
    made = exposure(groupdq=given)
    assert made.groupdq.dtype == np.uint8
    assert np.array_equal(made.groupdq, given)


@pytest.mark.parametrize("dtype", ["u1", "<u4", ">u4", ">i4", "i8", "u8"])
def test_pixeldq_of_any_integer_type(dtype):
    given = (np.arange(np.prod(IMAGE)) % 100).astype(dtype).reshape(IMAGE)
    made = exposure(pixeldq=given)
    assert made.pixeldq.dtype == np.dtype(np.uint32)
    assert made.pixeldq.dtype.isnative
    assert np.array_equal(made.pixeldq, given)


def test_flags_keep_their_top_bits():
    assert exposure(groupdq=np.full(SHAPE, 255, np.int16)).groupdq.max() == 255
    assert exposure(pixeldq=np.full(IMAGE, 2**31 + 1, np.int64)).pixeldq.max() == 2**31 + 1


def test_flags_of_the_right_type_are_not_copied():
    groupdq, pixeldq = np.zeros(SHAPE, np.uint8), np.zeros(IMAGE, np.uint32)
    made = exposure(groupdq=groupdq, pixeldq=pixeldq)
    assert made.groupdq is groupdq
    assert made.pixeldq is pixeldq


def test_planes_are_not_copied():
    dark, zeroframe = np.zeros(IMAGE, ">f8"), np.zeros(CUBE, np.int16)
    made = exposure(average_dark_current=dark, zeroframe=zeroframe)
    assert made.average_dark_current is dark
    assert made.zeroframe is zeroframe


@pytest.mark.parametrize("time", [2, 2.0, np.float32(2), np.int16(2), 2 * units.s])
def test_any_number_is_a_time(time):
    made = exposure(group_time=time, frame_time=time)
    assert (made.group_time, made.frame_time) == (2.0, 2.0)
    assert type(made.group_time) is float


def test_defaults():
    made = exposure()
    assert (made.pixeldq, made.average_dark_current, made.zeroframe, made.read_times) == (None, None, None, None)
    assert (made.nframes, made.groupgap, made.drop_frames1, made.instrument) == (1, 0, 0, "")
    assert made.header is None
    assert made.frame_time == 2.5
    assert exposure(nframes=4, groupgap=1).frame_time == 0.5
    assert exposure(nframes=np.int64(4)).nframes == 4
    assert exposure(groupdq=None).data is DATA


def test_shape_properties():
    made = exposure()
    assert made.shape == SHAPE
    assert (made.nints, made.ngroups, made.nrows, made.ncols) == SHAPE


def test_instrument_is_taken_as_it_is():
    """Only the exact string MIRI has a meaning to the reference; blanks are what FITS strings may end with."""
    assert exposure(instrument="MIRI ").instrument == "MIRI"
    assert exposure(instrument="miri").instrument == "miri"


def test_read_times_become_tuples_of_numbers():
    assert exposure(group_time=1.0, read_times=[1, 2, 3, 4, 5]).read_times == ((1.0,), (2.0,), (3.0,), (4.0,), (5.0,))
    several = exposure(read_times=[[1, 2], [3, 4], [5, 6], [7, 8], np.array([9.0])]).read_times
    assert several == ((1.0, 2.0), (3.0, 4.0), (5.0, 6.0), (7.0, 8.0), (9.0,))


def test_header_forms():
    primary = fits.Header([("TARGNAME", "M 31")])
    assert exposure(header=primary).header.primary["TARGNAME"] == "M 31"
    header = ExposureHeader(primary=primary, sci=fits.Header(), filename="a_jump.fits")
    assert exposure(header=header).header is header


# ------------------------------------------------------------------------------------------------------------- frozen
def test_frozen():
    made = exposure()
    for field in dataclasses.fields(made):
        if field.init:
            with pytest.raises(dataclasses.FrozenInstanceError):
                setattr(made, field.name, None)
    with pytest.raises(dataclasses.FrozenInstanceError):
        made.data2 = 1
    with pytest.raises(dataclasses.FrozenInstanceError):
        ExposureHeader(fits.Header(), fits.Header()).filename = "b"
    with pytest.raises(dataclasses.FrozenInstanceError):
        FitOptions().algorithm = "likely"


def test_equality_is_identity():
    assert exposure() != exposure()
    assert len({exposure(), exposure()}) == 2


def test_inputs_are_unchanged():
    given = {
        "data": DATA.astype(">f8"),
        "groupdq": np.full(SHAPE, 5, ">i4"),
        "pixeldq": np.full(IMAGE, 9, ">u4"),
        "average_dark_current": np.ones(IMAGE, ">f4"),
        "zeroframe": np.ones(CUBE, ">f4"),
    }
    before = {name: (array.tobytes(), array.dtype) for name, array in given.items()}
    exposure(**given)
    assert {name: (array.tobytes(), array.dtype) for name, array in given.items()} == before


# ------------------------------------------------------------------------------------------------------------ options
@pytest.mark.parametrize("name", ["ols", "OLS", "OLS_C", "ols_c"])
def test_algorithm_names(name):
    assert FitOptions(algorithm=name).algorithm == "ols"


@pytest.mark.parametrize(
    ("option", "value", "error"),
    [
        ("algorithm", "gls", ValueError),
        ("algorithm", "", ValueError),
        ("algorithm", None, TypeError),
        ("algorithm", 1, TypeError),
        ("suppress_one_group", "yes", TypeError),
        ("suppress_one_group", None, TypeError),
        ("suppress_one_group", 2, TypeError),
        ("save_opt", "False", TypeError),
        ("save_opt", None, TypeError),
        ("save_opt", [True], TypeError),
        ("firstgroup", 1.0, TypeError),
        ("firstgroup", "1", TypeError),
        ("firstgroup", True, TypeError),
        ("lastgroup", 1.5, TypeError),
        ("lastgroup", "last", TypeError),
        ("lastgroup", False, TypeError),
    ],
)
def test_options_are_refused(option, value, error):
    with pytest.raises(error) as caught:
        FitOptions(**{option: value})
    message = str(caught.value)
    assert message.startswith(option)
    assert "expected" in message
    assert repr(value) in message


def test_options_are_normalised():
    options = FitOptions(firstgroup=np.int64(2), lastgroup=7, save_opt=np.True_)
    assert (options.firstgroup, options.lastgroup, options.save_opt) == (2, 7, True)
    assert type(options.firstgroup) is int
    assert type(options.save_opt) is bool


def test_dark_current_has_its_own_unit():
    dark = np.full(DATA.shape[2:], 0.5)
    kept = Exposure(DATA, None, 2.0, average_dark_current=dark * units.DN / units.s)
    assert np.array_equal(kept.average_dark_current, dark)
    with pytest.raises(ValueError, match=r"average_dark_current: expected DN/s or electron/s; got DN, which"):
        Exposure(DATA, None, 2.0, average_dark_current=dark * units.DN)


@pytest.mark.parametrize(("name", "dtype"), [("err", np.float64), ("dq", np.int8), ("data", np.int16)])
def test_out_must_fit(name, dtype):
    exposure_ = Exposure(DATA, None, 2.0)
    fit = fit_ramps(exposure_, 14.0, 2.0)
    wrong = dataclasses.replace(fit.rate, **{name: getattr(fit.rate, name).astype(dtype)})
    with pytest.raises(ValueError, match=rf"out\.rate\.{name}: expected a writeable array"):
        fit_ramps(exposure_, 14.0, 2.0, out=dataclasses.replace(fit, rate=wrong))


@pytest.mark.parametrize("given", ["x_jump.fits", DATA])
def test_what_is_no_exposure_is_told_how_to_become_one(given):
    with pytest.raises(TypeError, match=r"exposure: expected an Exposure, as .* read_exposure of a file; got \w+"):
        fit_ramps(given, 14.0, 1.8)
