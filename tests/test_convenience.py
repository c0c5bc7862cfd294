"""What people really bring, and what they get to see: masks, cubes, references, short descriptions."""

from __future__ import annotations

import numpy as np
import pytest
from astropy.io import fits

from rampfit_numba import (
    Exposure,
    FileResult,
    RampFileError,
    dq,
    fit_file,
    fit_files,
    fit_ramps,
    make_groupdq,
    read_exposure,
    read_reference,
    simulate_exposure,
)
from tests.make_files import ramp_hdulist, reference_hdulist, save

SHAPE = (2, 6, 3, 4)


def ramps(shape=SHAPE):
    return np.cumsum(np.full(shape, 50.0, np.float32), axis=1)


def bits(fit):
    return [
        plane.tobytes()
        for part in (fit.rate, fit.rateints)
        for plane in vars(part).values()
        if isinstance(plane, np.ndarray)
    ]


def fitted(*arguments, **options):
    return fit_ramps(Exposure(*arguments, 1.0, **options), 10.0, 2.0)


# ------------------------------------------------------------------------------------------------------ masks, cubes
def test_true_in_a_mask_is_do_not_use():
    mask = np.zeros(SHAPE, bool)
    mask[0, 3, 1, 1] = mask[1, :, 2, 2] = True
    assert bits(fitted(ramps(), mask)) == bits(fitted(ramps(), mask.astype(np.uint8) * dq.DO_NOT_USE))
    pixels = mask[1, 0]
    assert bits(fitted(ramps(), None, pixeldq=pixels)) == bits(
        fitted(ramps(), None, pixeldq=pixels.astype(np.uint32) * dq.DO_NOT_USE)
    )
    assert fitted(ramps(), None, pixeldq=pixels).rate.dq[2, 2] == dq.DO_NOT_USE
    assert mask.dtype == bool  # and untouched


def test_three_axes_are_one_integration():
    mask = np.zeros((6, 3, 4), bool)
    mask[3, 1, 1] = True
    first = ramps()[:1, 0]
    cube = fitted(ramps()[0], mask, zeroframe=first[0])
    assert cube.rateints.data.shape == (1, 3, 4)
    assert bits(cube) == bits(fitted(ramps()[:1], mask[None], zeroframe=first))
    assert bits(fitted(ramps()[:1], mask)) == bits(cube)


def test_flags_of_several_integrations_need_all_axes():
    with pytest.raises(ValueError, match=r"groupdq: expected shape \(2, 6, 3, 4\).*got \(6, 3, 4\)"):
        Exposure(ramps(), np.zeros((6, 3, 4), np.uint8), 1.0)


def test_a_masked_array_is_told_what_to_write():
    masked = np.ma.masked_greater(ramps(), 200)
    with pytest.raises(TypeError, match=r"give its \.data, and set DO_NOT_USE in groupdq instead, which takes a mask"):
        Exposure(masked, None, 1.0)
    Exposure(masked.data, masked.mask, 1.0)


def test_masks_become_flags():
    saturated, jump, bad = (np.zeros((1, 2, 1, 4), bool) for _ in range(3))
    saturated[..., 1] = jump[..., 2] = bad[..., 3] = jump[..., 3] = True
    flags = make_groupdq(saturated=saturated, jump=jump, do_not_use=bad.tolist())
    assert flags.dtype == np.uint8
    assert flags.shape == saturated.shape
    assert flags[0, 1, 0].tolist() == [0, dq.SATURATED, dq.JUMP_DET, dq.JUMP_DET | dq.DO_NOT_USE]


def test_flags_are_not_taken_for_masks():
    with pytest.raises(TypeError, match=r"jump: expected an array of booleans; got dtype uint8 \(write, say, jump="):
        make_groupdq(jump=np.zeros((1, 2, 1, 4), np.uint8))
    with pytest.raises(TypeError, match="expected one of saturated, jump, do_not_use or more; got none"):
        make_groupdq()
    with pytest.raises(ValueError, match=r"jump: expected shape \(2,\), that of saturated; got \(3,\)"):
        make_groupdq(saturated=[True, False], jump=[True, False, True])


# --------------------------------------------------------------------------------------------------------- references
@pytest.fixture
def files(tmp_path):
    """Write an exposure and its references; return their paths."""
    paths = [tmp_path / name for name in ("x_jump.fits", "readnoise.fits", "gain.fits")]
    save(ramp_hdulist(SHAPE), paths[0])
    for path, value in zip(paths[1:], (10.0, 2.0), strict=True):
        save(reference_hdulist(np.full(SHAPE[2:], value, np.float32), start=(11, 21)), path)
    return paths


def test_fit_ramps_takes_files_and_what_read_reference_returns(files):
    path, readnoise, gain = files
    exposure = read_exposure(path)
    expected = bits(fit_ramps(exposure, 10.0, 2.0))
    assert bits(fit_ramps(exposure, readnoise, str(gain))) == expected
    read = [read_reference(reference, exposure, name) for reference, name in ((readnoise, "readnoise"), (2.0, "gain"))]
    assert bits(fit_ramps(exposure, *read)) == expected
    assert bits(fit_ramps(exposure, "10", "2")) == expected


def test_a_reference_that_is_no_file_is_named(files):
    exposure = read_exposure(files[0])
    with pytest.raises(RampFileError, match=r"gone\.fits: no such file"):
        fit_ramps(exposure, "gone.fits", 2.0)
    with pytest.raises(RampFileError, match=r"is a directory; give the name of a file in it, such as x_jump\.fits"):
        fit_ramps(exposure, files[0].parent, 2.0)


