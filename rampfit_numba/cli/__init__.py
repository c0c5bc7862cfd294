"""The command ``rampfit``.

Files
-----
arguments.py  what may be typed, and what it means
console.py    log lines, warnings and failures, as a user of a terminal wants them
interrupts.py Ctrl-C and SIGTERM
main.py       the entry: from arguments to an exit status
fit.py        rampfit fit
simulate.py   rampfit simulate
demo.py       rampfit demo
warmup.py     rampfit warmup

Nothing here imports numba, astropy or numpy before there is work to do: ``rampfit --help`` is immediate.
"""

from __future__ import annotations

from rampfit_numba.cli.main import main

__all__ = ["main"]
