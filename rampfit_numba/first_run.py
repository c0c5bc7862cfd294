"""What a user sees while the kernels are compiled: otherwise the first fit is silent for longer than anybody waits."""

from __future__ import annotations

import gc
import logging
import math
import sys
import threading
import time
import warnings
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rampfit_numba.address_space import check_for_compiling, check_for_loading
from rampfit_numba.machine_code import (
    Held,
    all_places,
    compiling_alone,
    everything_kept,
    is_warm,
    last_seconds,
    note_warm,
    take_problems,
    usable_places,
    watch_misses,
    with_helpers,
)
from rampfit_numba.messages import RampFitWarning

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

log = logging.getLogger(__name__)

#: Seconds between two moves of the bar.
_STEP = 0.2
#: The bar is so full when the expected time has passed; what remains is for the unexpected.
_AT_EXPECTED = 0.9
#: And never fuller than this before the end: 99 % is not yet 100 %, however it is rounded.
_FULLEST = 0.99
#: Seconds that one kind of kernels takes on a quiet machine of today, where nothing tells how long it took here.
_LIKELY_SECONDS = 8.0
#: Seconds after which nobody waits for another process any more.
_PATIENCE = 300.0
_warned_of_places: list[bool] = []


def compile_or_load(
    name: str, label: str, run_once: Callable[[], None], *, progress: bool = False, count: str = ""
) -> None:
    """Compile kernels, and say so, or load them from the cache.

    Parameters
    ----------
    name : str
        A name for files, of the kernels that are compiled together.
    label : str
        What a user knows them by.
    run_once : callable
        Call these kernels with the least that there is, so that they are compiled or loaded.
    progress : bool
        Show a bar while they are compiled.
    count : str
        Which one of how many this is, for the messages.

    Warns
    -----
    RampFitWarning
        Machine code on disk was damaged, is not trusted or cannot be written; the fit does without it.
    """
    if is_warm(name):
        _load(label, run_once)
    else:
        check_for_compiling(f"the kernels for {label}")
        with compiling_alone(name, _PATIENCE, _say_who_compiles) as held:
            if held is Held.GIVEN_UP:
                announce(f"After {_PATIENCE} s they are still not ready, and this process compiles them as well")
            if is_warm(name):  # by the process that we waited for
                _load(label, run_once)
            else:
                _compile(name, label, run_once, progress=progress, count=count)
    _warn_of_problems()


def _load(label: str, run_once: Callable[[], None]) -> None:
    """Load kernels, and say so where one of them is missing after all."""
    check_for_loading(f"the kernels for {label}")
    missing: list[str] = []

    def say() -> None:
        if not missing:
            check_for_compiling(f"the kernels for {label}")
            missing.append(label)
            announce(f"Some kernels for {label} are missing from the cache; they are compiled anew")

    with watch_misses(say):
        run_once()


def _compile(name: str, label: str, run_once: Callable[[], None], *, progress: bool, count: str) -> None:
    last = last_seconds(name)
    expected = last or _LIKELY_SECONDS
    time_needed = (
        f"about {expected:.0f} s, as last time" if last else f"about {expected:.0f} s, longer on a busy machine"
    )
    what = f"{count}Compiling the kernels for {label}"
    announce(f"{what}, once for this machine: {time_needed}; {_where_kept()}")
    start = time.perf_counter()
    with moving_bar(expected, what, shown=progress), _without_collector(), with_helpers():
        run_once()
    seconds = time.perf_counter() - start
    if everything_kept():
        note_warm(name, seconds)
    announce(f"{count}Compiled in {seconds:.1f} s")


def _where_kept() -> str:
    place = usable_places()[-1] if usable_places() else None
    if place is None or not place.writable:
        return "no cache folder can be written, so every process compiles"
    if place.lasting:
        return f"the code is kept in {place.folder}"
    return f"the cache folder cannot be written, and the code is kept in {place.folder} for the time being"


def _say_who_compiles(owner: str) -> None:
    announce(f"The kernels are being compiled by {owner} already: waiting for it")


def _warn_of_problems() -> None:
    """Warn, once a process and kind of kernels, of machine code that was not used, and of what is not trusted."""
    problems = take_problems()
    if not _warned_of_places:
        _warned_of_places.append(True)
        problems = [place.problem for place in all_places() if place.refused] + problems
    if problems:
        more = f" (and {len(problems) - 1} more like this)" if len(problems) > 1 else ""
        warnings.warn(
            f"cache of machine code: {problems[0]}{more}; the fit does without it, and 'rampfit cache' tells more",
            RampFitWarning,
            stacklevel=5,  # who called fit_ramps or warm_up
        )


@contextmanager
def _without_collector() -> Iterator[None]:
    """Let the garbage of the whole process wait: to look for it takes a tenth of the time of compiling (100 MB).

    Nor is it looked for at once afterwards, a third of a second: it waits for a full collection.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            if not gc.get_freeze_count():  # what somebody else has frozen stays so
                gc.freeze()
                gc.unfreeze()  # to the oldest generation
            gc.enable()


def is_interactive() -> bool:
    """Whether somebody waits: in IPython, a notebook, Python's own prompt, or in front of a terminal."""
    if sys.stderr is None:
        return False
    ipython = sys.modules.get("IPython")
    if ipython is not None and ipython.get_ipython() is not None:
        return True
    return hasattr(sys, "ps1") or sys.stderr.isatty()


def announce(text: str) -> None:
    """Say something about the compilation: a log line, and on standard error where a user waits and sees no log.

    Who has set a level for the package's log has chosen what is to be seen.
    """
    log.info("%s", text)
    if is_interactive() and not _log_is_set_up():
        sys.stderr.write(f"rampfit_numba: {text}\n")
        sys.stderr.flush()


@contextmanager
def moving_bar(expected: float, label: str, *, shown: bool) -> Iterator[None]:
    """Show a bar that moves with the time while the block runs.

    Parameters
    ----------
    expected : float
        Seconds that the block is likely to take. Where it takes longer, the bar goes on, slower and slower.
    label : str
        What happens.
    shown : bool
        Without, nothing is shown.
    """
    if not shown:
        yield
        return
    from tqdm.auto import tqdm

    done = threading.Event()
    form = "{desc}: {percentage:3.0f}%|{bar}| {elapsed}"
    with tqdm(total=100, desc=label, bar_format=form, file=sys.stderr) as bar:

        def move() -> None:
            start = time.monotonic()
            while not done.wait(_STEP):
                bar.n = 100 * _fraction((time.monotonic() - start) / expected)
                bar.refresh()

        mover = threading.Thread(target=move, name="rampfit-bar", daemon=True)
        try:
            mover.start()
        except RuntimeError:  # no more threads: the bar stands still
            done.set()
        try:
            yield
        finally:
            done.set()
            if mover.ident is not None:
                mover.join()
        bar.n = 100
        bar.refresh()


def _fraction(time_over_expected: float) -> float:
    """Return how full the bar is: in proportion at first, never full."""
    if time_over_expected <= 1:
        return _AT_EXPECTED * time_over_expected
    return _FULLEST - (_FULLEST - _AT_EXPECTED) * math.exp(-_AT_EXPECTED * (time_over_expected - 1))


def _log_is_set_up() -> bool:
    package = logging.getLogger(__name__.partition(".")[0])
    return package.level != logging.NOTSET or (package.isEnabledFor(logging.INFO) and package.hasHandlers())
