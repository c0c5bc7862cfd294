"""Fixtures and settings shared by all tests."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import HealthCheck, settings

from tests.pipeline import offline_environment
from tests.sizes import INTERPRETED, fewer

if TYPE_CHECKING:
    from collections.abc import Iterator

settings.register_profile(
    "rampfit",
    max_examples=fewer(40, 10),
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
settings.load_profile("rampfit")


@pytest.fixture(autouse=True)
def _ieee_arithmetic() -> Iterator[None]:
    """Let interpreted kernels divide by zero as compiled ones do, without a warning."""
    with np.errstate(all="ignore" if INTERPRETED else None):
        yield


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Return the folder of real exposures named by RAMPFIT_TEST_DATA; unset: skip, set but missing: fail."""
    name = os.environ.get("RAMPFIT_TEST_DATA", "")
    if not name:
        pytest.skip("RAMPFIT_TEST_DATA is not set: the real exposures are not part of the project")
    folder = Path(name)
    if not folder.is_dir():
        pytest.fail(f"RAMPFIT_TEST_DATA={name} is not a folder")
    return folder


@pytest.fixture(scope="session")
def offline_crds(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """Let the pipeline work without a CRDS server: a cache of our own; returns the variables of the environment."""
    found = offline_environment(tmp_path_factory.mktemp("crds"))
    with pytest.MonkeyPatch.context() as patch:
        for name, value in found.items():
            patch.setenv(name, value)
        yield found
