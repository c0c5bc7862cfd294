"""What must hold for every likelihood fit, whatever the numbers: found by hypothesis."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import rampfit_numba
from rampfit_numba.algorithms import rows
from rampfit_numba.kernels.vectors import WIDTH  # noqa: F401  (printed by the other process)
from tests.likely_cases import LikelyCase, LikelyFit, assert_same_bits, fit_kernel
from tests.random_likely import random_likely_case
from tests.sizes import INTERPRETED, fewer

pytestmark = pytest.mark.kernel

SEEDS = st.integers(0, 10_000)
JOINT = pytest.mark.parametrize("joint", [False, True], ids=["likely", "likely_joint"])


def local(seed: int) -> LikelyCase:
    return random_likely_case(seed, largest_size=fewer(15_000, 300))


def cut(fit: LikelyFit, rows: Any, cols: Any) -> LikelyFit:
    return LikelyFit(
        {name: plane[rows, cols] for name, plane in fit.rate.items()},
        {name: plane[:, rows, cols] for name, plane in fit.rateints.items()},
        fit.groupdq[:, :, rows, cols],
    )


@JOINT
@given(seed=SEEDS, power=st.integers(-6, 6))
def test_unit_of_the_data(joint: bool, seed: int, power: int) -> None:
    """Data and read noise in other units, the gain with them: a power of two leaves every digit as it is."""
    case, factor = local(seed), np.float32(2.0**power)
    if joint:  # its least read noise is a number of DN
        np.maximum(case.readnoise, np.float32(0.25), out=case.readnoise)
    scaled = case.but(
        data=case.data * factor,
        readnoise=case.readnoise * factor,
        gain=case.gain / factor,
        dark=None if case.dark is None else case.dark * factor,
        zeroframe=None if case.zeroframe is None else case.zeroframe * factor,
    )
    plain, found = fit_kernel(case, joint=joint), fit_kernel(scaled, joint=joint)
    unit = {"data": factor, "err": factor, "var_poisson": factor**2, "var_rnoise": factor**2}
    tiny = np.float32(1e-30)
    for kind in ("rate", "rateints"):
        for name, plane in getattr(plain, kind).items():
            wanted, got = plane * unit.get(name, plane.dtype.type(1)), getattr(found, kind)[name]
            # Below that, single precision has fewer digits.
            large = ~(np.abs(plane) < tiny) if plane.dtype == np.float32 else np.ones(plane.shape, bool)
            np.testing.assert_array_equal(got[large], wanted[large], err_msg=f"{kind}.{name}")
    np.testing.assert_array_equal(found.groupdq, plain.groupdq)


@JOINT
@given(seed=SEEDS, constant=st.integers(-2000, 2000))
def test_constant_added(joint: bool, seed: int, constant: int) -> None:
    """Without a zeroframe or a pedestal only differences count; integers add up exactly."""
    case = local(seed)
    with np.errstate(invalid="ignore"):
        whole = np.round(np.clip(case.data, -1e6, 1e6))
    case = case.but(zeroframe=None, data=whole)
    assert_same_bits(fit_kernel(case, joint=joint), fit_kernel(case.but(data=whole + constant), joint=joint))


@JOINT
@given(seed=SEEDS)
def test_permuted_pixels(joint: bool, seed: int) -> None:
    """No pixel knows its place, nor its neighbours."""
    case = local(seed)
    rng = np.random.default_rng(seed)
    rows, cols = rng.permutation(case.shape[2])[:, None], rng.permutation(case.shape[3])
    whole = fit_kernel(case, joint=joint)
    assert_same_bits(cut(whole, rows, cols), fit_kernel(case.cut(rows, cols), joint=joint))
    corner = slice(0, 1), slice(case.shape[3] // 2, None)
    assert_same_bits(cut(whole, *corner), fit_kernel(case.cut(*corner), joint=joint))


@JOINT
@pytest.mark.parametrize("tile_bytes", [1, 20_000, 1 << 30])
def test_tile_size_is_invisible(joint: bool, tile_bytes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    cases = [local(seed) for seed in range(500, 500 + fewer(20, 3))]
    expected = [fit_kernel(case, joint=joint) for case in cases]
    monkeypatch.setattr(rows, "BUFFER_BYTES", tile_bytes)
    for case, wanted in zip(cases, expected, strict=True):
        assert_same_bits(wanted, fit_kernel(case, joint=joint))


@JOINT
def test_any_layout_of_the_inputs(joint: bool) -> None:
    """Big-endian, strided, wider and read-only arrays; none is changed."""
    for seed in range(600, 600 + fewer(10, 2)):
        case = local(seed)
        wanted = fit_kernel(case, joint=joint)
        odd = case.but(data=case.data.astype(">f4"), gain=np.asfortranarray(case.gain.astype(np.float64)))
        odd = odd.but(readnoise=np.repeat(case.readnoise, 2, axis=1)[:, ::2])
        before = odd.but()
        for array in odd.__dict__.values():
            if isinstance(array, np.ndarray):
                array.setflags(write=False)
        assert_same_bits(wanted, fit_kernel(odd, joint=joint))
        for name, array in odd.__dict__.items():
            if isinstance(array, np.ndarray):
                np.testing.assert_array_equal(array, getattr(before, name))


@given(seed=SEEDS)
def test_order_of_integrations(seed: int) -> None:
    """Each integration has the pixel's one covariance: their order means nothing."""
    case = local(seed)
    order = np.random.default_rng(seed).permutation(case.shape[0])
    zeroframe = None if case.zeroframe is None else case.zeroframe[order]
    shuffled = case.but(data=case.data[order], groupdq=case.groupdq[order], zeroframe=zeroframe)
    plain, found = fit_kernel(case, joint=True), fit_kernel(shuffled, joint=True)
    same = (found.groupdq == plain.groupdq[order]).all(axis=(0, 1))
    # Sums in another order: a decision may fall otherwise where it is a matter of rounding.
    assert same.mean() > 0.95
    err = np.nan_to_num(plain.rate["err"])
    with np.errstate(invalid="ignore"):
        change = np.abs(np.nan_to_num(found.rate["data"]) - np.nan_to_num(plain.rate["data"]))
    assert (change <= 1e-4 * err + 1.2e-7 * np.abs(np.nan_to_num(plain.rate["data"])))[same].all()


