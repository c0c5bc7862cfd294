"""The step against the pipeline's own, on the same models: every plane, all metadata, and untouched inputs."""

from __future__ import annotations

import numpy as np
import pytest
from astropy.io import fits

from tests.likely_cases import deviation
from tests.make_files import int_times
from tests.pipeline import (
    check_metadata,
    check_products,
    check_untouched,
    planes_of,
    ramp_model,
    reference_models,
    require_pipeline,
    run_step,
    snapshot,
    some_case,
)
from tests.random_exposures import random_case
from tests.reference import with_deviations

require_pipeline()

from jwst import ramp_fitting  # noqa: E402
from stdatamodels.jwst import datamodels  # noqa: E402

from rampfit_numba.engine import executors  # noqa: E402
from rampfit_numba.jwst import RampFitStep  # noqa: E402

pytestmark = [pytest.mark.jwst, pytest.mark.usefixtures("offline_crds")]

SHAPE = (2, 8, 11, 13)


def run_ours(*arguments, **parameters):
    return run_step(RampFitStep, *arguments, **parameters)


def run_theirs(model, references, folder, **parameters):
    """Run the pipeline's step; it scales the read noise in place, also that of a model which it is given."""
    copies = [reference.copy() for reference in references]
    return run_step(ramp_fitting.RampFitStep, model, copies, folder, **parameters)


def compare(case, folder, *, references=None, model=None, **parameters):
    """Run both steps on the model of a case and compare them; return our products."""
    model = ramp_model(case) if model is None else model
    references = reference_models(case, model) if references is None else references
    parameters.setdefault("suppress_one_group", case.suppress_one_group)
    expected = run_theirs(model, references, folder / "theirs", **parameters)
    before = [snapshot(each) for each in (model, *references)]
    got = run_ours(model, references, folder / "ours", **parameters)
    for each, was in zip((model, *references), before, strict=True):
        check_untouched(each, was)
    assert expected[0] is not None
    check_products(case, expected, got)
    return got


@pytest.mark.parametrize("instrument", ["MIRI", "NIRCAM"])
@pytest.mark.parametrize("nints", [1, 3])
@pytest.mark.parametrize("full_frame", [False, True], ids=["subarray", "full-frame"])
def test_instruments_integrations_and_references(tmp_path, instrument, nints, full_frame):
    case = some_case((nints, *SHAPE[1:]), instrument=instrument)
    if instrument == "MIRI":  # as the pipeline flags them
        case.groupdq[:, [0, -1]] |= 1
    model = ramp_model(case)
    references = reference_models(case, model, full_frame=full_frame, gain_factor=2.0)
    rate, rateints, fitopt = compare(case, tmp_path, model=model, references=references)
    assert rate.data.shape == case.shape[2:]
    assert rateints.data.shape == (nints, *case.shape[2:])
    assert rate.meta.cal_step.ramp_fit == rateints.meta.cal_step.ramp_fit == "COMPLETE"
    assert (rate.meta.bunit_data, rateints.meta.bunit_err) == ("DN/s", "DN/s")
    assert {m.meta.exposure.gain_factor for m in (rate, rateints, fitopt)} == {2.0}
    assert np.isfinite(rate.data).mean() > 0.9


def test_full_frame_exposure_and_references_without_keywords(tmp_path):
    case = some_case((1, 5, 1024, 1032), instrument="MIRI")
    model = ramp_model(case, subarray__xstart=1, subarray__ystart=1, subarray__name="FULL")
    references = reference_models(case, model)
    for reference in references:
        for name in ("xstart", "ystart", "xsize", "ysize"):
            setattr(reference.meta.subarray, name, None)
    was = [snapshot(reference) for reference in references]
    got = run_ours(model, references, tmp_path / "ours")
    for reference, before in zip(references, was, strict=True):
        check_untouched(reference, before)
    check_products(case, run_theirs(model, references, tmp_path / "theirs"), got)


