"""The command ``rampfit``.

Files
-----
commands.py   the list of commands, and what may be typed to reach them
arguments.py  parsers, and the arguments that several commands have
fit_arguments.py  references and options of a fit, which several commands have
console.py    log lines, warnings and failures, as a user of a terminal wants them
interrupts.py Ctrl-C and SIGTERM
collector.py  the collector of garbage waits for imports
main.py       the entry: from arguments to an exit status
fit.py        rampfit fit: as every command, its arguments (add_parser) and its work (run)
view.py       rampfit view
simulate.py   rampfit simulate
demo.py       rampfit demo
warmup.py     rampfit warmup

Nothing here imports numba, astropy or numpy before there is work to do: ``rampfit --help`` is immediate.
"""

from __future__ import annotations

from rampfit_numba.cli.main import main

__all__ = ["main"]
