"""``rampfit fit``: exposures in, products out."""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING

from rampfit_numba.cli.console import log_failure, one_line

if TYPE_CHECKING:
    import argparse

    from rampfit_numba.files import FileResult

log = logging.getLogger(__name__)


def run(chosen: argparse.Namespace) -> int:
    """Fit every file; return 1 if one failed, else 0."""
    from rampfit_numba.files import fit_files

    names = (
        *("algorithm", "suppress_one_group", "firstgroup", "lastgroup", "save_opt", "rejection_threshold", "pedestal"),
        *("readnoise_kind", "maximum_cores", "executor"),
    )
    try:
        results = fit_files(
            chosen.files,
            chosen.readnoise,
            chosen.gain,
            output_dir=chosen.output_dir,
            overwrite=chosen.overwrite,
            int_name=chosen.int_name,
            opt_name=chosen.opt_name,
            on_error=_report,
            progress=not chosen.quiet and sys.stderr.isatty(),
            **{name: getattr(chosen, name) for name in names},
        )
    except (TypeError, ValueError) as error:  # what is wrong with one of the files, its result says
        chosen.parser.error(_as_typed(error, chosen))
    failed = [result.path for result in results if result.error]
    if len(results) > 1:
        log.info("%d of %d files fitted", len(results) - len(failed), len(results))
        if failed:
            log.error("%d of %d files failed: %s", len(failed), len(results), ", ".join(map(str, failed)))
    return 1 if failed else 0


def _report(result: FileResult) -> None:
    assert result.error is not None  # noqa: S101  (for mypy)
    log_failure(result.error, result.path)


def _as_typed(error: Exception, chosen: argparse.Namespace) -> str:
    """Return the complaint about an argument under the name that the command has for it."""
    name, colon, complaint = one_line(error).partition(": ")
    return f"--{name.replace('_', '-')}{colon}{complaint}" if hasattr(chosen, name) else f"{name}{colon}{complaint}"
