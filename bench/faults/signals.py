"""Batches that a signal meets at a random time: each must end in order, leave nothing, and keep only what is right.

What SIGKILL ends can do none of that but the last: the next run must sweep what it has left, and complete the rest.

python bench/faults/signals.py --trials 30
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from contextlib import suppress
from pathlib import Path

import numpy as np
from astropy.io import fits
from lines import say

#: The signals of a trial with the pauses between them, s; and the exit status of a run that they end.
KINDS = {
    "Ctrl-C": (((signal.SIGINT, 0.0),), 130),
    "Ctrl-C twice": (((signal.SIGINT, 0.02), (signal.SIGINT, 0.0)), 130),
    "SIGTERM": (((signal.SIGTERM, 0.0),), 143),
    "SIGHUP": (((signal.SIGHUP, 0.0),), 129),
    "SIGKILL": (((signal.SIGKILL, 0.0),), 137),
    "Ctrl-Z, fg": (((signal.SIGTSTP, 0.3), (signal.SIGCONT, 0.0)), 0),
}
WAYS = {
    "one worker": [],
    "two threads": ["--maximum-cores", "2", "--executor", "threads"],
    "two processes": ["--maximum-cores", "2", "--executor", "processes"],
}
#: What a terminal signals is its group of processes, workers included; kill(1) signals one.
REACHES = ("group", "process")
_REFERENCES = ("--readnoise", "12", "--gain", "2")
_FILES, _SHAPE = 8, (2, 8, 128, 256)
_PRODUCTS = 2
#: Seconds until a run must have ended, and until all of its processes must be gone; idle workers wait for 120 s.
_END, _GONE = 300.0, 60.0
#: The command, which says first that Python itself has begun: that knows no order in which it ends.
_COMMAND = "print(flush=True); import runpy; runpy.run_module('rampfit_numba', run_name='__main__', alter_sys=True)"


def main() -> int:
    """Print a row for each way and signal; return 1 if any trial went wrong."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--trials", type=int, default=30, help="of each way and signal (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="of the times (default: %(default)s)")
    parser.add_argument("--only", choices=KINDS, nargs="+", default=list(KINDS), help="signals")
    parser.add_argument("--ways", choices=WAYS, nargs="+", default=list(WAYS))
    given = parser.parse_args()
    chance = random.Random(given.seed)  # noqa: S311  (chance, not secrecy)
    for signals, _ in KINDS.values():
        for number, _ in signals:
            if signal.getsignal(number) == signal.SIG_IGN:  # as a shell has it for what runs in the background
                signal.signal(number, signal.SIG_DFL)
    wrong = 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_exposures(folder / "in")
        for way in given.ways:
            trial = Trial(folder, WAYS[way], "group")
            took = _END
            for _ in range(3):  # the first one may compile, and another be stopped by what else the machine does
                start = time.perf_counter()
                wanted = trial.run_to_the_end()
                took = min(took, time.perf_counter() - start)
            for kind in given.only:
                found: list[str] = []
                ended = left = 0
                for number in range(given.trials):
                    trial = Trial(folder, WAYS[way], REACHES[number % len(REACHES)])
                    complaint = trial.run(kind, chance.uniform(0.1, 1.0) * took, wanted)
                    ended += trial.was_ended
                    left += trial.left_something
                    if complaint:
                        found.append(complaint)
                right = given.trials - len(found)
                counts = f"{right} of {given.trials} right, {ended} ended, {left} left something"
                say(f"{way:15} {kind:13} {counts}; the batch takes {took:.1f} s")
                for complaint in found:
                    say(f"    {complaint}")
                wrong += len(found)
    return 1 if wrong else 0


def write_exposures(folder: Path) -> None:
    """Write the files of a batch."""
    folder.mkdir()
    chance = np.random.default_rng(1)
    for number in range(_FILES):
        ramps = np.cumsum(chance.poisson(60.0, _SHAPE), axis=1).astype(np.float32)
        flags = np.where(chance.random(_SHAPE) < 0.01, 4, 0).astype(np.uint8)  # noqa: PLR2004  (JUMP_DET; a few)
        first = fits.PrimaryHDU()
        first.header.update(
            TELESCOP="JWST",
            INSTRUME="NIRCAM",
            EXP_TYPE="NRC_IMAGE",
            NINTS=_SHAPE[0],
            NGROUPS=_SHAPE[1],
            NFRAMES=1,
            GROUPGAP=0,
            TGROUP=3.0,
            TFRAME=3.0,
        )
        images = [
            fits.ImageHDU(ramps, name="SCI"),
            fits.ImageHDU(np.zeros(_SHAPE[2:], np.int32), name="PIXELDQ"),
            fits.ImageHDU(flags, name="GROUPDQ"),
        ]
        fits.HDUList([first, *images]).writeto(folder / f"f{number}_jump.fits")