@pytest.mark.parametrize("seed", range(16))
def test_random_exposures(tmp_path, seed):
    """Flags, times, read noise and gains of all kinds; zeroframe, dark current, charge loss, ranges of groups."""
    case = with_deviations(random_case(1000 + seed, largest_size=20_000))
    model = ramp_model(case)
    references = reference_models(case, model)
    parameters = {name: getattr(case, name) for name in ("suppress_one_group", "firstgroup", "lastgroup")}
    expected = run_theirs(model, references, tmp_path / "theirs", **parameters)
    got = run_ours(model, references, tmp_path / "ours", **parameters)
    if expected[0] is None:
        assert got == (None, None, None)
    else:
        check_products(case, expected, got)


@pytest.mark.parametrize(
    ("kind", "instrument", "lamp"),
    [
        ("MIR_MRS", "MIRI", None),
        ("NRS_IFU", "NIRSPEC", None),
        ("NRS_LAMP", "NIRSPEC", "IFU"),
        ("NRS_AUTOWAVE", "NIRSPEC", "IFU"),
        ("NRS_AUTOWAVE", "NIRSPEC", "MSASPEC"),
    ],
)
def test_integral_field_units(tmp_path, kind, instrument, lamp):
    case = some_case(instrument=instrument)
    model = ramp_model(case, exposure__type=kind, instrument__lamp_mode=lamp)
    rate, rateints, _ = compare(case, tmp_path, model=model)
    assert isinstance(rate, datamodels.IFUImageModel) == (lamp in (None, "IFU"))
    assert isinstance(rateints, datamodels.CubeModel)


@pytest.mark.filterwarnings("default::stdatamodels.exceptions.ValidationWarning")
def test_a_keyword_of_a_reference_that_is_no_number(tmp_path, caplog):
    case = some_case(SHAPE)
    model = ramp_model(case)
    names = [str(tmp_path / f"{name}.fits") for name in ("readnoise", "gain")]
    for reference, name in zip(reference_models(case, model, gain_factor=1.25), names, strict=True):
        reference.save(name)
    fits.setval(names[1], "GAINFACT", value="many")
    expected = run_step(ramp_fitting.RampFitStep, model, names, tmp_path / "theirs")
    caplog.clear()
    got = run_ours(model, names, tmp_path / "ours")
    check_products(case, expected, got)
    assert caplog.text.count("While validating meta.exposure.gain_factor") == 1
    assert got[0].meta.exposure.gain_factor is None


@pytest.mark.parametrize("suppress", [True, False])
def test_zeroframe_and_dark_current(tmp_path, suppress):
    case = some_case(instrument="NIRCAM", nframes=2, frame_time=1.5, suppress_one_group=suppress)
    case.groupdq[:, 1:, 3:6] = 2
    case.groupdq[:, :, 4:6] = 2
    zeroframe = (0.5 * case.data[:, 0]).copy()
    zeroframe[0, 5] = 0
    case = case.copy(zeroframe=zeroframe, average_dark_current=np.full(SHAPE[2:], 0.3, np.float32))
    rate, _, _ = compare(case, tmp_path)
    assert np.isfinite(rate.data[4]).any() != suppress


def test_charge_loss(tmp_path):
    case = some_case(instrument="NIRISS")
    case.groupdq[:, 5:, 2:8] |= 129
    model = ramp_model(case, instrument__detector="NIS", exposure__type="NIS_IMAGE")
    rate, _, _ = compare(case, tmp_path, model=model)
    usable = np.isfinite(rate.data[2:8])
    assert (rate.err**2 < rate.var_poisson + rate.var_rnoise)[2:8][usable].any() or (
        rate.err**2 > 1.01 * (rate.var_poisson + rate.var_rnoise)
    )[2:8][usable].any()


def table(rows, *, stripes=False):
    from astropy.io import fits

    columns = int_times(rows)
    if stripes:
        columns.insert(1, fits.Column("stripe_number", "J", array=np.arange(rows)))
    return fits.BinTableHDU.from_columns(columns).data


