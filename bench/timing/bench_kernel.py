"""How fast is one core? This package, stcal's C extension, and the limit that memory sets, on exposures of many kinds.

Timed are the whole ``fit_ramps`` call and stcal's whole ``ramp_fit_data`` call (its preparation of the data, 1 % more,
is left out), after a check that every plane of the two agrees. The limit is a loop that reads data and flags once, in
memory order, and writes arrays of the outputs' sizes that exist already.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from common import (
    MIB,
    STANDARD,
    Contender,
    Exposed,
    Times,
    case_of,
    check_agreement,
    duration,
    interleave,
    parse_arguments,
    part_option,
    prepare_reference,
    run_reference,
    shape_text,
    warm_up,
)
from compare_cpus import KINDS, can_run
from reporting import Report
from shared import Table

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

OURS, THEIRS, LIMIT, CHISQ = "this package", "stcal", "limit", "chisq"
IMAGE = (1024, 1032)
# What an hour of cosmic rays leaves, by estimate, neighbours included.
REAL = Exposed("real", "33 % of the ramps flagged", (2, 20, *IMAGE), {"hit_rate": 0.02})
EXPOSURES = (
    REAL,
    STANDARD,
    Exposed("10x5", "", (10, 5, *IMAGE)),
    Exposed("1x60", "", (1, 60, *IMAGE)),
    Exposed("hits", "99 % of the ramps flagged", (2, 20, *IMAGE), {"hit_rate": 0.2}),
    # A faint sky: 96 % of the ramps have a signal-to-noise ratio below 10.
    Exposed("faint", "low signal", (2, 20, *IMAGE), {"background": 0.3, "background_gradient": 1.0}),
    Exposed("saturated", "half of the ramps saturate half-way", (2, 20, *IMAGE), {"saturated_fraction": 0.5}),
    Exposed("500x6", "", (500, 6, 64, 512)),
    Exposed("500x6_real", "11 % of the ramps flagged", (500, 6, 64, 512), {"hit_rate": 0.02}),
    # As many samples: long ramps are to take no longer for each.
    Exposed("1x300", "", (1, 300, 64, 512)),
    Exposed("1x8000", "", (1, 8000, 8, 154)),
    Exposed("2048", "", (1, 10, 2048, 2048)),
)
# Exposures that are also fitted with chi-squares.
CHISQ_OF = ("2x20", "hits")
# Those that are also fitted with the optional results.
SAVE_OPT = {"real_save_opt": REAL, "save_opt": STANDARD}
# Those that are fitted once more as on a processor with AVX2 only.
AVX2, WITH_AVX2 = "avx2", ("real", "2x20", "hits")
# What the README shows.
GIST = ("real", "2x20", "hits", "real_save_opt")
PARTS = {
    "ramps": ("real", "2x20", "hits", "faint", "saturated"),
    "optional": ("real_save_opt", "save_opt", *(f"chisq_{name}" for name in CHISQ_OF)),
    "shapes": ("10x5", "1x60", "2048"),
    "series": ("500x6_real", "500x6"),
    "long": ("1x300", "1x8000"),
    AVX2: (AVX2,),
}


def make_limit() -> Callable[..., Any]:
    """Return the compiled loop that reads and writes and does nothing else."""
    import numba

    @numba.njit
    def touch(data: Any, groupdq: Any, outputs: Any) -> Any:  # noqa: ANN401  (flat uint64, flat uint64, uint32 arrays)
        # Bitwise or of whole words: integers may be reordered, so the loop is vectorised and waits for memory alone.
        bits = np.uint64(0)
        for i in range(data.size):
            bits |= data[i]
        for i in range(groupdq.size):
            bits |= groupdq[i]
        value = np.uint32(bits)
        for i in range(outputs.size):
            outputs[i] = value
        return bits

    return touch


def _words(array: np.ndarray) -> np.ndarray:
    """Return an array as whole words of 8 bytes; up to 7 bytes at its end are left out."""
    flat = array.reshape(-1).view(np.uint8)
    return flat[: flat.size // 8 * 8].view(np.uint64)


def compare(exposed: Exposed, repeats: int, *, save_opt: bool) -> tuple[dict[str, Times], str]:
    """Time the contenders on one exposure; return their times and a description of the exposure."""
    from rampfit_numba import fit_ramps

    simulation = exposed.simulate()
    case, exposure = case_of(simulation), simulation.exposure
    contenders = [
        Contender(OURS, lambda: fit_ramps(exposure, simulation.readnoise, simulation.gain, save_opt=save_opt)),
        Contender(
            THEIRS,
            lambda *prepared: run_reference(*prepared, save_opt=save_opt),
            lambda: prepare_reference(case),
        ),
    ]
    warm = warm_up(contenders)
    check_agreement(case, warm[THEIRS], warm[OURS])
    del warm

    limit = make_limit()
    # rate and rateints: five planes of 4 bytes each
    outputs = np.zeros(5 * (exposure.nints + 1) * exposure.nrows * exposure.ncols, np.uint32)
    data, groupdq = _words(case.data), _words(case.groupdq)
    contenders.append(Contender(LIMIT, lambda: limit(data, groupdq, outputs)))
    warm_up(contenders[-1:])
    times = interleave(contenders, repeats)
    flagged = (case.groupdq != 0).any(axis=1).mean()
    return times, f"{flagged:.1%} of the ramps flagged; {(case.data.nbytes + case.groupdq.nbytes) / MIB:.0f} MiB"


def compare_chisq(exposed: Exposed, repeats: int) -> dict[str, Times]:
    """Time fits without and with the chi-squares."""
    from rampfit_numba import fit_ramps

    simulation = exposed.simulate()
    arguments = (simulation.exposure, simulation.readnoise, simulation.gain)
    contenders = [
        Contender(OURS, lambda: fit_ramps(*arguments)),
        Contender(CHISQ, lambda: fit_ramps(*arguments, chisq=True)),
    ]
    warm_up(contenders)
    return interleave(contenders, repeats)


def as_with_avx2(arguments: argparse.Namespace) -> tuple[Table, list[list[str]]]:
    """Return table and rows for the README of a run for which Numba compiles as for a processor with AVX2 only."""
    settings = KINDS["AVX2"]
    named = f"NUMBA_CPU_NAME={settings['NUMBA_CPU_NAME']}"
    title = f"One core, compiled as for a processor with AVX2 only ({named}), whole calls: ms, minimum (median)"
    if not can_run("AVX2"):
        return Table(title, ["exposure"], note="Not measured: this processor has no AVX2."), []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "found.json"
        command = [
            sys.executable,
            __file__,
            "--only",
            *WITH_AVX2,
            "--repeats",
            str(arguments.repeats),
            "--json",
            str(path),
        ]
        command += ["--quick"] if arguments.quick else []
        subprocess.run(command, check=True, env=os.environ | settings)  # noqa: S603  (this file)
        found = json.loads(path.read_text(encoding="utf-8"))
    (table,) = found["tables"]
    note = (
        f"Emulated by name, with NUMBA_CPU_FEATURES={settings['NUMBA_CPU_FEATURES']}: the instructions are those of "
        "AVX2; caches, memory and clock, and stcal, are this machine's own."
    )
    gist = [[f"{label}, as for AVX2 only", *cells] for label, *cells in found["gist"][:1]]
    return Table(title, table["headings"], table["rows"], note), gist


def main() -> None:
    """Compare on all exposures, one at a time."""
    choices = [*(exposed.name for exposed in EXPOSURES), *SAVE_OPT, AVX2, *(f"chisq_{name}" for name in CHISQ_OF)]
    only = ("--only", {"nargs": "+", "choices": choices, "default": choices, "help": "only these exposures"})
    arguments = parse_arguments(__doc__ or "", 5, only, part_option(PARTS))
    if arguments.only != choices:
        arguments.given.append(f"--only {' '.join(arguments.only)}")
    chosen = PARTS.get(arguments.part, arguments.only)
    report = Report("kernel", arguments)
    table = Table(
        "One core, whole calls: ms, minimum (median)",
        ["exposure", "this package", "stcal OLS_C", "stcal / this package", "limit", "this package / limit"],
        note="Every plane of every row's two fits was compared before the timing. The limit reads data and flags once "
        "and writes the outputs of rate and rateints.",
    )
    for key, exposed in ({exposed.name: exposed for exposed in EXPOSURES} | SAVE_OPT).items():
        save_opt = key in SAVE_OPT
        if key not in chosen:
            continue
        shown = exposed.shrunk(quick=arguments.quick)
        times, described = compare(shown, arguments.repeats, save_opt=save_opt)
        kind = exposed.kind if exposed is not STANDARD else ""
        label = ", ".join(filter(None, [shape_text(shown.shape), kind, "with save_opt" if save_opt else ""]))
        ours, theirs, limit = times[OURS], times[THEIRS], times[LIMIT]
        row = [label, ours.text(), theirs.text(), theirs.ratio(ours), limit.text(), ours.ratio(limit)]
        # The limit does not write the optional results: no fair ratio there.
        table.rows.append(row if not save_opt else [*row[:4], "", ""])
        report.keep(key, times)
        if key in GIST:
            seconds = [f"{duration(t.minimum, 's')} s" for t in (ours, theirs)]
            report.gist.append([f"{label}, one core", *seconds, f"{theirs.minimum / ours.minimum:.0f}x"])
        print(f"{label} ({described}): {table.rows[-1]}", flush=True)
    if table.rows:
        report.tables.append(table)
    chisq_table = Table(
        "Chi-squares of the samples (chisq=True), one core, whole calls: ms, minimum (median)",
        ["exposure", "without", "with", "with / without"],
    )
    for exposed in EXPOSURES:
        key = f"chisq_{exposed.name}"
        if key not in chosen:
            continue
        shown = exposed.shrunk(quick=arguments.quick)
        times = compare_chisq(shown, arguments.repeats)
        label = ", ".join(filter(None, [shape_text(shown.shape), exposed.kind if exposed is not STANDARD else ""]))
        chisq_table.rows.append([label, times[OURS].text(), times[CHISQ].text(), times[CHISQ].ratio(times[OURS])])
        report.keep(key, times)
        print(f"{label}: {chisq_table.rows[-1]}", flush=True)
    if chisq_table.rows:
        report.tables.append(chisq_table)
    if AVX2 in chosen:
        table, gist = as_with_avx2(arguments)
        report.tables.append(table)
        report.gist += gist
    print()
    report.finish()


if __name__ == "__main__":
    main()
