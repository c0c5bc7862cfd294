"""What macOS, Windows and small containers lack: each taken away, and the fit does without it."""

from __future__ import annotations

import errno
import os
import platform
import re
import signal
import time
from pathlib import Path

import numpy as np
import pytest

from rampfit_numba import Exposure, RampFileError, fit_files, fit_ramps
from rampfit_numba import mapped_arrays as files
from rampfit_numba.cli import main
from rampfit_numba.engine.executors import usable_kind
from rampfit_numba.file_arrays import FileArray
from rampfit_numba.io.whole_files import write_all
from tests.scripts import LINUX, PACKAGE_FOLDER, PREAMBLE, WARM_WORKERS, finished, started

OTHER_SYSTEMS = Path(__file__).parent / "other_systems"


# -------------------------------------------------------------------------------------------------- memory without name
def test_without_anonymous_shared_memory_slices_run_in_threads(monkeypatch):
    monkeypatch.delattr(os, "memfd_create", raising=False)
    assert usable_kind(None, 2) == "threads"
    assert usable_kind("processes", 2) == "threads"
    assert usable_kind("processes", 1) == "here"


@pytest.mark.parametrize("executor", ["threads", "processes"])
def test_without_anonymous_shared_memory_nothing_goes_through_a_pipe(monkeypatch, executor):
    monkeypatch.delattr(os, "memfd_create", raising=False)
    monkeypatch.setattr("loky.cpu_count", lambda *_, **__: 2)
    monkeypatch.setattr("rampfit_numba.engine.processes.pool.take", lambda _: pytest.fail("workers are started"))
    ramps = np.cumsum(np.ones((1, 5, 64, 64), np.float32), axis=1)
    alone = fit_ramps(Exposure(ramps, None, 1.0), 12.0, 2.0)
    fit = fit_ramps(Exposure(ramps, None, 1.0), 12.0, 2.0, maximum_cores=2, executor=executor)
    assert fit.rate.data.tobytes() == alone.rate.data.tobytes()


# ------------------------------------------------------------------------------------------------------- systems whole
FIT_FILES = """
    import sys
    from hashlib import sha256
    from pathlib import Path
    from rampfit_numba import machine_code, read_exposure, write_products
    from rampfit_numba.cli import main

    names = ("rate", "rateints", "fitopt")
    fit = ["s_jump.fits", "--readnoise", "s_readnoise.fits", "--gain", "s_gain.fits", "--save-opt", "--overwrite"]
    assert main(["simulate", "s_jump.fits", "--shape", "2x8x64x64", "--seed", "3", "--quiet"]) == 0
    two = ["--maximum-cores", "2", "--executor"]
    for options in ([], [*two, "threads"], [*two, "processes"]):
        assert main([*fit, "--quiet", *options]) == 0
        data = read_exposure("s_jump.fits")  # what is mapped is no obstacle to writing
        from astropy.io import fits
        print(*(sha256(fits.getdata(f"s_{name}.fits", 1).tobytes()).hexdigest()[:9] for name in names))
    print(sorted(path.name for path in Path().iterdir() if not path.name.startswith("script")))
    print(any(place.writable for place in machine_code.usable_places()), machine_code.is_warm("ols-fitopt"))
    print("multiprocessing.resource_tracker" in sys.modules, "rampfit_numba.engine.shared" in sys.modules)
"""


@LINUX
@pytest.mark.parametrize("system", ["macos", "windows"])
def test_files_are_fitted_to_the_same_bits(system, tmp_path):
    """With what that system lacks taken away from the package, see other_systems/sitecustomize.py."""
    folders = [tmp_path / name for name in ("here", "there")]
    for folder in folders:
        folder.mkdir()
    path = os.pathsep.join((PACKAGE_FOLDER, str(OTHER_SYSTEMS)))
    here = finished(started(folders[0], PREAMBLE, FIT_FILES))
    there = finished(
        started(folders[1], PREAMBLE, FIT_FILES, environment={"PYTHONPATH": path, "RAMPFIT_TEST_SYSTEM": system})
    )
    products = "['s_fitopt.fits', 's_gain.fits', 's_jump.fits', 's_rate.fits', 's_rateints.fits', 's_readnoise.fits']"
    assert here.splitlines()[:4] == there.splitlines()[:4]
    assert there.splitlines()[3:] == [products, "True True", "False True"]
    assert len(set(there.splitlines()[:3])) == 1


