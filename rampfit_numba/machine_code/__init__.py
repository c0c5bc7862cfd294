"""Machine code kept on disk from process to process: where, by whom, one compilation for all, nothing that is damaged.

Numba has a cache of its own. It needs to write where it reads, has one copy for each installation, ends in a traceback
when a file is cut or damaged, and loads, that is executes, what any other user has put into its folder.
"""

from __future__ import annotations

from rampfit_numba.address_space import check_for_loading

check_for_loading("Numba")  # modules here import it

# ruff: noqa: E402
from rampfit_numba.machine_code.alone import Held, compiling_alone
from rampfit_numba.machine_code.helpers import compile_apart, with_helpers
from rampfit_numba.machine_code.inventory import Version, find_versions, remove_version
from rampfit_numba.machine_code.notes import is_warm, last_seconds, note_warm
from rampfit_numba.machine_code.own_code import OwnCodeCompiler
from rampfit_numba.machine_code.places import Place, all_places, cache_folder, usable_places
from rampfit_numba.machine_code.store import KeptCode, everything_kept, take_problems, watch_misses

__all__ = [
    "Held",
    "KeptCode",
    "OwnCodeCompiler",
    "Place",
    "Version",
    "all_places",
    "cache_folder",
    "compile_apart",
    "compiling_alone",
    "everything_kept",
    "find_versions",
    "is_warm",
    "last_seconds",
    "note_warm",
    "remove_version",
    "take_problems",
    "usable_places",
    "watch_misses",
    "with_helpers",
]
