"""A process with little address space gets one clear error: no abort, no endless loop, no false interrupt."""

from __future__ import annotations

import resource
import subprocess
import sys

import pytest

from rampfit_numba import address_space
from rampfit_numba.address_space import COMPILING, check, check_for_numba
from tests.make_files import ramp_hdulist, save
from tests.scripts import LINUX, PACKAGE_FOLDER

MIB = 1 << 20
MESSAGE = r"too little address space to load Numba: that takes about \d+ MiB, and this process has \d+ left of the "


@pytest.fixture
def limited(monkeypatch):
    """Give a function that limits what this process seems to have left, MiB."""

    def limit(left):
        monkeypatch.setattr(address_space, "_limit", lambda: (1000 + left) * MIB)
        monkeypatch.setattr(address_space, "_taken", lambda: 1000 * MIB)

    return limit


def test_what_is_left_is_compared_with_what_is_needed(limited):
    import numba  # noqa: F401

    pytest.importorskip("scipy.linalg")
    limited(left=100)
    check(100, "to do something")
    with pytest.raises(MemoryError, match=r"to do something: that takes about 101 MiB, and this process has 100 left"):
        check(101, "to do something")


def test_what_is_still_to_be_imported_counts(limited, monkeypatch):
    """SciPy is imported by Numba, where it is installed; its BLAS takes more with every core."""
    monkeypatch.setattr(address_space, "find_spec", lambda _: True)
    monkeypatch.setattr(address_space, "_cores", lambda: 2)
    for module in ("numba", "scipy.linalg"):
        monkeypatch.delitem(sys.modules, module, raising=False)
    limited(left=394)
    with pytest.raises(MemoryError, match="to load Numba: that takes about 395 MiB, and this process has 394 left"):
        check_for_numba()
    limited(left=395)
    check_for_numba()
    monkeypatch.setattr(address_space, "_cores", lambda: 64)
    with pytest.raises(MemoryError, match="that takes about 3185 MiB"):
        check_for_numba()
    monkeypatch.setattr(address_space, "find_spec", lambda _: None)
    check_for_numba()


def test_without_a_limit_nothing_is_refused(monkeypatch):
    monkeypatch.setattr(address_space, "_limit", lambda: None)
    check(1 << 60, "to do something")


def limited_process(*arguments, mib, cwd):
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=cwd,
        env={"PYTHONPATH": PACKAGE_FOLDER, "PATH": "", "HOME": str(cwd)},
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (mib * MIB, mib * MIB)),
        capture_output=True,
        text=True,
        timeout=60,
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
    cores = len(address_space.os.sched_getaffinity(0))
    mib = 450 + 90 * cores + COMPILING // 2
    arguments = ["-m", "rampfit_numba", "fit", "x_jump.fits", "--readnoise", "12", "--gain", "2"]
    done = limited_process(*arguments, mib=mib, cwd=tmp_path)
    assert done.returncode == 1
    assert "not enough memory: too little address space to compile the kernels" in done.stderr
    assert "Traceback" not in done.stderr
    assert not list(tmp_path.glob("*rate*"))