@LINUX
def test_the_emulation_takes_away_what_it_says(tmp_path):
    """So the test above can fail."""
    code = """
        from rampfit_numba.engine import interrupts, shared
        from rampfit_numba.machine_code import alone, places
        print(shared.os.name, hasattr(shared.os, "memfd_create"), hasattr(places.os, "geteuid"), alone.fcntl)
        print(shared.Path("/proc").is_dir(), shared.available(), hasattr(interrupts.signal, "pthread_sigmask"))
        import os
        print(os.name, hasattr(os, "memfd_create"))
    """
    path = os.pathsep.join((PACKAGE_FOLDER, str(OTHER_SYSTEMS)))
    environment = {"PYTHONPATH": path, "RAMPFIT_TEST_SYSTEM": "windows"}
    output = finished(started(tmp_path, code, environment=environment))
    assert output.splitlines() == [
        "nt False False None",
        "True False False",  # the script's own call sees /proc
        f"{os.name} {hasattr(os, 'memfd_create')}",
    ]


@LINUX
def test_the_emulation_refuses_files_in_use_only(tmp_path):
    """Whatever other threads open and close meanwhile."""
    code = """
        import os, threading
        from pathlib import Path
        from sitecustomize import _refuse_in_use

        done = threading.Event()

        def open_and_close():
            while not done.is_set():
                os.close(os.open(__file__, os.O_RDONLY))

        own = Path("own")
        threads = [threading.Thread(target=open_and_close) for _ in range(2)]
        for thread in threads:
            thread.start()
        try:
            for _ in range(200):
                with own.open("w"):
                    try:
                        _refuse_in_use(own)
                    except PermissionError:
                        pass
                    else:
                        raise SystemExit("a file in use is not refused")
                _refuse_in_use(own)
        finally:
            done.set()
        print("told apart")
    """
    path = os.pathsep.join((PACKAGE_FOLDER, str(OTHER_SYSTEMS)))
    environment = {"PYTHONPATH": path, "RAMPFIT_TEST_SYSTEM": "windows"}
    assert finished(started(tmp_path, code, environment=environment)) == "told apart\n"


# -------------------------------------------------------------------------------------------------------- mapped files
@pytest.fixture
def untold(monkeypatch):
    """Let the system not tell what is mapped where, as macOS."""
    monkeypatch.setattr("rampfit_numba.mapped_arrays._mapped_inode", lambda _: None)


def mapped_ramps(path, mode="r"):
    ramps = np.cumsum(np.random.default_rng(5).poisson(60.0, (2, 6, 64, 64)), axis=1).astype(np.float32)
    ramps.tofile(path)
    return np.memmap(path, np.float32, mode, 0, ramps.shape), ramps


@pytest.mark.usefixtures("untold")
@pytest.mark.parametrize("mode", ["r", "r+"])
def test_mapped_files_are_read_where_the_system_does_not_tell(tmp_path, mode):
    array, ramps = mapped_ramps(tmp_path / "ramps", mode)
    found = files.as_file_array(array[:, :, 8:20])
    assert isinstance(found, FileArray)
    np.testing.assert_array_equal(found.read(), ramps[:, :, 8:20])
    np.testing.assert_array_equal(files.as_file_array(array[..., ::2]), ramps[..., ::2])


@pytest.mark.usefixtures("untold")
@pytest.mark.parametrize("size", [0, 3 * 4096, 2 * 6 * 64 * 64 * 4 - 1])
def test_a_file_cut_under_a_fit_is_an_error_where_the_system_does_not_tell(tmp_path, size):
    """To touch what is mapped of it would end this process."""
    array, _ = mapped_ramps(tmp_path / "ramps")
    os.truncate(tmp_path / "ramps", size)
    with pytest.raises(RampFileError, match="ended early"):
        fit_ramps(Exposure(array, None, 1.0), 12.0, 2.0)


@pytest.mark.usefixtures("untold")
def test_a_name_that_went_over_to_another_file_is_noticed_where_the_system_does_not_tell(tmp_path):
    array, ramps = mapped_ramps(tmp_path / "ramps")
    other = ramps.copy()
    other[1, 3:] += 1
    other.tofile(tmp_path / "other")
    (tmp_path / "other").replace(tmp_path / "ramps")
    assert files.as_file_array(array) is array
    fit = fit_ramps(Exposure(array, None, 1.0), 12.0, 2.0)
    assert fit.rate.data.tobytes() == fit_ramps(Exposure(ramps, None, 1.0), 12.0, 2.0).rate.data.tobytes()


def test_reading_needs_no_call_that_only_linux_has(tmp_path, monkeypatch):
    for name in ("preadv", "pread"):
        monkeypatch.delattr(os, name, raising=False)
    array, ramps = mapped_ramps(tmp_path / "ramps")
    np.testing.assert_array_equal(files.as_file_array(array).read(), ramps)


