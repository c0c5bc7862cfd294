"""Python scripts run as processes of their own, and what they leave behind."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import textwrap
import time
import uuid
from contextlib import suppress
from pathlib import Path

import pytest

import rampfit_numba

PACKAGE_FOLDER = str(Path(rampfit_numba.__file__).parents[1])
SHARED_MEMORY = Path("/dev/shm")  # noqa: S108  (not a temporary file of ours: we look for what is left there)
LINUX = pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="processes are looked up in /proc")

#: Two workers of either kind, as options of a fit.
TWO_WORKERS = [{"maximum_cores": 2, "executor": kind} for kind in ("threads", "processes")]

PREAMBLE = """
    import itertools, os, signal, sys, threading, time
    import loky
    loky.cpu_count = lambda *_, **__: 2  # two workers on any machine
    import numpy as np
    from rampfit_numba import Exposure, fit_ramps

    rng = np.random.default_rng(1)
    data = np.cumsum(rng.poisson(60.0, (2, 9, 64, 64)), axis=1).astype(np.float32)
    exposure = Exposure(data, None, 3.0)

    def bits(fit):
        planes = fit.rate.data, fit.rate.err, fit.rate.dq, fit.rateints.data, fit.rateints.err, fit.rateints.dq
        return b"".join(plane.tobytes() for plane in planes)
"""

FIT = """
    print("started", flush=True)
    fit = fit_ramps(exposure, 12.0, 2.0, maximum_cores="all", executor="processes")
    alone = fit_ramps(exposure, 12.0, 2.0)
    print("equal", bits(fit) == bits(alone), flush=True)
"""

WARM_WORKERS = """
    from pathlib import Path

    def find_workers():
        found = []
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
                if parent == os.getpid() and b"popen_loky" in (folder / "cmdline").read_bytes():
                    found.append(int(folder.name))
            except OSError:  # it has ended meanwhile
                pass
        return sorted(found)

    def wait_for_workers(count):
        # One that was started has its parent's command line until the system has come to it.
        end = time.monotonic() + 100
        while len(found := find_workers()) != count and time.monotonic() < end:
            time.sleep(0.02)
        return found

    fit_ramps(exposure, 12.0, 2.0, maximum_cores=2, executor="processes")
    workers = wait_for_workers(2)
    assert len(workers) == 2, workers
"""

# Workers that are stopped cannot finish before the signal comes: the test does not depend on how fast the machine is.
STOPPED_WORKERS = """
    for worker in workers:
        os.kill(worker, signal.SIGSTOP)
"""


def _shared_memory():
    """Return the names in /dev/shm, if there is such a folder."""
    return {path.name for path in SHARED_MEMORY.iterdir()} if SHARED_MEMORY.is_dir() else set()


class Script:
    """A Python process of its own session whose descendants can be told by a variable of their environment."""

    def __init__(self, arguments, cwd, *, environment=None, prefix=(), **options):
        # The system gives numbers of processes again: what is there already is not this script's.
        self._before = _shared_memory()
        self.mark = f"RAMPFIT_TEST_MARK={uuid.uuid4().hex}"
        name, value = self.mark.split("=")
        path = os.pathsep.join(filter(None, (PACKAGE_FOLDER, os.environ.get("PYTHONPATH"))))
        wanted = {"PYTHONPATH": path, "PYTHONWARNINGS": "error", name: value} | (environment or {})
        self.process = subprocess.Popen(
            [*prefix, sys.executable, *arguments],
            cwd=cwd,
            env={name: value for name, value in (os.environ | wanted).items() if value is not None},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            **options,
        )
        self._seen = {self.process.pid}
        self._mapped = set()

    def alive(self):
        """Return the processes that carry the mark, and remember what they have mapped."""
        found = []
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                if self.mark.encode() not in (folder / "environ").read_bytes():
                    continue
                maps = (folder / "maps").read_text(encoding="utf-8", errors="replace")
            except OSError:
                continue
            found.append(int(folder.name))
            self._mapped.update(re.findall(rf"{SHARED_MEMORY}/(\S+)", maps))
        self._seen.update(found)
        return found

    def shared_memory(self):
        """Return the names in /dev/shm that are this script's: others may be at work on this machine.

        Those are the names that hold the number of one of its processes, as semaphores do, or that one was seen to map.
        """
        names = _shared_memory() - self._before
        numbered = {name for name in names if self._seen & {int(number) for number in re.findall(r"\b\d+\b", name)}}
        return numbered | names & self._mapped

    def wait_for(self, word, timeout=120):
        """Read output up to a line that begins with `word`."""
        end = time.monotonic() + timeout
        while time.monotonic() < end:
            line = self.process.stdout.readline()
            if line.startswith(word):
                return line
            if not line:
                break
        self.kill()
        pytest.fail(f"{word!r} never came; {self.process.communicate()}")

    def end(self, timeout):
        """Wait for the end and return both outputs."""
        end = time.monotonic() + timeout
        while True:
            self.alive()
            try:
                return self.process.communicate(timeout=0.3)
            except subprocess.TimeoutExpired:
                if time.monotonic() < end:
                    continue
            self.kill()
            output, errors = self.process.communicate()
            pytest.fail(f"did not end within {timeout} s\n{output}\n{errors}")

    def kill(self):
        """End every process that carries the mark."""
        for process in self.alive():
            with suppress(ProcessLookupError):  # it has ended meanwhile
                os.kill(process, signal.SIGKILL)

    def leaves_nothing(self, timeout=60):
        """Check that no process and no shared memory outlives the script.

        On a busy machine that takes its time; but workers that nobody ends do so by themselves after two minutes.
        """
        end = time.monotonic() + timeout
        while time.monotonic() < end:
            processes, memory = self.alive(), self.shared_memory()
            if not processes and not memory:
                return
            time.sleep(0.1)
        self.kill()
        pytest.fail(f"left: processes {processes}, shared memory {memory}")


def started(folder, *pieces, how="file", environment=None, prefix=()):
    """Start a script from a file, from the command line's -c, or from standard input as a notebook's shell would.

    A variable of `environment` that is None is taken out of the environment. `prefix` is a command that runs another.
    """
    code = "\n".join(textwrap.dedent(piece) for piece in pieces)
    if how == "file":
        path = folder / f"script_{uuid.uuid4().hex}.py"
        path.write_text(code, encoding="utf-8")
        return Script([str(path)], folder, environment=environment, prefix=prefix)
    if how == "-c":
        return Script(["-c", code], folder, environment=environment)
    script = Script(["-"], folder, environment=environment, stdin=subprocess.PIPE)
    script.process.stdin.write(code)
    script.process.stdin.close()
    script.process.stdin = None
    return script


def finished(script, code=0, timeout=280):
    """Return what a script printed, and check its exit status and that it left nothing."""
    output, errors = script.end(timeout)
    assert script.process.returncode == code, f"exit status {script.process.returncode}\n{output}\n{errors}"
    if code == 0:
        assert errors == ""
    script.leaves_nothing()
    return output
