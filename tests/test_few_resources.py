"""Where a process may have little, and names that no file should have: a result by another way, or one sentence."""

from __future__ import annotations

import logging
import os
import re
import shutil
import subprocess
import sys

import numpy as np
import pytest

from rampfit_numba import Exposure, RampFileError, fit_ramps
from rampfit_numba.engine import processes
from rampfit_numba.io.outputs import check_outputs, product_paths
from tests.make_files import listing, ramp_hdulist, save
from tests.scripts import LINUX, PACKAGE_FOLDER, PREAMBLE, finished, started

#: What a script prints that fits in two processes as it does alone.
BOTH = """
    import logging
    logging.basicConfig(stream=sys.stdout, level=logging.WARNING, format="%(message)s")
    alone = bits(fit_ramps(exposure, 12.0, 2.0))
    {}
    print("equal", bits(fit_ramps(exposure, 12.0, 2.0, maximum_cores=2, executor="processes")) == alone)
"""
NO_NUMBERS = re.compile(r"\[Errno|Traceback")


@pytest.fixture(scope="session")
def mounted():
    """Give a function that returns a command: it runs another where a file system of its own stands at a path."""
    if not shutil.which("unshare"):
        pytest.skip("no unshare here")

    def prefix(*places):
        mounts = " && ".join(
            f"mount -t tmpfs -o {options} tmpfs {place} && {{ {then}; }}" for place, options, then in places
        )
        return ("unshare", "--mount", "sh", "-c", f'{mounts} && exec "$@"', "sh")

    trial = subprocess.run([*prefix(("/mnt", "size=4k", "true")), "true"], capture_output=True, text=True, check=False)
    if trial.returncode:
        pytest.skip(f"no mounts here: {trial.stderr.strip()}")
    return prefix


def full(place, size="4k"):
    """Return a full file system for `mounted`."""
    return place, f"size={size}", f"cat /dev/zero > {place}/all 2>/dev/null || true"


@LINUX
@pytest.mark.parametrize(
    ("how", "says"),
    [
        (full("/dev/shm"), "No space left on device, make room in /dev/shm"),  # noqa: S108
        (("/dev/shm", "ro", "true"), "Read-only file system, let /dev/shm be written"),  # noqa: S108
    ],
    ids=["full", "read-only"],
)
def test_without_dev_shm_threads_fit(tmp_path, mounted, how, says):
    output = finished(started(tmp_path, PREAMBLE, BOTH.format(""), prefix=mounted(how)))
    assert output.splitlines()[-1] == "equal True"
    assert f"No worker processes can be started ({says}): the slices are fitted in threads" in output


@LINUX
def test_where_files_may_not_be_large_threads_fit(tmp_path):
    """Memory that processes share is a file to the system."""
    limit = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))"
    output = finished(started(tmp_path, PREAMBLE.replace("64, 64", "256, 256"), BOTH.format(limit)))
    assert output == "equal True\n"


@LINUX
def test_where_no_process_and_no_thread_may_start_slices_are_fitted_one_after_another(tmp_path):
    """The limit does not hold for root, so a root becomes somebody else."""
    limit = """
    import resource
    from multiprocessing import resource_tracker  # nobody can read them who is not root, perhaps
    from loky.backend import popen_loky_posix, resource_tracker, spawn
    from loky.process_executor import ProcessPoolExecutor
    fit_ramps(exposure, 12.0, 2.0, maximum_cores=2, executor="threads")
    if os.geteuid() == 0:
        os.setgid(65534)
        os.setuid(65534)
    resource.setrlimit(resource.RLIMIT_NPROC, (1, 1))
    """
    output = finished(started(tmp_path, PREAMBLE, BOTH.format(limit)))
    assert output.splitlines()[-1] == "equal True"
    assert "see ulimit -u" in output
    assert "the slices are fitted one after another" in output
    assert not NO_NUMBERS.search(output)


