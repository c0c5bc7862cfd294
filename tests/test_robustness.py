"""Workers among other users of processes, files that change under a fit, and caches that cannot be used."""

from __future__ import annotations

import shutil
import textwrap
from concurrent.futures import Executor, Future
from pathlib import Path

import numpy as np
import pytest

import rampfit_numba
from rampfit_numba import Exposure, fit_ramps
from tests.make_files import ramp_hdulist, save
from tests.scripts import FIT, LINUX, PREAMBLE, WARM_WORKERS, Script, finished, started

# Results that are large enough to stand in shared memory.
LARGE = """
    large = Exposure(np.tile(data, (1, 1, 5, 4)), None, 3.0)
    wanted = bits(fit_ramps(large, 12.0, 2.0))

    def agrees(executor, cores=2):
        return bits(fit_ramps(large, 12.0, 2.0, maximum_cores=cores, executor=executor)) == wanted

    def all_agree():
        return [agrees("processes"), agrees("threads"), agrees(None, "none")]
"""


# ----------------------------------------------------------------------------------------------------- forked processes
# From Python 3.12 on, a fork in a process with threads, which every pool has, is worth a warning.
FORKING = {"PYTHONWARNINGS": "error,ignore::DeprecationWarning"}


@LINUX
def test_children_forked_from_a_process_with_workers(tmp_path):
    code = """
        import multiprocessing
        from concurrent.futures import ProcessPoolExecutor

        fork = multiprocessing.get_context("fork")
        print("parent", all_agree(), flush=True)
        child = fork.Process(target=lambda: print("child", all_agree(), flush=True))
        child.start()
        child.join(120)
        print("exit status", child.exitcode, flush=True)
        with ProcessPoolExecutor(1, mp_context=fork) as pool:
            print("pool", pool.submit(all_agree).result(120), flush=True)
        print("undisturbed", find_workers() == workers, all_agree(), find_workers() == workers, flush=True)
    """
    output = finished(started(tmp_path, PREAMBLE, WARM_WORKERS, LARGE, code, environment=FORKING))
    assert output.splitlines() == [
        "parent [True, True, True]",
        "child [True, True, True]",
        "exit status 0",
        "pool [True, True, True]",
        "undisturbed True [True, True, True] True",
    ]


# ------------------------------------------------------------------------------------------------- others who use loky
@LINUX
def test_reusable_executor_of_somebody_else(tmp_path):
    """Its workers are busy until the fits have ended."""
    code = """
        from pathlib import Path

        def slow(x):
            while not Path("fitted").exists():
                time.sleep(0.01)
            return x * x

        theirs = loky.get_reusable_executor(max_workers=2, timeout=300)
        jobs = [theirs.submit(slow, x) for x in range(40)]
        print(agrees("processes"), agrees("processes"), not jobs[-1].done())
        Path("fitted").touch()
        print([job.result(120) for job in jobs] == [x * x for x in range(40)])
        print(loky.get_reusable_executor(max_workers=2, timeout=300) is theirs, theirs.submit(slow, 7).result(120))
    """
    assert finished(started(tmp_path, PREAMBLE, WARM_WORKERS, LARGE, code)).splitlines() == [
        "True True True",
        "True",
        "True 49",
    ]


@LINUX
@pytest.mark.parametrize("executor", ["processes", "threads"])
def test_threads_with_different_numbers_of_workers(executor, tmp_path):
    code = f"""
        from concurrent.futures import ThreadPoolExecutor

        loky.cpu_count = lambda *_, **__: 4
        counts = [1, 2, 3, 4, 3, 2, 4, 1] * 3
        with ThreadPoolExecutor(4) as threads:
            print(all(threads.map(lambda count: agrees("{executor}", count), counts)))
        print(agrees("{executor}"))
    """
    assert finished(started(tmp_path, PREAMBLE, LARGE, code)).splitlines() == ["True", "True"]


@LINUX
def test_worker_killed_between_two_fits(tmp_path):
    code = """
        for number in (1, 2):
            for worker in find_workers()[:number]:
                os.kill(worker, signal.SIGKILL)
            for pause in (0.0, 1.0):
                time.sleep(pause)
                print(agrees("processes"))
        print(agrees("processes"), len(wait_for_workers(2)))
    """
    assert finished(started(tmp_path, PREAMBLE, WARM_WORKERS, LARGE, code)).splitlines() == ["True"] * 4 + ["True 2"]


@LINUX
def test_workers_end_with_a_killed_parent(tmp_path):
    """Soon: they would end by themselves when they had been idle for two minutes."""
    idle = started(tmp_path, PREAMBLE, WARM_WORKERS, 'print("running", flush=True)\ntime.sleep(1000)')
    code = """
        for turn in range(100000):
            agrees("processes")
            if turn == 3:
                print("running", flush=True)
    """
    busy = started(tmp_path, PREAMBLE, LARGE, code)
    for script in (idle, busy):
        script.wait_for("running")
        assert len(script.alive()) > 2
        script.process.kill()
    for script in (idle, busy):
        script.process.communicate(timeout=45)
        script.leaves_nothing(timeout=45)


