"""``rampfit warmup``: compile the kernels ahead of their first use."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse

log = logging.getLogger(__name__)


def run(chosen: argparse.Namespace) -> int:
    """Compile, or load what is compiled; return 0."""
    from rampfit_numba import warm_up

    try:
        seconds = warm_up(chosen.algorithms or None)
    except ValueError as error:
        chosen.parser.error(str(error))
    log.info("The kernels are ready after %.1f s", seconds)
    return 0