@JOINT
@given(seed=SEEDS)
def test_flagged_samples_mean_nothing(joint: bool, seed: int) -> None:
    """Whatever stands in a flagged group: but for the pipeline's first guess, which looks at it."""
    case = local(seed).but(zeroframe=None)
    if not joint:
        case.readnoise[...] = 20.0
        case.gain[...] = np.inf  # no photon noise, so that the guess does not matter
    case = case.but(data=np.where(np.isfinite(case.data), case.data, 0))
    flagged = (case.groupdq & (0xFB ^ 32 if joint else 0xFB)) != 0  # PERSISTENCE is advice there
    other = case.but(data=np.where(flagged, np.float32(12345), case.data))
    plain, found = fit_kernel(case, joint=joint), fit_kernel(other, joint=joint)
    if joint:
        assert_same_bits(plain, found)
        return
    # The guess is also what is subtracted from the differences: equal but for rounding.
    same = (plain.groupdq == found.groupdq).all(axis=1)
    assert same.mean() > 0.95
    ok = same & np.isfinite(plain.rateints["data"])
    change = np.abs(plain.rateints["data"][ok] - found.rateints["data"][ok])
    assert (change <= 1e-4 * plain.rateints["err"][ok] + 1.2e-7 * np.abs(plain.rateints["data"][ok])).all()


def digest() -> str:
    """Return a hash of all planes of some exposures; NaNs are alike."""
    found = hashlib.sha256()
    for seed in range(900, 910):
        for joint in (False, True):
            fit = fit_kernel(random_likely_case(seed, largest_size=5000), joint=joint)
            for plane in (*fit.rate.values(), *fit.rateints.values(), fit.groupdq):
                found.update(np.where(plane == plane, plane, np.nan).astype(plane.dtype).tobytes())  # noqa: PLR0124
    return found.hexdigest()


@pytest.mark.slow
@pytest.mark.skipif(INTERPRETED, reason="nothing is compiled")
def test_any_machine_gives_the_same_bits(tmp_path: Path) -> None:
    """With the narrowest registers as few pixels go side by side as anywhere."""
    script = "from tests.test_likely_properties import *; print(WIDTH, digest())"
    narrow = {"NUMBA_CPU_NAME": "generic", "NUMBA_CPU_FEATURES": "", "NUMBA_CACHE_DIR": str(tmp_path)}
    path = os.pathsep.join([str(Path(rampfit_numba.__file__).parents[1]), str(Path(__file__).parents[1])])
    done = subprocess.run(
        [sys.executable, "-c", script],
        env=os.environ | narrow | {"PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == ["4", digest()]