# ------------------------------------------------------------------------------------------------- executors of callers
class Here(Executor):
    """Runs everything at once, and counts."""

    def __init__(self):
        self.submitted = 0

    def submit(self, function, /, *arguments, **keywords):
        self.submitted += 1
        future = Future()
        future.set_result(function(*arguments, **keywords))
        return future


@pytest.mark.parametrize(("maximum_cores", "slices"), [("none", 1), (1, 1), (3, 3), ("5", 5), (100, 11)])
def test_maximum_cores_is_the_number_of_slices_for_an_executor(maximum_cores, slices):
    data = np.cumsum(np.random.default_rng(4).poisson(60.0, (2, 9, 11, 13)), axis=1).astype(np.float32)
    exposure, executor = Exposure(data, None, 3.0), Here()
    fit = fit_ramps(exposure, 12.0, 2.0, maximum_cores=maximum_cores, executor=executor)
    assert executor.submitted == slices
    assert fit.rate.data.tobytes() == fit_ramps(exposure, 12.0, 2.0).rate.data.tobytes()


@pytest.fixture(scope="module")
def ramp_file(tmp_path_factory):
    """Write an exposure that is read in several chunks."""
    return save(ramp_hdulist((2, 20, 256, 320), optional=True), tmp_path_factory.mktemp("ramps") / "sound_jump.fits")


@LINUX
def test_any_executor(tmp_path, ramp_file):
    code = f"""
        import multiprocessing
        from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
        from rampfit_numba import read_exposure

        def main():
            spawn = multiprocessing.get_context("spawn")
            from_file = read_exposure({str(ramp_file)!r})
            options = dict(readnoise=12.0, gain=2.0, save_opt=True)
            alone = [fit_ramps(one, **options) for one in (exposure, from_file)]
            for executor in (
                ThreadPoolExecutor(2),
                ProcessPoolExecutor(2, mp_context=spawn),
                loky.ProcessPoolExecutor(2),
                loky.get_reusable_executor(2, timeout=300),
            ):
                for one, wanted in zip((exposure, from_file), alone):
                    fit = fit_ramps(one, executor=executor, maximum_cores=3, **options)
                    same = [fit.fitopt.slope.tobytes() == wanted.fitopt.slope.tobytes(), bits(fit) == bits(wanted)]
                    print(type(executor).__name__, same, executor.submit(abs, -3).result(120), flush=True)
                executor.shutdown()

        if __name__ == "__main__":
            main()
    """
    names = ("ThreadPoolExecutor", "ProcessPoolExecutor", "ProcessPoolExecutor", "_ReusablePoolExecutor")
    wanted = [f"{name} [True, True] 3" for name in names for _ in range(2)]
    assert finished(started(tmp_path, PREAMBLE, code)).splitlines() == wanted


@LINUX
def test_threads_inside_a_daemonic_process(tmp_path):
    """There loky refuses to start processes."""
    code = """
        import io, logging, multiprocessing

        def fit():
            assert multiprocessing.current_process().daemon
            lines = io.StringIO()
            logging.basicConfig(stream=lines, level=logging.INFO)
            same = agrees("processes")
            return same, "fitted in threads" in lines.getvalue()

        if __name__ == "__main__":
            with multiprocessing.get_context("spawn").Pool(1) as pool:
                print(*pool.apply_async(fit).get(200))
    """
    assert finished(started(tmp_path, PREAMBLE, LARGE, code)).split() == ["True", "True"]


# ------------------------------------------------------------------------------------------ files that change meanwhile
def changing_files(folder, ramp_file, code):
    """Run a script with a sound file, its size, its fit, and a function that says what became of a fit."""
    preamble = f"""
        import shutil
        from pathlib import Path
        from rampfit_numba import RampFileError, read_exposure

        sound, path, other = Path({str(ramp_file)!r}), Path("changing_jump.fits"), Path("other_jump.fits")
        size = sound.stat().st_size
        KINDS = [("none", None), (2, "threads"), (2, "processes")]

        def fit(exposure, kind):
            options = dict(suppress_one_group=False, maximum_cores=kind[0], executor=kind[1])
            return bits(fit_ramps(exposure, 12.0, 2.0, **options))

        wanted = fit(read_exposure(sound), KINDS[0])

        def outcome(exposure, kind):
            try:
                return "fitted" if fit(exposure, kind) == wanted else "MIXED"
            except RampFileError as error:
                message = str(error)
                return "refused" if path.name in message and "\\n" not in message else message

        def fitted_while(change, turns=6):
            for kind in KINDS:
                start = time.perf_counter()
                outcome(read_exposure(sound), kind)
                took = time.perf_counter() - start
                found = set()
                for turn in range(turns):
                    shutil.copy(sound, path)
                    exposure = read_exposure(path)
                    thread = threading.Timer(took * turn / turns, change)
                    thread.start()
                    found.add(outcome(exposure, kind))
                    thread.join()
                print(*kind, found <= {{"refused", "fitted"}} or found, outcome(read_exposure(sound), kind), flush=True)
    """
    return finished(started(folder, PREAMBLE, preamble, code)).splitlines()