@pytest.mark.parametrize("stripes", [False, True])
def test_time_series(tmp_path, stripes):
    case = some_case((4, *SHAPE[1:]), instrument="NIRISS")
    model = ramp_model(case, instrument__detector="NIS", exposure__type="NIS_SOSS", visit__tsovisit=True)
    model.int_times = table(4)
    if stripes:
        model.int_times_stripe = table(8, stripes=True)
    rate, rateints, _ = compare(case, tmp_path, model=model)
    assert list(rateints.int_times["integration_number"]) == [1, 2, 3, 4]
    assert (rateints.int_times_stripe is not None) == stripes
    assert not rate.instance.keys() & {"int_times", "int_times_stripe"}


@pytest.mark.parametrize("what", ["saturated", "flagged MIRI", "too few MIRI groups"])
def test_nothing_to_fit(tmp_path, what):
    case = some_case(instrument="NIRCAM" if what == "saturated" else "MIRI")
    if what == "saturated":
        case.groupdq[:] = 2
    elif what == "flagged MIRI":
        case.groupdq[:] = 1
    else:
        case.groupdq[:, [0, -1]] |= 1
        case.groupdq[:, 1:6] |= 1
    model = ramp_model(case)
    references = reference_models(case, model)
    for name, run in (("theirs", run_theirs), ("ours", run_ours)):
        assert run(model, references, tmp_path / name, save_results=True) == (None, None, None)
        assert list((tmp_path / name).iterdir()) == []


def test_all_flagged_elsewhere_is_no_nothing(tmp_path):
    case = some_case(instrument="NIRCAM")
    case.groupdq[:] = 1
    rate, _, _ = compare(case, tmp_path)
    assert np.isnan(rate.data).all()


@pytest.mark.parametrize("ngroups", [1, 2, 3])
def test_short_ramps(tmp_path, ngroups):
    compare(some_case((2, ngroups, 5, 6), instrument="MIRI"), tmp_path)


@pytest.mark.parametrize("parameters", [{"firstgroup": 2}, {"lastgroup": 4}, {"firstgroup": -1, "lastgroup": 20}])
def test_group_range(tmp_path, parameters):
    compare(some_case(instrument="MIRI"), tmp_path, **parameters)


def test_workers_and_executors_give_equal_bits(tmp_path, monkeypatch):
    monkeypatch.setattr("loky.cpu_count", lambda *_, **__: 2)
    monkeypatch.setattr("rampfit_numba.engine.cores.threads_worth", lambda _: 2)  # this exposure is worth one
    kinds, run = [], executors._run_in_threads
    monkeypatch.setattr(executors, "_run_in_threads", lambda *given: kinds.append(given[4]) or run(*given))
    case = some_case((2, 12, 40, 50))
    model = ramp_model(case)
    references = reference_models(case, model)
    runs = [{}, {"maximum_cores": 2}, {"maximum_cores": "2", "executor": "processes"}, {"maximum_cores": "all"}]
    products = [
        run_ours(model, references, tmp_path / str(number), **parameters) for number, parameters in enumerate(runs)
    ]
    assert kinds == [2, 2] * 2  # segments are counted, then fitted, by threads in two runs of four
    first = planes_of(*products[0])
    for product in products[1:]:
        other = planes_of(*product)
        for one, two in ((first.rate, other.rate), (first.rateints, other.rateints), (first.fitopt, other.fitopt)):
            assert all(one[name].tobytes() == two[name].tobytes() for name in one)


