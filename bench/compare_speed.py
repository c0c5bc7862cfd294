"""Compare how long the fits of several checkouts take, each in a process of its own, their calls in turn.

    python bench/compare_speed.py OLD NEW [NEWER ...] [--only real real_save_opt] [--repeats 7]

The exposures are those of ``timing/bench_kernel.py``. A cell holds the minimum and, in brackets, the median; ratios are
those to the first checkout, of the minima and, in brackets, the median of those of the single rounds.
"""

# ruff: noqa: S603  (it runs this file)
from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parent / "timing"))

from bench_kernel import EXPOSURES, SAVE_OPT

USUAL = ("real", "2x20", "hits", "real_save_opt", "500x6_real")
EXPOSED = {exposed.name: exposed for exposed in EXPOSURES} | SAVE_OPT


def serve(*, quick: bool) -> None:
    """Fit what standard input asks for: the name of an exposure to prepare, an empty line to fit it once more."""
    from rampfit_numba import fit_ramps

    name = ""
    for line in sys.stdin:
        if line.strip():
            name = line.strip()
            simulation = EXPOSED[name].shrunk(quick=quick).simulate()
        start = time.perf_counter()
        fit = fit_ramps(simulation.exposure, simulation.readnoise, simulation.gain, save_opt=name in SAVE_OPT)
        seconds = time.perf_counter() - start
        del fit
        print(seconds, flush=True)


def main() -> None:
    """Compare checkouts."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkouts", nargs="*", type=Path, metavar="CHECKOUT")
    parser.add_argument("--only", nargs="+", choices=[*EXPOSED], default=USUAL, help="only these exposures")
    parser.add_argument("--repeats", type=int, default=7, metavar="N", help="calls of each checkout (default: 7)")
    parser.add_argument("--quick", action="store_true", help="tiny exposures: shows that the script works, no figures")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.serve:
        serve(quick=arguments.quick)
        return
    if not arguments.checkouts:
        parser.error("expected at least one CHECKOUT")
    command = [sys.executable, __file__, "--serve", *(["--quick"] if arguments.quick else [])]
    children = [
        subprocess.Popen(
            command,
            env=os.environ | {"PYTHONPATH": str(checkout.resolve())},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for checkout in arguments.checkouts
    ]
    for name in arguments.only:
        for request in (name, ""):  # the second call finds memory of the first
            for child in children:
                ask(child, request)
        times: list[list[float]] = [[] for _ in children]
        for number in range(arguments.repeats):
            # Forth and back: nobody is always the first.
            for j in range(len(children)) if number % 2 == 0 else reversed(range(len(children))):
                times[j].append(1e3 * ask(children[j], ""))
        cells = [f"{min(own):.1f} ({statistics.median(own):.1f}) ms" for own in times]
        for own in times[1:]:
            rounds = [one / other for one, other in zip(own, times[0], strict=True)]
            cells.append(f"{min(own) / min(times[0]):.3f} ({statistics.median(rounds):.3f})")
        print(f"{name}: {', '.join(cells)}", flush=True)
    for child in children:
        child.communicate()


def ask(child: subprocess.Popen[str], request: str) -> float:
    """Return the seconds of a fit by a child."""
    assert child.stdin is not None
    assert child.stdout is not None
    child.stdin.write(request + "\n")
    child.stdin.flush()
    answer = child.stdout.readline()
    if not answer:
        raise SystemExit(f"a fit ended without an answer, with {child.wait()}")
    return float(answer)


if __name__ == "__main__":
    main()
