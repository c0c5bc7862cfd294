"""A Dask scheduler and its workers as processes, each started by the command that users start them by."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import rampfit_numba

PYTHONPATH = os.pathsep.join([str(Path(rampfit_numba.__file__).parents[1]), os.environ.get("PYTHONPATH", "")])
_PATIENCE = 200.0


class Cluster:
    """A scheduler; workers join it on request."""

    def __init__(self, folder):
        self.folder = folder
        self.file = folder / "scheduler.json"
        self._processes, self.workers = [], []
        self.scheduler = self._start(
            "scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard", "--scheduler-file", str(self.file)
        )
        self.wait_for(self._is_told)

    def add_worker(self, *path, threads=1, **environment):
        """Start a worker without a nanny, so that it stays dead when it is killed.

        Nor does it have a limit: Dask's is a share of the machine's memory, smaller the more cores there are, and a
        worker that has taken that does nothing more.
        """
        own = {"PYTHONPATH": os.pathsep.join([*map(str, path), PYTHONPATH])} | environment
        worker = self._start(
            *("worker", "--scheduler-file", str(self.file), "--nthreads", str(threads), "--no-nanny", "--no-dashboard"),
            *("--local-directory", str(self.folder / "space"), "--memory-limit", "0"),
            **own,
        )
        self.workers.append(worker)
        return worker

    def _is_told(self):
        """Whether the scheduler has written, to the end, where it is."""
        with suppress(OSError, ValueError):
            return "address" in json.loads(self.file.read_text(encoding="utf-8"))
        return False

    def _start(self, kind, *arguments, **environment):
        log = (self.folder / f"{kind}-{len(self._processes)}.log").open("wb")
        process = subprocess.Popen(
            [sys.executable, "-m", f"distributed.cli.dask_{kind}", *arguments],
            cwd=self.folder,
            env=os.environ | {"PYTHONPATH": PYTHONPATH, "PYTHONWARNINGS": "ignore"} | environment,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
        log.close()
        self._processes.append(process)
        return process

    def wait_for(self, condition):
        """Wait until a condition is true."""
        end = time.monotonic() + _PATIENCE
        while not condition():
            assert time.monotonic() < end, [path.read_text()[-2000:] for path in self.folder.glob("*.log")]
            time.sleep(0.05)

    def close(self):
        """End all that was started."""
        for process in reversed(self._processes):
            process.kill()
        for process in self._processes:
            process.wait()


class Gate:
    """Where the files of workers wait: none is begun whose name comes at or behind a certain one.

    How far a job has come when something happens to it does not depend on how fast the machine is then.

    Parameters
    ----------
    folder : Path
        To make; the `path` of :meth:`Cluster.add_worker`.
    name : str
        Of the first file that waits.
    """

    def __init__(self, folder, name):
        folder.mkdir()
        self.folder = folder
        self._file = folder / "name"
        self.wait_from(name)
        (folder / "sitecustomize.py").write_text(
            "import time\n"
            "from pathlib import Path\n"
            "from rampfit_numba.files import cluster\n"
            "fit_there = cluster.fit_there\n"
            "def fit_behind_gate(path, *arguments):\n"
            f"    while path.name >= Path({str(self._file)!r}).read_text():\n"
            "        time.sleep(0.02)\n"
            "    return fit_there(path, *arguments)\n"
            "cluster.fit_there = fit_behind_gate\n"
        )

    def wait_from(self, name):
        """Let the files before another name go on."""
        new = self.folder / "new"
        new.write_text(name)
        new.replace(self._file)

    def open(self):
        """Let all go on."""
        self.wait_from("\x7f")