def test_fit_file_and_fit_files_return_the_same_kind_of_result(files, tmp_path):
    one = fit_file(files[0], 10.0, 2.0, output_dir=tmp_path / "a")
    (other,) = fit_files([files[0]], 10.0, 2.0, output_dir=tmp_path / "b")
    assert type(one) is type(other) is FileResult
    assert one.path == other.path == files[0]
    assert [path.name for path in one] == [path.name for path in other] == ["x_rate.fits", "x_rateints.fits"]
    rate, rateints = one
    assert (rate, rateints) == one.products == one[:]
    assert len(one) == 2
    assert one
    (failed,) = fit_files([tmp_path / "gone.fits"], 10.0, 2.0, output_dir=tmp_path / "b", on_error="continue")
    assert not failed
    assert list(failed) == []


def test_a_reference_file_among_the_exposures_is_told(files):
    with fits.open(files[2], mode="update") as hdulist:
        hdulist[0].header["REFTYPE"] = "GAIN"
    with pytest.raises(RampFileError, match=r"gain\.fits: is a reference file \(gain\), no exposure; leave it out"):
        read_exposure(files[2])


def test_a_folder_is_told_what_is_in_it(files):
    folder = files[0].parent
    with pytest.raises(RampFileError, match=r"such as x_jump\.fits, or of several, .*\*_jump\.fits"):
        read_exposure(folder)
    files[0].unlink()
    with pytest.raises(RampFileError, match=r"such as gain\.fits"):
        read_exposure(folder)
    for path in folder.iterdir():
        path.unlink()
    with pytest.raises(RampFileError, match=r"there is none in it"):
        read_exposure(folder)


# ------------------------------------------------------------------------------------------------- short descriptions
def test_what_an_exposure_says_of_itself():
    flags = np.zeros(SHAPE, np.uint8)
    flags[0, 5] = dq.SATURATED | dq.DO_NOT_USE
    exposure = Exposure(ramps(), flags, 2.5, instrument="NIRCAM", read_times=2.5 * np.arange(1, 7))
    assert repr(exposure) == (
        "<Exposure: 2 integrations x 6 groups x 3 rows x 4 columns; group time 2.5 s; groups flagged: "
        "DO_NOT_USE 8.3 %, SATURATED 8.3 %; read times even; instrument 'NIRCAM'>"
    )
    assert "groups flagged: none" in repr(Exposure(ramps(), None, 1.0))


def test_what_a_fit_says_of_itself():
    flags = np.zeros(SHAPE, np.uint8)
    flags[:, :, 0, 0] = dq.DO_NOT_USE
    fit = fitted(ramps(), flags)
    assert repr(fit) == (
        "<RampFit: 2 integrations x 3 rows x 4 columns; algorithm 'ols'; median 50 DN/s; median err "
        f"{np.nanmedian(fit.rate.err):.4g} DN/s; flagged: DO_NOT_USE 8.3 %>"
    )
    assert repr(fit.rate).startswith("<Rate: 3 rows x 4 columns; median 50 DN/s; median err ")
    assert repr(fit.rateints).startswith("<RateInts: 2 integrations x 3 rows x 4 columns; median 50 DN/s; ")
    assert "with fitopt of 1 segments" in repr(fit_ramps(Exposure(ramps(), None, 1.0), 10.0, 2.0, save_opt=True))


def test_what_a_simulation_says_of_itself():
    simulation = simulate_exposure(1, 5, 3, 4, seed=6)
    assert repr(simulation).startswith(
        f"<Simulation: 1 integration x 5 groups x 3 rows x 4 columns; hits {simulation.hits.sum()}; median true rate "
    )
    assert "<th>seed</th><td>6</td>" in simulation._repr_html_()


@pytest.mark.parametrize("name", ["readnoise", "gain"])
def test_a_reference_that_is_forgotten_is_named(name):
    references = {"readnoise": 10.0, "gain": 2.0, name: None}
    with pytest.raises(TypeError, match=f"^{name}: expected a number or an array of numbers; got None$"):
        fit_ramps(Exposure(ramps(), None, 1.0), **references)


def test_a_fit_without_any_rate_says_so():
    with pytest.warns(UserWarning, match="no ramp can be fitted"):
        fit = fitted(ramps(), np.full(SHAPE, dq.SATURATED, np.uint8))
    assert "median none DN/s" in repr(fit)
    assert "nothing fitted: " in repr(fit)


def test_notebooks_get_a_table_in_which_text_is_text():
    exposure = Exposure(ramps(), None, 1.0, instrument="<script>alert(1)</script>")
    html = exposure._repr_html_()
    assert "<script>" not in html
    assert "&lt;script&gt;" in html
    fit = fit_ramps(exposure, 10.0, 2.0)
    for part in (fit, fit.rate, fit.rateints):
        assert part._repr_html_().startswith(f"<table><caption>{type(part).__name__}</caption><tr><th>size</th>")


def test_large_results_describe_themselves_in_parts():
    """A prompt must not wait: 60 million values are looked at in part."""
    from rampfit_numba import summary

    cube = np.broadcast_to(np.float32(3), (600, 200, 500))
    assert summary._sample(cube).size <= 2 * summary._MOST
    assert summary.median_text(cube) == "3"
    image = np.zeros((4000, 4000), np.uint32)
    image[::2] = dq.JUMP_DET
    assert summary._sample(image).size <= 2 * summary._MOST
    assert summary._sample(np.zeros((2, 3))).size == 6
