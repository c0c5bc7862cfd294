"""``python -m rampfit_numba`` is the command ``rampfit``."""

from __future__ import annotations

import sys

from rampfit_numba.cli import main

if __name__ == "__main__":
    sys.exit(main())
