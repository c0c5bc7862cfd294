"""``rampfit fit``: exposures in, products out."""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from rampfit_numba.cli.console import log_failure

if TYPE_CHECKING:
    import argparse

logger = logging.getLogger(__name__)


def run(chosen: argparse.Namespace) -> int:
    """Fit every file; return 1 if one failed, else 0."""
    from rampfit_numba import __version__
    from rampfit_numba.options import FitOptions

    names = ("algorithm", "suppress_one_group", "firstgroup", "lastgroup", "save_opt")
    fit_options = {name: getattr(chosen, name) for name in names}
    try:
        FitOptions(**fit_options)
    except (TypeError, ValueError) as error:
        chosen.parser.error(str(error))
    _check_names(chosen)

    from rampfit_numba.files import fit_file

    logger.info("rampfit_numba %s", __version__)
    if chosen.opt_name and not chosen.save_opt:
        logger.warning("--opt-name has no effect without --save-opt")
    failed = []
    for number, path in enumerate(chosen.files, 1):
        if len(chosen.files) > 1:
            logger.info("File %d of %d: %s", number, len(chosen.files), path)
        try:
            fit_file(
                path,
                chosen.readnoise,
                chosen.gain,
                output_dir=chosen.output_dir,
                overwrite=chosen.overwrite,
                int_name=chosen.int_name,
                opt_name=chosen.opt_name,
                maximum_cores=chosen.maximum_cores,
                executor=chosen.executor,
                progress=not chosen.quiet and sys.stderr.isatty(),
                **fit_options,
            )
        except Exception as error:  # noqa: BLE001  (whatever it is, the other files are still done)
            log_failure(error, path)
            failed.append(path)
    if len(chosen.files) > 1:
        logger.info("%d of %d files fitted", len(chosen.files) - len(failed), len(chosen.files))
        if failed:
            logger.error("%d of %d files failed: %s", len(failed), len(chosen.files), ", ".join(map(str, failed)))
    return 1 if failed else 0


def _check_names(chosen: argparse.Namespace) -> None:
    """Refuse names that cannot be: no later file may take the place of an earlier one's product."""
    from rampfit_numba.io.fits import product_paths

    folder = Path() if chosen.output_dir is None else chosen.output_dir
    if folder.exists() and not folder.is_dir():
        chosen.parser.error(f"--output-dir: {folder} is no folder")
    for name in ("int_name", "opt_name"):
        if getattr(chosen, name) and len(chosen.files) > 1:
            chosen.parser.error(f"--{name.replace('_', '-')} names one product, but there are several files")
    sources: dict[Path, Path] = {}
    for path in chosen.files:
        try:
            products = product_paths(path, folder, int_name=chosen.int_name, opt_name=chosen.opt_name)
        except ValueError as error:
            chosen.parser.error(str(error))
        for product in products.values():
            if product in sources:
                chosen.parser.error(f"{sources[product]} and {path} would both be written to {product}")
            sources[product] = path