def test_from_a_file_in_any_byte_order(tmp_path):
    """The file's big-endian planes, zeroframe included, give what native arrays give."""
    case = some_case(instrument="NIRCAM", nframes=2, frame_time=1.5, suppress_one_group=False)
    case.groupdq[:, :, 4:6] = 2
    case = case.copy(zeroframe=0.5 * case.data[:, 0], average_dark_current=np.full(SHAPE[2:], 0.3, np.float32))
    model = ramp_model(case)
    references = reference_models(case, model)
    path = tmp_path / model.meta.filename
    model.save(path)
    content = path.read_bytes()
    parameters = {"suppress_one_group": False}
    native = run_ours(model, references, tmp_path / "native", **parameters)
    stored = run_ours(str(path), references, tmp_path / "stored", **parameters)
    assert path.read_bytes() == content
    check_products(case, native, stored)
    swapped = model.copy()
    for name in ("data", "pixeldq", "zeroframe", "average_dark_current"):
        array = getattr(model, name)
        swapped.instance[name] = array.astype(array.dtype.newbyteorder())
    before = snapshot(swapped)
    check_products(case, native, run_ours(swapped, references, tmp_path / "swapped", **parameters))
    check_untouched(swapped, before)
    assert np.isfinite(native[0].data[4]).all()


@pytest.mark.parametrize("read_times", [False, True])
def test_likely(tmp_path, read_times):
    case = some_case((2, 14, 6, 7), instrument="NIRCAM")
    # Ramps with fewer than four used differences are left to rounding by the reference.
    case.groupdq[case.groupdq == 2] = 0
    model = ramp_model(case)
    if read_times:
        model.meta.exposure.read_times = [[float(t)] for t in np.cumsum(np.arange(14) // 2 + 1)]
    references = reference_models(case, model)
    chosen = {} if read_times else {"algorithm": "LIKELY"}
    before = snapshot(model)
    found = []
    for name, run in (("theirs", run_theirs), ("ours", run_ours)):
        with np.errstate(all="ignore"):  # stcal's
            products = run(model, references, tmp_path / name, firstgroup=1, **chosen)
        assert products[2] is None
        (path,) = (tmp_path / name).iterdir()
        assert path.name.endswith("_likely_chisq.fits")
        found.append((*products[:2], datamodels.ImageModel(path)))
    check_untouched(model, before)
    for theirs, ours in zip(*found, strict=True):
        check_metadata(theirs, ours)
        for plane in ("data", "err", "dq", "var_poisson", "var_rnoise"):
            if getattr(theirs, plane) is not None:
                compare_likely(plane, theirs, ours)


def compare_likely(plane, theirs, ours):
    """Compare a plane under the tolerances of docs/likelihood.md."""
    wanted, got = getattr(theirs, plane), getattr(ours, plane)
    if plane == "dq":
        np.testing.assert_array_equal(got, wanted)
        return
    kind = "chisq" if theirs.err is None else plane
    assert not (deviation(kind, wanted, got, wanted if theirs.err is None else theirs.err) > 1).any(), plane


def test_likely_falls_back_on_short_ramps(tmp_path):
    case = some_case((2, 3, 6, 7), instrument="NIRCAM")
    compare(case, tmp_path, algorithm="LIKELY")


# exposure, read noise, gain
REAL = [
    ("miri_sub64_nat_jump.fits", "miri_sub64_readnoise.fits", "miri_sub64_gain.fits"),
    ("miri_sub64_lowsat_jump.fits", "miri_sub64_readnoise.fits", "miri_sub64_gain.fits"),
    ("sim_nrc_rapid_jump.fits", "sim_nrc_rapid_readnoise.fits", "sim_nrc_rapid_gain.fits"),
    ("wfc3_ibxy01z8q_jump.fits", "wfc3_266_readnoise.fits", "wfc3_266_gain.fits"),
]


@pytest.mark.data
@pytest.mark.parametrize(("name", "readnoise", "gain"), REAL, ids=[name for name, *_ in REAL])
def test_real_files(real_data, tmp_path, name, readnoise, gain):
    references = str(real_data / readnoise), str(real_data / gain)
    expected = run_step(ramp_fitting.RampFitStep, str(real_data / name), references, tmp_path / "theirs")
    got = run_ours(str(real_data / name), references, tmp_path / "ours")
    with datamodels.RampModel(real_data / name) as model:
        case = some_case().copy(
            data=model.data, groupdq=model.groupdq, pixeldq=model.pixeldq, group_time=model.meta.exposure.group_time
        )
    check_products(case, expected, got)