@LINUX
def test_file_is_truncated_before_the_fit(tmp_path, ramp_file):
    """A map would end the process with SIGBUS."""
    code = """
        for kind in KINDS:
            found = []
            for share in (0.0, 0.001, 0.1, 0.6, 0.9, 0.99):  # before, in and behind the samples
                shutil.copy(sound, path)
                exposure = read_exposure(path)
                os.truncate(path, int(size * share))
                found.append(outcome(exposure, kind))
            print(*kind, *found, outcome(read_exposure(sound), kind), flush=True)
        shutil.copy(sound, path)
        exposure = read_exposure(path)
        path.unlink()
        print({outcome(exposure, kind) for kind in KINDS} <= {"refused", "fitted"})
    """
    lines = changing_files(tmp_path, ramp_file, code)
    assert [line.split()[:2] for line in lines[:3]] == [["none", "None"], ["2", "threads"], ["2", "processes"]]
    for line in lines[:3]:
        *found, last = line.split()[2:]
        assert found[:4] == ["refused"] * 4, lines
        assert set(found[4:]) <= {"refused", "fitted"}, lines  # what is lost there may have been read before
        assert last == "fitted", lines
    assert lines[3:] == ["True"]


@LINUX
def test_file_is_truncated_during_the_fit(tmp_path, ramp_file):
    lines = changing_files(tmp_path, ramp_file, "fitted_while(lambda: os.truncate(path, size // 3))")
    assert lines == [f"{kind} True fitted" for kind in ("none None", "2 threads", "2 processes")]


@LINUX
def test_file_is_replaced(tmp_path, ramp_file):
    """Either the old samples are fitted or there is an error, never something of both."""
    code = """
        from astropy.io import fits

        with fits.open(sound) as hdulist:
            hdulist["SCI"].data = hdulist["SCI"].data * 2
            hdulist.writeto("twice_jump.fits")

        def replace():
            shutil.copy("twice_jump.fits", other)
            os.replace(other, path)

        for kind in KINDS:
            shutil.copy(sound, path)
            exposure = read_exposure(path)
            replace()
            print(outcome(exposure, kind) in {"refused", "fitted"}, outcome(read_exposure(path), kind))
        fitted_while(replace)
    """
    lines = changing_files(tmp_path, ramp_file, code)
    assert lines[:3] == ["True MIXED"] * 3  # the new file has other rates
    assert lines[3:] == [f"{kind} True fitted" for kind in ("none None", "2 threads", "2 processes")]


# ----------------------------------------------------------------------------------------------- cache of machine code
LOG = """
    import logging
    logging.basicConfig(stream=sys.stdout, level=logging.INFO, format="%(name)s %(message)s")
"""
# Whoever has the lock compiles when two others wait for it: a process that starts late would find all compiled.
THREE_AT_ONCE = """
    from pathlib import Path

    class Together(logging.Handler):
        def emit(self, record):
            said = record.getMessage()
            if "already: waiting for it" in said:
                Path(f"waits_{os.getpid()}").touch()
            elif "Compiling" in said:
                end = time.monotonic() + 200
                while len(list(Path().glob("waits_*"))) < 2 and time.monotonic() < end:
                    time.sleep(0.05)

    logging.getLogger("rampfit_numba").addHandler(Together())
"""


@LINUX
@pytest.mark.slow
def test_cold_starts_at_once(tmp_path):
    """One process compiles into the new folder, which NUMBA_CACHE_DIR names; the others wait, and say so."""
    cache, elsewhere = tmp_path / "cache", tmp_path / "elsewhere"
    environment = {"NUMBA_CACHE_DIR": str(cache), "XDG_CACHE_HOME": str(elsewhere)}
    kernel_script(tmp_path, **environment)  # that some small kernel is there says nothing about the others
    kinds = ("processes", "threads", "threads")
    scripts = [
        started(tmp_path, PREAMBLE, LOG, THREE_AT_ONCE, FIT.replace("processes", kind), environment=environment)
        for kind in kinds
    ]
    outputs = [finished(script, timeout=600) for script in scripts]
    for output in outputs:
        assert "equal True" in output
        assert ("Compiling" in output) != ("already: waiting for it" in output)
    (first,) = [output for output in outputs if "Compiling" in output]
    assert str(cache) in first
    warm = finished(started(tmp_path, PREAMBLE, LOG, FIT, environment=environment))
    assert "equal True" in warm
    assert "Compiling" not in warm
    assert any(cache.rglob("*.nbc"))
    assert not any(elsewhere.rglob("*.nbc"))