# ------------------------------------------------------------------------------------------------------------ products
def test_a_product_that_another_program_has_open_is_one_clear_error(tmp_path, monkeypatch):
    """Windows replaces no open file, nor moves or removes it."""
    product, other = tmp_path / "x_rate.fits", tmp_path / "x_rateints.fits"
    product.write_bytes(b"old")
    other.write_bytes(b"old as well")
    replace = Path.replace

    def refuse(path):
        if path.exists() and path.samefile(product):
            raise PermissionError(errno.EACCES, "Permission denied", str(path))

    def replace_closed(self, target):
        refuse(self)
        refuse(Path(target))
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", replace_closed)
    message = "x_rate.fits: cannot be written (Permission denied; is it open in another program?); nothing is kept"
    with pytest.raises(RampFileError, match=re.escape(message)):
        write_all([(other, b"new"), (product, b"new")], overwrite=True)
    assert product.read_bytes() == b"old"
    assert other.read_bytes() == b"old as well"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["x_rate.fits", "x_rateints.fits"]


# -------------------------------------------------------------------------------------------------------- containers
@LINUX
def test_an_interrupt_ends_workers_where_no_program_finds_processes(tmp_path):
    """Slim images have no pgrep, by which loky finds what to end when it has no psutil."""
    code = """
        import shutil
        assert shutil.which("pgrep") is None
        for turn in range(100000):
            fit_ramps(exposure, 12.0, 2.0, maximum_cores=2, executor="processes")
            if turn == 3:
                print("running", flush=True)
    """
    script = started(tmp_path, PREAMBLE, WARM_WORKERS, code, environment={"PATH": str(tmp_path)})
    script.wait_for("running")
    time.sleep(0.2)
    os.killpg(script.process.pid, signal.SIGINT)
    _, errors = script.end(100)
    assert "KeyboardInterrupt" in errors
    script.leaves_nothing()


# ------------------------------------------------------------------------------------------------- nodes of two kinds
def test_what_is_compiled_is_noted_for_each_processor(tmp_path):
    """In a home that nodes of two kinds share, each kind compiles, and says so."""
    code = """
        from rampfit_numba.machine_code import is_warm, note_warm
        print(is_warm("ols"))
        note_warm("ols")
        print(is_warm("ols"))
    """
    said = [
        finished(
            started(tmp_path, code, environment={"NUMBA_CACHE_DIR": str(tmp_path / "home"), "NUMBA_CPU_NAME": cpu})
        )
        for cpu in ("generic", None, "generic")
    ]
    assert [lines.split() for lines in said] == [["False", "True"], ["False", "True"], ["True", "True"]]


@pytest.mark.skipif(platform.machine() not in {"x86_64", "AMD64"}, reason="the page's example is for x86-64")
@pytest.mark.parametrize(("features", "common"), [(True, True), (False, False)])
def test_code_that_an_image_ships_is_that_of_every_machine(tmp_path, features, common):
    """By the variables that docs/cache.md sets; the name of a processor alone leaves the features of the machine."""
    page = (Path(__file__).parents[1] / "docs" / "cache.md").read_text(encoding="utf-8")
    (line,) = re.findall(r"^ENV (NUMBA_CPU_NAME=.*)$", page, flags=re.MULTILINE)
    environment = dict(setting.split("=", 1) for setting in line.split())
    if not features:
        environment["NUMBA_CPU_FEATURES"] = None
    code = """
        import llvmlite.binding as llvm

        class Features(dict):
            def flatten(self, sort=True):
                return ",".join(sorted(f"+{name}" for name in self))

        llvm.get_host_cpu_name = lambda: MACHINE
        known = ["avx", "avx2"] + ["avx512f"] * (MACHINE == "znver4")
        llvm.get_host_cpu_features = lambda: Features(dict.fromkeys(known, True))
        from rampfit_numba.machine_code import places
        print(places.version_key())
    """
    keys = {
        finished(started(tmp_path, f"MACHINE = {machine!r}", code, environment=environment))
        for machine in ("znver4", "skylake")
    }
    assert (len(keys) == 1) is common


# --------------------------------------------------------------------------------------------------------- file names
@pytest.mark.parametrize("names", [("X_jump.fits", "x_jump.fits"), ("\u00e9_jump.fits", "e\u0301_jump.fits")])
def test_products_whose_names_differ_in_case_only_are_refused(tmp_path, monkeypatch, names):
    """They are one file on systems that ignore case, or how an accent is written."""
    monkeypatch.chdir(tmp_path)
    for name in names:
        assert main(["simulate", name, "--shape", "1x5x8x8", "--overwrite", "--quiet"]) == 0
    if len({path.stat().st_ino for path in map(Path, names)}) == 1:
        pytest.skip("this file system ignores case")
    with pytest.raises(ValueError, match="which are one file on many systems; rename one"):
        fit_files(list(names), 10.0, 2.0)
    assert not list(tmp_path.glob("*rate*"))
    for number, name in enumerate(names):
        fit_files([name], 10.0, 2.0, output_dir=f"out{number}")
