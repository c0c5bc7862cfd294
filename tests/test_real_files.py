"""Real exposures (RAMPFIT_TEST_DATA): against the products that jwst 3.0.0 wrote, and against the installed stcal."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from astropy.io import fits

from rampfit_numba import fit_ramps, read_exposure, read_reference
from tests.cases import Case, PlainFit, plain
from tests.compare import Comparison
from tests.reference import reference_fit
from tests.sizes import INTERPRETED

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.data, pytest.mark.skipif(INTERPRETED, reason="too large to interpret")]

# exposure, its read noise and gain: a file, or a value
FILES = [
    ("miri_sub64_nat_jump.fits", "miri_sub64_readnoise.fits", "miri_sub64_gain.fits"),
    ("miri_sub64_lowsat_jump.fits", "miri_sub64_readnoise.fits", "miri_sub64_gain.fits"),
    ("fgs_acq1_ramp.fits", 12.0, 1.9),
    ("wfc3_ibxy01z8q_jump.fits", "wfc3_266_readnoise.fits", "wfc3_266_gain.fits"),
    ("sim_nrc_rapid_jump.fits", "sim_nrc_rapid_readnoise.fits", "sim_nrc_rapid_gain.fits"),
]


def load(folder: Path, name: str, readnoise: str | float, gain: str | float, *, suppress: bool) -> Case:
    """Read an exposure by astropy alone: what the package reads is compared with what stcal makes of this."""

    def reference(found: str | float, shape: tuple[int, ...]) -> np.ndarray:
        if isinstance(found, str):
            return fits.getdata(folder / found, "SCI").astype(np.float32)
        return np.full(shape, found, np.float32)

    with fits.open(folder / name, memmap=False) as hdus:
        primary, data = hdus[0].header, hdus["SCI"].data.astype(np.float32)
        return Case(
            data=data,
            groupdq=hdus["GROUPDQ"].data.astype(np.uint8),
            pixeldq=hdus["PIXELDQ"].data.astype(np.uint32),
            readnoise=reference(readnoise, data.shape[2:]),
            gain=reference(gain, data.shape[2:]),
            group_time=primary["TGROUP"],
            frame_time=primary["TFRAME"],
            nframes=primary["NFRAMES"],
            groupgap=primary["GROUPGAP"],
            drop_frames1=primary["DRPFRMS1"],
            instrument=primary["INSTRUME"],
            suppress_one_group=suppress,
            label=name,
        )


def fit_file_arrays(folder: Path, name: str, readnoise: str | float, gain: str | float, *, suppress: bool) -> PlainFit:
    exposure = read_exposure(folder / name)
    noise = read_reference(folder / readnoise if isinstance(readnoise, str) else readnoise, exposure, "readnoise")
    electrons = read_reference(folder / gain if isinstance(gain, str) else gain, exposure, "gain")
    fit = fit_ramps(exposure, noise.data, electrons.data, save_opt=True, suppress_one_group=suppress)
    return plain(fit)


@pytest.mark.parametrize("suppress", [True, False], ids=["suppress", "keep"])
@pytest.mark.parametrize(
    ("name", "readnoise", "gain"), FILES, ids=[name.split("_")[0] + name[4:12] for name, *_ in FILES]
)
def test_against_stcal(real_data: Path, name: str, readnoise: str | float, gain: str | float, suppress: bool) -> None:
    case = load(real_data, name, readnoise, gain, suppress=suppress)
    expected = reference_fit(case)
    assert expected is not None
    got = fit_file_arrays(real_data, name, readnoise, gain, suppress=suppress)
    failures = Comparison().add(case, expected, got)
    assert not failures, failures[0]


def test_against_the_pipelines_product(real_data: Path) -> None:
    """The pipeline itself, with its files and its references, on the real MIRI exposure."""
    name, readnoise, gain = FILES[0]
    got = fit_file_arrays(real_data, name, readnoise, gain, suppress=True)
    names = {"data": "SCI", "err": "ERR", "dq": "DQ", "var_poisson": "VAR_POISSON", "var_rnoise": "VAR_RNOISE"}
    with fits.open(real_data / "miri_sub64_nat_rateints_jwst300_OLS_C.fits", memmap=False) as hdus:
        rateints = {
            plane: hdus[extension].data.astype(np.uint32 if plane == "dq" else np.float32)
            for plane, extension in names.items()
        }
    case = load(real_data, name, readnoise, gain, suppress=True)
    failures = Comparison().add(case, PlainFit(got.rate, rateints, None), PlainFit(got.rate, got.rateints, None))
    assert not failures, failures[0]
    assert np.isfinite(rateints["data"]).mean() > 0.5


def test_inputs_stay_as_they_were(real_data: Path) -> None:
    name, readnoise, gain = FILES[0]
    before = (real_data / name).read_bytes()
    fit_file_arrays(real_data, name, readnoise, gain, suppress=True)
    assert (real_data / name).read_bytes() == before
