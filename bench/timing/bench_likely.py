"""How fast are the likelihood fits? This package and stcal's LIKELY, whole calls, with hits that nobody flagged.

Timed are the whole ``fit_ramps`` call, with one worker and with two threads, and stcal's whole ``ramp_fit_data`` call,
which knows one core only. Where an exposure is large, stcal fits a part of its rows, and its time is scaled; that
favours it, since for every row it makes a mask of the size of its detector. Planes of that part are compared before.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from common import (
    Contender,
    Exposed,
    Times,
    check_same,
    duration,
    interleave,
    parse_arguments,
    part_option,
    shape_text,
    warm_up,
)
from reporting import Report
from shared import Table, from_tests

if TYPE_CHECKING:
    from collections.abc import Callable

ONE, TWO, JOINT, THEIRS = "one worker", "two threads", "likely_joint, one worker", "stcal"
HITS = (0.0, 0.01, 0.05)
JUMP_DET = 4
#: Rows that are compared in every plane; single ramps that differ are fitted again by an oracle in pure Python.
COMPARED_ROWS = 16


@dataclass(frozen=True)
class Shape:
    """An exposure, and how many of its rows stcal fits."""

    name: str
    shape: tuple[int, int, int, int]
    reference_rows: int


SHAPES = (
    Shape("1x20", (1, 20, 512, 512), 512),
    Shape("2x20", (2, 20, 1024, 1032), 256),
    Shape("1x60", (1, 60, 512, 512), 192),
    Shape("1x8", (1, 8, 2048, 2048), 512),
)
PARTS = {"standard": ("2x20",), "short": ("1x20", "1x8"), "long": ("1x60",)}


def make_case(shape: Shape, hits: float, *, quick: bool) -> tuple[Any, Any]:
    """Return the simulation and, for the reference, the same as a case; no hit is flagged, saturation is."""
    exposed = Exposed(shape.name, "", shape.shape, {"hit_rate": hits}).shrunk(quick=quick)
    simulation = exposed.simulate()
    exposure = simulation.exposure
    exposure.groupdq[...] &= 0xFF ^ JUMP_DET
    case = from_tests("likely_cases").LikelyCase(
        data=exposure.data,
        groupdq=exposure.groupdq,
        pixeldq=exposure.pixeldq,
        readnoise=np.broadcast_to(np.asarray(simulation.readnoise, np.float32), exposure.shape[2:]),
        gain=np.broadcast_to(np.asarray(simulation.gain, np.float32), exposure.shape[2:]),
        frame_time=exposure.frame_time,
        nframes=exposure.nframes,
        groupgap=exposure.groupgap,
    )
    return simulation, case


def compare(shape: Shape, hits: float, repeats: int, *, quick: bool) -> tuple[dict[str, Times], tuple[int, ...], float]:
    """Time the contenders; return their times, the shape, and how much of it stcal fitted."""
    from rampfit_numba import fit_ramps

    simulation, case = make_case(shape, hits, quick=quick)
    nrows = case.shape[2]
    rows = min(shape.reference_rows, nrows)
    cases = from_tests("likely_cases")
    part = case.cut(slice(0, rows), slice(None)).but()

    def fit(algorithm: str, cores: int, executor: str | None = None) -> Callable[[], Any]:
        def run() -> Any:  # noqa: ANN401
            return fit_ramps(
                simulation.exposure,
                simulation.readnoise,
                simulation.gain,
                algorithm=algorithm,
                maximum_cores=cores,
                executor=executor,
            )

        return run

    contenders = [
        Contender(ONE, fit("likely", 1)),
        Contender(TWO, fit("likely", 2, "threads")),
        Contender(JOINT, fit("likely_joint", 1)),
        Contender(
            THEIRS,
            cases.run_reference,
            lambda: (cases.reference_ramps(part), part.readnoise.copy(), part.gain.copy()),
        ),
    ]
    warm = warm_up(contenders[:-1])
    check_same(warm[ONE], warm[TWO])
    check_agreement(case.cut(slice(0, COMPARED_ROWS), slice(None)), warm[ONE])
    del warm
    return interleave(contenders, repeats), case.shape, rows / nrows


def check_agreement(case: Any, fit: Any) -> None:  # noqa: ANN401
    """Refuse results whose planes differ from the reference's, but in ramps that hinge on rounding."""
    cases, differential = from_tests("likely_cases"), from_tests("differential_likely")
    rows = slice(0, case.shape[2])
    found = cases.LikelyFit(
        *({name: getattr(kind, name)[..., rows, :] for name in cases.PLANES} for kind in (fit.rate, fit.rateints)),
        fit.groupdq[:, :, rows],
    )
    outcome = differential.Outcome()
    differential.compare(case, cases.fit_reference(case), found, outcome)
    if outcome.failures:
        raise SystemExit(f"The results disagree, so their times mean nothing: {outcome.report()}")


def main() -> None:
    """Compare on all exposures, one at a time."""
    names = [shape.name for shape in SHAPES]
    only = ("--only", {"nargs": "+", "choices": names, "default": names, "help": "only these exposures"})
    arguments = parse_arguments(__doc__ or "", 3, only, part_option(PARTS), quick_repeats=1)
    if arguments.only != names:
        arguments.given.append(f"--only {' '.join(arguments.only)}")
    chosen = PARTS.get(arguments.part, arguments.only)
    report = Report("likely", arguments)
    table = Table(
        "LIKELY, whole calls: s, minimum (median)",
        ["exposure", "hits a group", ONE, "ns a ramp", TWO, "one / two", JOINT, "stcal", "stcal / one worker"],
        note="Hits are not flagged beforehand. Rows in brackets: stcal fitted these, and its time is scaled to all "
        f"rows, which favours it. All planes of {COMPARED_ROWS} rows were compared with stcal's, and those of one and "
        "of two workers bit for bit, before the timing.",
    )
    report.tables.append(table)
    for shape in SHAPES:
        if shape.name not in chosen:
            continue
        for hits in HITS:
            times, fitted, share = compare(shape, hits, arguments.repeats, quick=arguments.quick)
            whole = Times([seconds / share for seconds in times[THEIRS].seconds])
            ramps = fitted[0] * fitted[2] * fitted[3]
            ours = times[ONE]
            row = [
                shape_text(fitted),
                f"{hits:.0%}",
                ours.text(unit="s"),
                f"{1e9 * ours.minimum / ramps:.0f}",
                times[TWO].text(unit="s"),
                ours.ratio(times[TWO]),
                times[JOINT].text(unit="s"),
                whole.text(unit="s") + (f" [{round(share * fitted[2])} rows]" if share < 1 else ""),
                whole.ratio(ours),
            ]
            table.rows.append(row)
            report.keep(f"{shape.name}, {hits:.0%}", times)
            if hits == HITS[1] and shape.name == "2x20":  # one row of the README
                seconds = [f"{duration(t.minimum, 's')} s" for t in (ours, whole)]
                part = f" (stcal: of {round(share * fitted[2])} rows)" if share < 1 else ""
                label = f"LIKELY, {shape_text(fitted)}, {hits:.0%} hits a group, one core{part}"
                report.gist.append([label, *seconds, f"{whole.minimum / ours.minimum:.0f}x"])
            print(f"{row}", flush=True)
    print()
    report.finish()


if __name__ == "__main__":
    main()
