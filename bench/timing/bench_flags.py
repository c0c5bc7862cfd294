"""How many ramps of real exposures are flagged? It decides what a fit costs, more than the shape does.

Takes files that the package can read, by default those in the folder that RAMPFIT_TEST_DATA names. Counted are ramps
with a flag that others of their integration have not: groups that all ramps of an integration lack (MIRI's first and
last, say) cost none of them more.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np
from common import parse_arguments, shape_text
from reporting import Report
from shared import Table

DO_NOT_USE, SATURATED, JUMP_DET = 1, 2, 4
HEADINGS = (
    "exposure",
    "integrations x groups x rows x columns",
    "s an integration",
    "ramps flagged",
    "with a jump",
    "saturated",
    "jumps a group",
)


def row_of(path: Path) -> tuple[list[str], dict[str, float]] | None:
    """Return what is counted in a file; None where it holds no exposure."""
    from rampfit_numba import read_exposure
    from rampfit_numba.messages import RampFileError

    try:
        exposure = read_exposure(path)
    except RampFileError:
        return None
    flags = np.asarray(exposure.groupdq)
    # Groups that nobody has in an integration.
    absent = (flags & DO_NOT_USE).astype(bool).all(axis=(2, 3), keepdims=True)
    flags = np.where(absent, 0, flags)
    shares = {
        "flagged": float((flags != 0).any(axis=1).mean()),
        "jump": float((flags & JUMP_DET).any(axis=1).mean()),
        "saturated": float((flags & SATURATED).any(axis=1).mean()),
        "jumps": float((flags & JUMP_DET).astype(bool).mean()),
    }
    seconds = exposure.ngroups * (exposure.group_time or 0)
    cells = [path.name, shape_text(exposure.shape), f"{seconds:.3g}"]
    return [*cells, *(f"{share:.1%}" for share in list(shares.values())[:3]), f"{shares['jumps']:.2%}"], shares


def main() -> None:
    """Count."""
    files = "files", {"metavar": "FILE", "nargs": "*", "type": Path, "help": "exposures (default: RAMPFIT_TEST_DATA's)"}
    arguments = parse_arguments(__doc__ or "", 1, files)
    if not arguments.files:
        folder = os.environ.get("RAMPFIT_TEST_DATA")
        if not folder:
            sys.exit("bench_flags.py: expected files, or their folder in RAMPFIT_TEST_DATA; got neither")
        arguments.files = sorted(Path(folder).glob("*.fits"))
    arguments.given.append("FILE ...")
    report = Report("flags", arguments)
    table = Table("Ramps of exposures after the jump step", list(HEADINGS))
    report.tables.append(table)
    for path in arguments.files:
        found = row_of(path)
        if found is not None:
            table.rows.append(found[0])
            report.measurements[path.name] = found[1]
    if not table.rows:
        sys.exit(f"bench_flags.py: expected exposures; got none in {len(arguments.files)} files")
    report.finish()


if __name__ == "__main__":
    main()