class TestTheCommand:
    """Whole files, where there is little: they are fitted, or one sentence says what to do."""

    @pytest.fixture
    def run(self, tmp_path):
        """Give a function that runs the command on six files; it returns exit status, errors, and what is in `out`."""
        for seed, name in enumerate("abcdef"):
            save(ramp_hdulist((2, 5, 32, 32), seed=seed), tmp_path / f"{name}_jump.fits")
        (tmp_path / "out").mkdir()

        def run(*words, prefix=(), limit=None, environment=None):
            files = [f"{name}_jump.fits" for name in "abcdef"]
            options = ["--readnoise", "5", "--gain", "2", "--quiet", "--output-dir", "out", *words]
            done = subprocess.run(
                [*prefix, sys.executable, "-m", "rampfit_numba", *files, *options],
                cwd=tmp_path,
                env=os.environ | {"PYTHONPATH": PACKAGE_FOLDER} | (environment or {}),
                preexec_fn=limit,
                capture_output=True,
                text=True,
                timeout=300,
                check=False,
            )
            assert not NO_NUMBERS.search(done.stderr), done.stderr
            return done.returncode, done.stderr, listing(tmp_path / "out")

        return run

    TWO = ("--maximum-cores", "2", "--executor", "processes")

    @LINUX
    def test_without_dev_shm(self, run, mounted):
        status, errors, found = run(*self.TWO, prefix=mounted(full("/dev/shm")))  # noqa: S108
        assert (status, errors, len(found)) == (0, "", 12)

    @LINUX
    @pytest.mark.parametrize("options", ["full", "ro"])
    def test_without_temporary_files(self, run, mounted, tmp_path, options):
        (tmp_path / "tmp").mkdir()
        place = full("tmp") if options == "full" else ("tmp", options, "true")
        status, _, found = run(*self.TWO, prefix=mounted(place), environment={"TMPDIR": str(tmp_path / "tmp")})
        assert (status, len(found)) == (0, 12)

    @LINUX
    @pytest.mark.parametrize("words", [(), TWO], ids=["one worker", "two processes"])
    def test_with_few_descriptors(self, run, words):
        import resource

        def limit():
            resource.setrlimit(resource.RLIMIT_NOFILE, (16, 16))

        status, errors, found = run(*words, limit=limit)
        kinds = {name.rpartition("_")[0]: 0 for name in found}
        assert len(found) == 2 * len(kinds)  # whole sets
        assert (status == 0) == (len(kinds) == 6)
        for line in errors.splitlines():
            assert "(ulimit -n)" in line or "see ulimit -n" in line or re.search(r"\d of 6 files failed", line), line

    @LINUX
    @pytest.mark.parametrize("words", [(), TWO], ids=["one worker", "two processes"])
    def test_where_files_may_not_be_large(self, run, words):
        import resource

        def limit():
            resource.setrlimit(resource.RLIMIT_FSIZE, (8192, 8192))

        status, errors, found = run(*words, limit=limit)
        assert (status, found) == (1, [])
        *lines, last = errors.splitlines()
        assert "6 of 6 files failed" in last
        assert len(lines) == 6
        for line in lines:
            assert line.endswith(
                "_rate.fits: cannot be written (File too large); nothing is kept; let files be larger (ulimit -f)"
            )

    @LINUX
    def test_on_a_full_disk(self, run, mounted, tmp_path):
        """Products, and the table of what became of them: those that do not fit are missing, all others whole."""
        inside = tmp_path / "seen"
        inside.mkdir()
        prefix = mounted(("out", "size=300k", "true"))
        keep = (*prefix[:-2], prefix[-2].replace('exec "$@"', '"$@"; status=$?; cp out/* seen/; exit $status'), "sh")
        status, errors, _ = run("--summary", "out/s.csv", prefix=keep)
        found = listing(inside)
        assert status == 1
        products = [name for name in found if name.endswith(".fits")]
        assert 0 < len(products) < 12
        assert len(products) == 2 * len({name.rpartition("_")[0] for name in products})
        assert "cannot be written (No space left on device); nothing is kept; make room on that disk" in errors
        assert not [name for name in found if name.startswith(".")]
        if "s.csv" in found:
            assert len((inside / "s.csv").read_text(encoding="utf-8").splitlines()) == 7

    @LINUX
    def test_with_a_log_file_on_a_full_disk(self, run, mounted, tmp_path):
        (tmp_path / "logs").mkdir()
        status, errors, found = run("--log-file", "logs/x.log", prefix=mounted(full("logs")))
        assert (status, len(found)) == (0, 12)
        (line,) = errors.splitlines()
        assert line.endswith("x.log: cannot be written any more: No space left on device; make room on that disk")


@LINUX
@pytest.mark.parametrize("descriptors", [12, 16])
def test_few_descriptors_are_enough_for_a_fit(tmp_path, descriptors):
    """What processes need is more than that: the slices are fitted in threads."""
    limit = f"import resource; resource.setrlimit(resource.RLIMIT_NOFILE, ({descriptors}, {descriptors}))"
    output = finished(started(tmp_path, PREAMBLE, BOTH.format(limit)))
    assert "equal True" in output
    assert "No worker processes can be started (" in output


@pytest.mark.parametrize("error", [OSError(24, "Too many open files"), RuntimeError("can't start new thread")])
@pytest.mark.parametrize("place", ["take", "submit"])
def test_whatever_keeps_workers_from_starting_is_named(monkeypatch, caplog, error, place):
    class Full:
        def submit(self, *_):
            raise error

        def shutdown(self, **_):
            pass

    def take(_):
        if place == "take":
            raise OSError(24, "Too many open files")
        return Full(), 2

    monkeypatch.setattr(processes.pool, "take", take)
    caplog.set_level(logging.WARNING, "rampfit_numba")
    ramps = np.cumsum(np.ones((1, 5, 8, 8), np.float32), axis=1)
    fit = fit_ramps(Exposure(ramps, None, 1.0), 12.0, 2.0, maximum_cores=2, executor="processes")
    assert fit.rate.data[0, 0] == pytest.approx(1.0)
    assert "No worker processes can be started (" in caplog.text


@pytest.mark.parametrize("argument", ["int_name", "opt_name"])
@pytest.mark.parametrize("name", ["a\nb_jump.fits", "\x1b[31mred", "bell\a.fits"])
def test_names_with_control_characters_are_refused(argument, name):
    with pytest.raises(ValueError, match=f"{argument}: expected a file name without control characters"):
        product_paths("x_jump.fits", "", save_opt=True, **{argument: name})


def test_a_link_to_nothing_is_refused_before_the_fit(tmp_path):
    (tmp_path / "x_rate.fits").symlink_to(tmp_path / "gone" / "y.fits")
    for overwrite in (False, True):
        with pytest.raises(RampFileError, match=r"x_rate\.fits: is a link to .*y\.fits, which does not"):
            check_outputs([tmp_path / "x_rate.fits"], overwrite=overwrite)
