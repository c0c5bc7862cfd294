"""Files to damage, with their judges; mutants of them, tried one by one."""

from __future__ import annotations

import gzip
import signal
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from rampfit_numba import read_exposure
from rampfit_numba.simulate.wfc3 import simulate_ima
from tests.fuzz.judges import UnjudgedError, judge_ramps, judge_reference, judge_roman, judge_wfc3
from tests.fuzz.mutations import mutate
from tests.make_files import asdf_hdu, compressed_by_tiles, ramp_hdulist, reference_hdulist, save, to_bytes

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Callable, Iterator

SHAPE = (2, 5, 6, 7)
#: Seconds of this process's own time; each takes some hundredths.
_PATIENCE = 5.0


@dataclass(frozen=True)
class Seed:
    """A sound file: its kind, its content, and who judges its mutants.

    `ending` is that of its name; `pack` is done to a mutant before it is written.
    """

    kind: str
    content: bytes
    judge: Callable[[Path], bool]
    ending: str = ".fits"
    pack: Callable[[bytes], bytes] = bytes

    def mutant(self, number: int) -> bytes:
        """Return the mutant of that number as it is written."""
        return self.pack(mutate(self.content, number))


def seeds(folder: Path) -> list[Seed]:
    """Return the sound files; the folder is for what is needed to make them."""
    plain, rich = ramp_hdulist(SHAPE), ramp_hdulist(SHAPE, optional=True)
    scaled = ramp_hdulist(SHAPE)
    scaled["SCI"].data = scaled["SCI"].data.clip(0, 60_000).astype(np.uint16)
    scaled["PIXELDQ"].header["EXTVER"] = 2
    timed = ramp_hdulist(SHAPE)
    timed.append(asdf_hdu("meta: {exposure: {read_times: [[1.5], [4.5], [7.5], [10.5], [13.5]]}}\n"))
    exposure = read_exposure(save(plain, folder / "x_jump.fits"))
    gain = reference_hdulist(np.linspace(1.5, 2.5, 42).reshape(SHAPE[2:]), start=(11, 21))
    kinds = [Seed("ramps", to_bytes(hdulist), judge_ramps) for hdulist in (plain, rich, scaled, timed)]
    kinds += [
        Seed("stream", gzip.compress(to_bytes(rich), 1, mtime=0), judge_ramps, ".fits.gz"),
        Seed("compressed", to_bytes(rich), judge_ramps, ".fits.gz", partial(gzip.compress, compresslevel=1, mtime=0)),
        Seed("tiles", to_bytes(compressed_by_tiles(ramp_hdulist(SHAPE, optional=True))), judge_ramps, ".fits.fz"),
        Seed("reference", to_bytes(gain), partial(judge_reference, exposure=exposure)),
        Seed("wfc3", to_bytes(simulate_ima(3, (16, 16), seed=1).hdulist), judge_wfc3),
    ]
    return kinds


def roman_seeds(folder: Path) -> list[Seed]:
    """Return those that need the extra ``roman``."""
    from rampfit_numba.simulate.roman import simulate_roman, write_roman_simulation

    simulation = simulate_roman(3, 16, 20, seed=5)
    path = write_roman_simulation(simulation, folder / "r1_linearity.asdf", overwrite=True)[0]
    return [Seed("roman", Path(path).read_bytes(), judge_roman, ".asdf")]


@dataclass(frozen=True)
class Finding:
    """A mutant that is neither refused nor read as the judge reads it."""

    kind: str
    number: int
    complaint: str


class TooLongError(BaseException):
    """A mutant takes longer than any file of its size may; nothing on the way is to take this for its own error."""


@contextmanager
def in_time() -> Iterator[None]:
    """Raise a TooLongError when this process has worked for too long."""

    def end(*_: object) -> None:
        raise TooLongError

    before = signal.signal(signal.SIGPROF, end)
    signal.setitimer(signal.ITIMER_PROF, _PATIENCE)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


def try_mutants(files: list[Seed], numbers: range, counts: Counter[str]) -> Iterator[Finding]:
    """Try the mutants of these numbers, of each file in its turn; count how each one went."""
    with tempfile.TemporaryDirectory() as folder:
        for number in numbers:
            seed = files[number % len(files)]
            path = Path(folder) / f"mutant{seed.ending}"
            path.write_bytes(seed.mutant(number))
            try:
                with in_time():
                    refused = seed.judge(path)
                counts[f"{seed.kind} {'refused' if refused else 'equal'}"] += 1
            except UnjudgedError:
                counts[f"{seed.kind} unjudged"] += 1
            except TooLongError:
                counts[f"{seed.kind} FOUND"] += 1
                yield Finding(seed.kind, number, f"took more than {_PATIENCE} s")
            except Exception as error:  # noqa: BLE001  (whatever is raised is a finding)
                counts[f"{seed.kind} FOUND"] += 1
                yield Finding(seed.kind, number, f"{type(error).__name__}: {error}")
