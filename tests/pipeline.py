"""The real JWST pipeline in tests: a CRDS cache for work without a network, models of cases, and deep comparison."""

from __future__ import annotations

import copy
import importlib
import os
import pprint
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from rampfit_numba import __version__
from tests.cases import FITOPT_PLANES, RATE_PLANES, Case, PlainFit, flag_missing_rates
from tests.compare import Comparison

if TYPE_CHECKING:
    from pathlib import Path

CONTEXT = "jwst_0641.pmap"
# What crds 14 asks of a cache that no server has filled.
SERVER_CONFIG = {
    "observatory": "jwst",
    "operational_context": CONTEXT,
    "edit_context": CONTEXT,
    "last_synced": "2024-01-01 00:00:00",
    "crds_version": {"str": "14.0.0"},
    "bad_files": "",
    "bad_files_list": [],
    "mappings": [],
    "reference_url": {"jwst": ""},
    "mapping_url": {"jwst": ""},
    "force_remote_mode": False,
}
# What belongs to one run, not to its result.
OF_THE_RUN = ("cal_logs", "meta.date", "_fits_hash", "history")


def require_pipeline(*more: str) -> None:
    """Skip the test module without the pipeline (and other modules that are named), or fail where it was promised."""
    for name in ("jwst.pipeline", *more):
        if os.environ.get("RAMPFIT_REQUIRE_JWST") == "1":
            importlib.import_module(name)
        else:
            pytest.importorskip(name, reason=f"needs {name}, of the extras jwst and plot")


def offline_environment(folder: Path) -> dict[str, str]:
    """Make a CRDS cache in a folder and return the variables that let CRDS work from it alone."""
    path = folder / "config" / "jwst" / "server_config"
    path.parent.mkdir(parents=True)
    path.write_text(pprint.pformat(SERVER_CONFIG), encoding="utf-8")
    return {"CRDS_PATH": str(folder), "CRDS_CONTEXT": CONTEXT, "STPIPE_DISABLE_CRDS_STEPPARS": "true"}


def some_case(shape: tuple[int, ...] = (2, 8, 11, 13), seed: int = 1, **changes: Any) -> Case:
    """Return an exposure of ordinary ramps: hits, saturation, bad pixels."""
    rng = np.random.default_rng(seed)
    nints, ngroups, nrows, ncols = shape
    rates = 10 ** rng.uniform(0, 3.5, (nrows, ncols))
    data = 50 + np.cumsum(rng.poisson(rates, (nints, ngroups, nrows, ncols)), axis=1).astype(np.float32)
    groupdq = np.zeros(shape, np.uint8)
    hits = rng.random(shape) < 0.05
    hits[:, 0] = False
    groupdq[hits] = 4
    data += np.cumsum(np.where(hits, rng.exponential(500, shape), 0), axis=1).astype(np.float32)
    groupdq[data > 12_000] = 2
    fields = {
        "data": data,
        "groupdq": groupdq,
        "pixeldq": np.where(rng.random((nrows, ncols)) < 0.05, 1, 0).astype(np.uint32),
        "readnoise": rng.uniform(8, 16, (nrows, ncols)).astype(np.float32),
        "gain": rng.uniform(1.5, 2.5, (nrows, ncols)).astype(np.float32),
        "suppress_one_group": True,
    }
    return Case(**(fields | changes))


def ramp_model(case: Case, **metadata: Any) -> Any:
    """Return a case as a RampModel with metadata of all kinds; ``metadata`` names more, with __ for the dots."""
    from stdatamodels.jwst import datamodels

    model = datamodels.RampModel(data=case.data, groupdq=case.groupdq, pixeldq=case.pixeldq)
    if case.zeroframe is not None:
        model.zeroframe = case.zeroframe
    if case.average_dark_current is not None:
        model.average_dark_current = case.average_dark_current
    nints, ngroups, nrows, ncols = case.shape
    values = {
        "filename": "jw00001001001_01101_00001_detector_jump.fits",
        "telescope": "JWST",
        "bunit_data": "DN",
        "observation__date": "2024-02-03",
        "observation__time": "01:02:03.000",
        "observation__program_number": "00001",
        "target__proposer_name": "NGC 1",
        "target__ra": 10.5,
        "wcsinfo__crval1": 10.5,
        "wcsinfo__crpix1": 3.25,
        "ref_file__dark__name": "crds://dark.fits",
        "cal_step__jump": "COMPLETE",
        "cal_step__linearity": "SKIPPED",
        "instrument__name": case.instrument or "FGS",
        "instrument__detector": {"MIRI": "MIRIMAGE", "NIRSPEC": "NRS1"}.get(case.instrument, "NRCA1"),
        "exposure__type": {"MIRI": "MIR_IMAGE", "NIRSPEC": "NRS_FIXEDSLIT"}.get(case.instrument, "NRC_IMAGE"),
        "exposure__nints": nints,
        "exposure__ngroups": ngroups,
        "exposure__nframes": case.nframes,
        "exposure__groupgap": case.groupgap,
        "exposure__drop_frames1": case.drop_frames1,
        "exposure__frame_time": case.frame_time,
        "exposure__group_time": case.group_time,
        "exposure__readpatt": "RAPID",
        "subarray__name": "SUB64",
        "subarray__xstart": 5,
        "subarray__ystart": 9,
        "subarray__xsize": ncols,
        "subarray__ysize": nrows,
        "subarray__fastaxis": 1,
        "subarray__slowaxis": 2,
    }
    for name, value in (values | metadata).items():
        node: Any = model.meta
        *way, last = name.split("__")
        for step in way:
            node = getattr(node, step)
        setattr(node, last, value)
    return model


