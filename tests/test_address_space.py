"""A process with little address space gets one clear error: no abort, no endless loop, no false interrupt."""

from __future__ import annotations

import resource
import subprocess
import sys

import pytest

from rampfit_numba import address_space
from rampfit_numba.address_space import check_for_compiling, check_for_loading
from tests.make_files import ramp_hdulist, save
from tests.scripts import LINUX, PACKAGE_FOLDER

MIB = 1 << 20
MESSAGE = r"too little address space to load Numba: that takes about \d+ MiB, and this process has \d+ left of the "


@pytest.fixture
def limited(monkeypatch):
    """Give a function that limits what this process seems to have left, MiB."""

    def limit(left):
        monkeypatch.setattr(address_space, "address_space_limit", lambda: (1000 + left) * MIB)
        monkeypatch.setattr(address_space, "_taken", lambda: 1000 * MIB)

    return limit


@pytest.fixture
def imported(monkeypatch):
    """Let Numba and SciPy's BLAS seem imported, or not."""

    def are(*, numba, scipy):
        for name, there in (("numba", numba), ("scipy.linalg", scipy)):
            if there:
                monkeypatch.setitem(sys.modules, name, sys)
            else:
                monkeypatch.delitem(sys.modules, name, raising=False)

    monkeypatch.setattr(address_space, "find_spec", lambda _: True)
    monkeypatch.setattr(address_space, "_cores", lambda: 2)
    return are


@pytest.mark.parametrize(
    ("function", "there", "needed"),
    [
        (check_for_loading, {"numba": True, "scipy": False}, 40),
        (check_for_loading, {"numba": False, "scipy": False}, 240),
        (check_for_compiling, {"numba": True, "scipy": True}, 390),
        (check_for_compiling, {"numba": True, "scipy": False}, 545),
    ],
)
def test_what_is_left_is_compared_with_what_is_needed(limited, imported, function, there, needed):
    imported(**there)
    limited(left=needed)
    function("kernels")
    limited(left=needed - 1)
    with pytest.raises(MemoryError, match=f"that takes about {needed} MiB, and this process has {needed - 1} "):
        function("kernels")


def test_the_blas_of_scipy_takes_more_with_every_core(limited, imported, monkeypatch):
    imported(numba=True, scipy=False)
    monkeypatch.setattr(address_space, "_cores", lambda: 64)
    limited(left=3000)
    with pytest.raises(MemoryError, match="that takes about 3335 MiB"):
        check_for_compiling("kernels")
    monkeypatch.setattr(address_space, "find_spec", lambda _: None)  # it is not installed
    check_for_compiling("kernels")


def test_without_a_limit_nothing_is_refused(monkeypatch):
    monkeypatch.setattr(address_space, "address_space_limit", lambda: None)
    monkeypatch.setattr(address_space, "_COMPILING", 1 << 60)
    check_for_compiling("kernels")


def limited_process(*arguments, mib, cwd):
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=cwd,
        env={"PYTHONPATH": PACKAGE_FOLDER, "PATH": "", "HOME": str(cwd)},
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (mib * MIB, mib * MIB)),
        capture_output=True,
        text=True,
        timeout=250,
        check=False,
    )


@LINUX
def test_a_fit_in_little_address_space_is_one_error(tmp_path):
    code = "import rampfit_numba\nrampfit_numba.fit_ramps"
    done = limited_process("-c", code, mib=300, cwd=tmp_path)
    assert done.returncode == 1
    assert f"MemoryError: {MESSAGE[:47]}" in done.stderr


@LINUX
def test_compilation_in_little_address_space_is_one_error(tmp_path):
    """The cache is empty, and the compiler would end the process."""
    save(ramp_hdulist(), tmp_path / "x_jump.fits")
    mib = 400 + 45 * len(address_space.os.sched_getaffinity(0))  # for NumPy, Numba and astropy
    arguments = ["-m", "rampfit_numba", "fit", "x_jump.fits", "--readnoise", "12", "--gain", "2"]
    done = limited_process(*arguments, mib=mib, cwd=tmp_path)
    assert done.returncode == 1
    assert "not enough memory: too little address space to compile the kernels" in done.stderr
    assert "Traceback" not in done.stderr
    assert not list(tmp_path.glob("*rate*"))
