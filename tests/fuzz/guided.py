"""A run that is guided by coverage: ``python -m tests.fuzz.guided ramps -max_total_time=300``.

The first argument is what is tried; all others are libFuzzer's (``-help=1`` lists them). atheris must be there (``pip
install atheris``, on Linux): it is no dependency of the tests. What is found ends the run, with a traceback, and stands
in ``crash-...`` in the current folder; ``python -m tests.fuzz.guided ramps crash-...`` tries it again, and it becomes a
test. Mutants are those of libFuzzer and of ``mutations.py`` by turns.
"""

from __future__ import annotations

import contextlib
import io
import shlex
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import atheris

with atheris.instrument_imports(include=["rampfit_numba", "astropy.io.fits", "asdf"]):
    from rampfit_numba import RampFileError, read_exposure
    from rampfit_numba.cli import commands
    from rampfit_numba.options import parse_weighting
    from tests.fuzz.judges import UnjudgedError
    from tests.fuzz.trials import in_time, roman_seeds, seeds

from tests.fuzz.mutations import mutate
from tests.make_files import asdf_hdu, ramp_hdulist, save

if TYPE_CHECKING:
    from collections.abc import Callable

_TREES = (
    "meta: {exposure: {read_times: [[1.5], [4.5], [7.5], [10.5], [13.5]]}}\n",
    "a: &a [1.5, 2]\nmeta:\n  exposure:\n    read_times: [*a, [4.5], !!float 7, 0x0b, 1:20]\n",
    "data: !core/ndarray-1.0.0 {source: 'fits:SCI,1', shape: [9]}\nmeta: {exposure: {read_times: []}}\n",
    "a: {$ref: 'x#/y'}\nb: {<<: {c: 1}}\nmeta: {exposure: {read_times: !core/ndarray-1.0.0 {data: [1, 2, 3, 4, 5]}}}\n",
)
_COMMANDS = (
    "fit x.fits --readnoise 12.5 --gain gain.fits --weighting 5:0.4,10:1 --max-memory 2G --maximum-cores half",
    "reads x.fits --readnoise 3 --gain 1.5 --read-times 1 2 3 --saturation 60000 --invert 65536 --skip 2",
    "simulate out_jump.fits --shape 2,10,64,64 --seed 5",
    "plot rate x.fits --integration 1 2 --dpi 1e3",
)


def try_tree(content: bytes) -> None:
    """Read an exposure whose extension ASDF has this text for a tree."""
    hdulist = ramp_hdulist((2, 5, 6, 7))
    hdulist.append(asdf_hdu(content.decode("latin-1")))
    with tempfile.TemporaryDirectory() as folder, contextlib.suppress(RampFileError):
        read_exposure(save(hdulist, Path(folder) / "x.fits"))


def try_command(content: bytes) -> None:
    """Parse the words of a command, none of which is run, and a weighting."""
    text = content.decode("utf-8", "surrogateescape")
    with contextlib.suppress(ValueError):
        parse_weighting(text)
    try:
        words = shlex.split(text)
    except ValueError:
        words = text.split()
    quiet = io.StringIO()
    with contextlib.redirect_stderr(quiet), contextlib.redirect_stdout(quiet), contextlib.suppress(SystemExit):
        commands.parse(words)


def targets(folder: Path) -> dict[str, tuple[list[bytes], Callable[[bytes], Any]]]:
    """Return what can be tried: sound content to begin with, and what is done with a mutant of it."""
    found: dict[str, tuple[list[bytes], Callable[[bytes], Any]]] = {
        "tree": ([tree.encode() for tree in _TREES], try_tree),
        "command": ([line.encode() for line in _COMMANDS], try_command),
    }
    for seed in seeds(folder) + roman_seeds(folder):

        def judge(content: bytes, seed: Any = seed) -> None:
            path = folder / f"mutant{seed.ending}"
            path.write_bytes(seed.pack(content))
            with contextlib.suppress(UnjudgedError):
                seed.judge(path)

        found.setdefault(seed.kind, ([], judge))[0].append(seed.content)
    return found


def main() -> None:
    """Run libFuzzer on one target."""
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryDirectory() as corpus:
        known = targets(Path(folder))
        if len(sys.argv) < 2 or sys.argv[1] not in known:
            sys.exit(f"usage: python -m tests.fuzz.guided {{{','.join(known)}}} [libFuzzer's options]")
        contents, run = known[sys.argv.pop(1)]
        for number, content in enumerate(contents):
            (Path(corpus) / f"{number}").write_bytes(content)

        def try_one(content: bytes) -> None:
            with in_time():
                run(content)

        def mutant(content: bytes, most: int, seed: int) -> bytes:
            changed: bytes = mutate(content, seed) if content and seed % 2 else atheris.Mutate(content, most)
            return changed[:most]

        again = [word for word in sys.argv[1:] if not word.startswith("-")]
        more = [] if again else [corpus, "-max_len=65536", "-timeout=600"]
        atheris.Setup([*sys.argv, *more], try_one, custom_mutator=mutant)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