def reference_models(case: Case, model: Any, *, full_frame: bool = False, gain_factor: float | None = None) -> Any:
    """Return read noise and gain of a case as reference models, of the subarray or of all that is around it."""
    from stdatamodels.jwst import datamodels

    start = model.meta.subarray.xstart, model.meta.subarray.ystart
    found = []
    for kind, values in ((datamodels.ReadnoiseModel, case.readnoise), (datamodels.GainModel, case.gain)):
        data, (xstart, ystart) = values.copy(), start
        if full_frame:
            data = np.pad(data, ((ystart - 1, 3), (xstart - 1, 6)), constant_values=99)
            xstart, ystart = 1, 1
        reference = kind(data=data)
        reference.meta.instrument.name = model.meta.instrument.name
        reference.meta.subarray.xstart, reference.meta.subarray.ystart = xstart, ystart
        reference.meta.subarray.ysize, reference.meta.subarray.xsize = data.shape
        found.append(reference)
    if gain_factor is not None:
        found[1].meta.exposure.gain_factor = gain_factor
    return tuple(found)


def run_step(step: Any, model: Any, references: Any, folder: Path, **parameters: Any) -> tuple[Any, Any, Any]:
    """Call a step with the references as overrides and return rate, rateints and the fitopt that it saved, or None."""
    from stdatamodels.jwst import datamodels

    folder.mkdir()
    names = dict(zip(("override_readnoise", "override_gain"), references, strict=True))
    rate, rateints = step.call(model, output_dir=str(folder), save_opt=True, **names, **parameters)
    saved = list(folder.glob("*_fitopt.fits"))
    return rate, rateints, datamodels.RampFitOutputModel(saved[0]) if saved else None


def planes_of(rate: Any, rateints: Any, fitopt: Any) -> PlainFit:
    """Return the planes of the products."""
    products = ({name: getattr(model, name) for name in RATE_PLANES} for model in (rate, rateints))
    optional = None if fitopt is None else {name: getattr(fitopt, name) for name in FITOPT_PLANES}
    return PlainFit(*products, optional)


def histories(model: Any) -> list[str]:
    """Return the history of a model, as text."""
    return [str(entry["description"]) for entry in model.instance.get("history", {}).get("entries", [])]


def names_in(folder: Path) -> list[str]:
    """Return the names of the files in a folder, sorted."""
    return sorted(path.name for path in folder.iterdir())


def snapshot(model: Any) -> dict[str, Any]:
    """Return all that a model holds, copied."""
    arrays = {name: (array.copy(), array.dtype) for name, array in model.instance.items() if hasattr(array, "dtype")}
    return {"metadata": pprint.pformat(model.instance["meta"]), "arrays": arrays}


def check_untouched(model: Any, before: dict[str, Any]) -> None:
    """Compare a model with what it was: every byte of every array, and all metadata."""
    now = snapshot(model)
    assert now["metadata"] == before["metadata"]
    assert now["arrays"].keys() == before["arrays"].keys()
    for name, (array, dtype) in before["arrays"].items():
        assert now["arrays"][name][1] == dtype, name
        assert now["arrays"][name][0].tobytes() == array.tobytes(), name


def check_metadata(expected: Any, got: Any, *, but: tuple[str, ...] = ()) -> None:
    """Compare two models: class, every metadatum, and which arrays there are; tables value by value."""
    assert type(got) is type(expected)
    wanted, found = (
        {
            key: value
            for key, value in model.to_flat_dict(include_arrays=False).items()
            if not key.startswith((*OF_THE_RUN, *but))
        }
        for model in (expected, got)
    )
    absent = object()
    keys = sorted(wanted.keys() | found.keys())
    different = {
        key: (wanted.get(key), found.get(key)) for key in keys if wanted.get(key, absent) != found.get(key, absent)
    }
    assert not different, f"expected, got: {different}"
    arrays = [{name for name, a in model.instance.items() if hasattr(a, "dtype")} for model in (expected, got)]
    assert arrays[0] == arrays[1]
    for name in arrays[0]:
        one, other = getattr(expected, name), getattr(got, name)
        assert (one.shape, one.dtype) == (other.shape, other.dtype), name
        if one.dtype.names:
            assert one.tobytes() == other.tobytes(), name


def check_products(case: Case, expected: tuple[Any, Any, Any], got: tuple[Any, Any, Any]) -> None:
    """Compare rate, rateints and fitopt of two steps: all planes within the project's tolerances, all metadata."""
    for one, other in zip(expected, got, strict=True):
        assert (one is None) == (other is None)
        if one is not None:
            check_metadata(one, other)
            assert histories(other)[0] == f"rampfit_numba {__version__}: ramp fitting"
    wanted = copy.deepcopy(planes_of(*expected))
    flag_missing_rates(wanted.rate, wanted.rateints)
    failures = Comparison().add(case, wanted, planes_of(*got))
    assert not failures, f"{case.label}: {failures[0]}"