class Trial:
    """One run of the command on all files."""

    def __init__(self, folder: Path, words: list[str], reaches: str) -> None:
        self._inputs = sorted(str(path) for path in (folder / "in").iterdir())
        self._out, self._temporary = folder / "out", folder / "tmp"
        self._words = words
        self._reaches = reaches
        self._mark = f"RAMPFIT_TRIAL={uuid.uuid4().hex}"
        self.was_ended = self.left_something = False

    def run_to_the_end(self) -> dict[str, bytes]:
        """Return what all products hold."""
        process = self._start()
        errors = process.communicate(timeout=_END)[1]
        if process.returncode:
            raise RuntimeError(errors)
        return self._products()

    def run(self, kind: str, delay: float, wanted: dict[str, bytes]) -> str:
        """Send the signals after a delay, s; return what is wrong in the end, or nothing."""
        signals, status = KINDS[kind]
        process = self._start()
        time.sleep(delay)
        for number, pause in signals:
            if process.poll() is None:
                (os.killpg if self._reaches == "group" else os.kill)(process.pid, number)
            time.sleep(pause)
        try:
            errors = process.communicate(timeout=_END)[1]
        except subprocess.TimeoutExpired:
            left = self._processes()
            for number in left:
                os.kill(number, signal.SIGKILL)
            return f"after {delay:.2f} s ({self._reaches}): did not end within {_END:.0f} s; processes {left}"
        code = process.returncode
        # Before this package's first line, and after its last one, Python and the system end the process themselves.
        code = 128 - code if code < 0 else code
        self.was_ended = code == status != 0
        wrong = [] if code in {status, 0} else [f"exit status {code}"]
        wrong += ["Traceback"] if "Traceback" in errors and process.returncode >= 0 else []
        if process.returncode == -signal.SIGKILL:
            wrong += self._wrong_processes() + self._wrong_products(wanted)
            self.left_something = bool(self._wrong_files() or self._half_sets())
            process = self._start("--skip-existing", anew=False)
            errors = process.communicate(timeout=_END)[1]
            code = process.returncode
            wrong += [f"then exit status {code}"] if code else []
        wrong += self._wrong_processes() + self._wrong_files() + self._wrong_products(wanted) + self._half_sets()
        if code == 0 and self._products().keys() != wanted.keys():
            wrong.append("products are missing")
        if not wrong:
            return ""
        return f"after {delay:.2f} s ({self._reaches}): {', '.join(wrong)}: {errors.strip()[-400:]!r}"

    def _start(self, *more: str, anew: bool = True) -> subprocess.Popen[str]:
        for folder in (self._out, self._temporary):
            if anew:
                shutil.rmtree(folder, ignore_errors=True)
                folder.mkdir()
        name, _, value = self._mark.partition("=")
        process = subprocess.Popen(  # noqa: S603  (our own command)
            [sys.executable, "-c", _COMMAND, *self._inputs, *_REFERENCES, *self._words, *more],
            cwd=self._out,
            env=os.environ | {name: value, "TMPDIR": str(self._temporary)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        assert process.stdout is not None  # for mypy
        process.stdout.readline()
        return process

    def _products(self) -> dict[str, bytes]:
        found = {}
        for path in self._out.glob("*.fits"):
            with fits.open(path) as hdulist:
                found[path.name] = b"".join(
                    hdu.data.tobytes() for hdu in hdulist if hdu.is_image and hdu.data is not None
                )
        return found

    def _wrong_products(self, wanted: dict[str, bytes]) -> list[str]:
        return [f"{name} is wrong" for name, content in self._products().items() if wanted[name] != content]

    def _half_sets(self) -> list[str]:
        bases = [path.stem.rpartition("_")[0] for path in self._out.glob("*.fits")]
        return [f"{base}: half a set" for base in sorted(set(bases)) if bases.count(base) != _PRODUCTS]

    def _wrong_processes(self) -> list[str]:
        """Return the processes that there are a while after the end, and end them."""
        end = time.monotonic() + _GONE
        while left := self._processes():
            if time.monotonic() > end:
                break
            time.sleep(0.02)
        for number in left:
            with suppress(ProcessLookupError):
                os.kill(number, signal.SIGKILL)
        return [f"process {number}" for number in left]

    def _wrong_files(self) -> list[str]:
        files = [path for path in self._out.iterdir() if path.suffix != ".fits"] + list(self._temporary.iterdir())
        return [f"file {path.name}" for path in files]

    def _processes(self) -> list[int]:
        found = []
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                if self._mark.encode() in (folder / "environ").read_bytes():
                    found.append(int(folder.name))
            except OSError:  # it has ended, or is another user's
                continue
        return found


if __name__ == "__main__":
    sys.exit(main())
