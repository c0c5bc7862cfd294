"""What docs/jwst.md shows works as it stands: all its blocks, in their order, in an empty folder."""

from __future__ import annotations

import pytest

from tests.pages import ROOT, blocks_of, run_page
from tests.pipeline import names_in, require_pipeline

require_pipeline("matplotlib")

pytestmark = [pytest.mark.jwst]

PAGE = ROOT / "docs" / "jwst.md"


def test_every_block_runs(tmp_path):
    assert [kind for kind, _ in blocks_of(PAGE)].count("python") >= 4
    printed = run_page(PAGE, tmp_path, warnings="error::RuntimeWarning")
    assert "rampfit_numba.jwst.RampFitStep (rampfit_numba)" in printed
    assert "<ImageModel(64, 64) from x_0_rampfitstep.fits> <CubeModel(4, 64, 64)" in printed
    wanted = {"fitopt.png", "parameters.asdf", "x_0_rampfitstep.fits", "x_1_rampfitstep.fits", "x_fitopt.fits"}
    assert wanted | {"x_rampfitstep.fits", "x_rate.fits", "x_rateints.fits"} <= set(names_in(tmp_path))
    assert (tmp_path / "fitopt.png").read_bytes().startswith(b"\x89PNG")
