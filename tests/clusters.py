"""A Dask scheduler and its workers as processes, each started by the command that users start them by."""

from __future__ import annotations

import os
import subprocess
import sys
import time
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
        self.wait_for(self.file.exists)

    def add_worker(self, *path, threads=1, **environment):
        """Start a worker without a nanny, so that it stays dead when it is killed."""
        own = {"PYTHONPATH": os.pathsep.join([*map(str, path), PYTHONPATH])} | environment
        worker = self._start(
            *("worker", "--scheduler-file", str(self.file), "--nthreads", str(threads), "--no-nanny", "--no-dashboard"),
            *("--local-directory", str(self.folder / "space")),
            **own,
        )
        self.workers.append(worker)
        return worker

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