def kernel_script(folder, *arguments, **environment):
    """Run one small kernel that adds DO_NOT_USE to a NaN, and one that calls a function of another file."""
    code = """
        import sys
        import numba
        import numpy as np
        from rampfit_numba.kernels._jit import LANES, cache_folder
        from rampfit_numba.kernels.ols.arrays import BlockFitOpt
        from rampfit_numba.kernels.ols.fitopt import SLOPE, store_single_group
        from rampfit_numba.kernels.ols.pixels import CONSTANTS
        from rampfit_numba.kernels.ols.ramp_status import gather_flags
        from rampfit_numba.kernels.ols.settings import Settings

        def call(kernel, *arguments):
            numba.njit(lambda *given: kernel(*given))(*arguments)

        flags, samples = np.zeros((1, LANES), np.uint8), np.full((1, LANES), np.nan, np.float32)
        work = np.zeros(LANES, np.uint8), np.zeros(LANES, np.float32)
        call(gather_flags, samples, samples.view(np.int32), flags, *work)
        settings = Settings(1.0, 1.0, 1.0, 1.0, 1.0, suppress_one_group=False, clear_first_jump=False)
        planes = [np.zeros(shape, np.float32) for shape in ((7, 1, LANES), (LANES,), (0, LANES))]
        fitopt = BlockFitOpt(*planes, np.zeros(LANES, np.float32), np.zeros(2, np.int64), np.ones(1, bool))
        pixel = 0, np.uint16(0), settings, np.ones((CONSTANTS, LANES))
        call(store_single_group, fitopt, np.float32(4), *pixel)
        print(flags[0, 0], int(fitopt.segments[SLOPE, 0, 0]), cache_folder() or "none")
    """
    preparations = [*arguments, textwrap.dedent(code)]
    script = Script(
        ["-c", "\n".join(preparations)],
        folder,
        # Sources that change twice within a second would go unnoticed in compiled form.
        environment={"PYTHONDONTWRITEBYTECODE": "1", "NUMBA_CACHE_DIR": None} | environment,
    )
    flag, slope, *found = finished(script).split()
    return int(flag), int(slope), " ".join(found)


@LINUX
def test_cache_folder_that_cannot_be_made(tmp_path):
    """A file stands in its place: not even root can make it."""
    (tmp_path / "cache").write_text("not a folder", encoding="utf-8")
    assert kernel_script(tmp_path, NUMBA_CACHE_DIR=str(tmp_path / "cache")) == (1, 4, "none")


@LINUX
def test_unknown_home(tmp_path):
    """As for a user of a container who stands in no list: no HOME, and no entry in the list of users."""
    nobody = """
import pwd
def getpwuid(number):
    raise KeyError(number)
pwd.getpwuid = getpwuid
"""
    assert kernel_script(tmp_path, nobody, HOME=None, XDG_CACHE_HOME=None) == (1, 4, "none")
    flag, slope, folder = kernel_script(tmp_path, nobody, HOME=None, XDG_CACHE_HOME=str(tmp_path / "xdg"))
    assert (flag, slope) == (1, 4)
    assert folder.startswith(str(tmp_path / "xdg"))


@LINUX
def test_changed_sources_are_compiled_again(tmp_path):
    """Also those that a compiled function has constants or functions from: Numba itself does not look at them."""
    package = tmp_path / "copy" / "rampfit_numba"
    shutil.copytree(
        Path(rampfit_numba.__file__).parent, package, ignore=shutil.ignore_patterns("__pycache__", "*.nb[ci]")
    )
    options = {"PYTHONPATH": str(package.parent), "XDG_CACHE_HOME": str(tmp_path / "cache")}
    folders = []
    for name, old, new, expected in (
        ("dq.py", "", "", (1, 4)),
        ("dq.py", "DO_NOT_USE: Final = 1 << 0", "DO_NOT_USE: Final = 1 << 4", (16, 4)),
        (
            "kernels/ols/segment_fit.py",
            "    return settings.group_time\n",
            "    return settings.group_time / 1.25\n",
            (16, 5),
        ),
    ):
        text = (package / name).read_text(encoding="utf-8")
        assert old in text
        (package / name).write_text(text.replace(old, new, 1), encoding="utf-8")
        *found, folder = kernel_script(tmp_path, **options)
        assert tuple(found) == expected
        folders.append(folder)
    assert len(set(folders)) == len(folders)
    assert all(Path(folder).is_relative_to(tmp_path / "cache") for folder in folders)
