"""Functions that are compiled apart: in other processes, while this one compiles what calls them.

Numba compiles a function when the types of its caller are inferred, since it must know what the function returns, and
one at a time. Of many functions ours say what they return: a caller goes on, a helper (a process of its own) compiles
the function and keeps it in the cache, and it is loaded where the caller's code needs it. What no helper has begun by
then is compiled here, as all is where there are no helpers.
"""

from __future__ import annotations

import importlib
import os
import pickle
import subprocess
import sys
import threading
from collections import deque
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, NamedTuple

from numba.core import sigutils
from numba.core.serialize import dumps
from numba.core.typing import make_concrete_template, signature

from rampfit_numba.machine_code.places import usable_places, version_key

if TYPE_CHECKING:
    from collections.abc import Iterator

#: More helpers have nothing to do: the longest function takes as long as all others, shared by so many.
_MOST_HELPERS = 3
#: What a helper runs. It is told where this process finds its modules.
_PROGRAM = (
    f"import sys, pickle; sys.path[:] = pickle.load(sys.stdin.buffer); from {__name__} import help_out; help_out()"
)
_READY, _DONE, _FAILED = b"r", b"d", b"f"
_teams: list[_Team] = []


class _Task(NamedTuple):
    """A function to compile for some types of its arguments."""

    compiled: Any  # Numba's Dispatcher
    arguments: tuple[Any, ...]


def compile_apart(compiled: Any, returns: Any) -> None:  # noqa: ANN401  (a function and a type of Numba's)
    """Let helpers compile a function, where there are any.

    Parameters
    ----------
    compiled : Dispatcher
        What Numba has made of the function. It is kept in the cache, by which helpers hand it over.
    returns : numba.types.Type
        What the function returns, whatever its arguments.
    """

    def get_call_template(given: Any, keywords: Any) -> Any:  # noqa: ANN401  (Numba's own)
        python_signature, arguments = compiled._compiler.fold_argument_types(given, keywords)  # noqa: SLF001
        team = _at_work()
        if team is None or arguments in compiled.overloads or compiled._cache.is_kept(arguments):  # noqa: SLF001
            return usual_template(given, keywords)
        team.ask(_Task(compiled, arguments))
        name = compiled.py_func.__name__
        template = make_concrete_template(f"CallTemplate({name})", name, [signature(returns, *arguments)])
        return template, python_signature, arguments, {}

    def get_overload(wanted: Any) -> Any:  # noqa: ANN401
        arguments = tuple(sigutils.normalize_signature(wanted)[0])
        if arguments not in compiled.overloads:
            if (team := _at_work()) is not None:
                team.settle(_Task(compiled, arguments))
            compiled.compile(arguments)
            found = compiled.overloads[arguments].signature.return_type
            if found != returns:
                raise TypeError(f"{compiled.py_func.__qualname__}: expected to return {returns}; it returns {found}")
        return usual_overload(wanted)

    usual_template, usual_overload = compiled.get_call_template, compiled.get_overload
    compiled.get_call_template, compiled.get_overload = get_call_template, get_overload


@contextmanager
def with_helpers() -> Iterator[None]:
    """Have helpers while the block compiles: a process for each further core, a few at most."""
    number = min(_cores() - 1, _MOST_HELPERS)
    kept = any(place.writable for place in usable_places())
    if number < 1 or not kept or not sys.executable or getattr(sys, "frozen", False):
        yield
        return
    team = _Team(number)
    _teams.append(team)
    try:
        yield
    finally:
        _teams.remove(team)
        team.close()


def _at_work() -> _Team | None:
    return next(iter(_teams[-1:]), None)  # another thread may end them


class _Team:
    """Helpers, and what they are to compile."""

    def __init__(self, number: int) -> None:
        self._waiting: deque[_Task] = deque()
        self._begun: set[_Task] = set()
        self._ended: set[_Task] = set()
        self._closed = False
        self._news = threading.Condition()
        self._processes: list[subprocess.Popen[bytes]] = []
        with suppress(OSError, RuntimeError):  # no more processes, or threads: there are fewer helpers, or none
            for _ in range(number):
                process = _start()
                self._processes.append(process)
                threading.Thread(target=self._lead, args=(process,), name="rampfit-compile", daemon=True).start()

    def ask(self, task: _Task) -> None:
        """Have a function compiled by whoever comes to it first."""
        with self._news:
            if task not in self._waiting and task not in self._begun:
                self._waiting.append(task)
                self._news.notify_all()

    def settle(self, task: _Task) -> None:
        """Return when no helper is, or will be, at work at a function; compile others meanwhile."""
        while True:
            with self._news:
                if task in self._waiting:
                    self._waiting.remove(task)  # ours, now
                    return
                if task not in self._begun or task in self._ended:
                    return
                if not self._waiting:
                    self._news.wait()
                    continue
                other = self._waiting.popleft()
            other.compiled.compile(other.arguments)

    def close(self) -> None:
        """End the helpers; what they were at work at is left, whole or absent."""
        with self._news:
            self._closed = True
            self._waiting.clear()
            self._news.notify_all()
        for process in self._processes:
            process.kill()
            process.wait()
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    with suppress(OSError):
                        pipe.close()

    def _lead(self, process: subprocess.Popen[bytes]) -> None:
        """Hand tasks to a helper, one after the other, until there are no more or it fails."""
        assert process.stdin is not None  # noqa: S101  (for mypy)
        assert process.stdout is not None  # noqa: S101
        with suppress(Exception):  # whatever it is, who needs the function compiles it
            process.stdin.write(pickle.dumps(sys.path))
            process.stdin.write(pickle.dumps(version_key()))
            process.stdin.flush()
            if process.stdout.read(1) != _READY:
                return
            while (task := self._next()) is not None:
                try:
                    module, name = task.compiled.py_func.__module__, task.compiled.py_func.__qualname__
                    process.stdin.write(pickle.dumps((module, name, dumps(task.arguments))))
                    process.stdin.flush()
                    if process.stdout.read(1) not in (_DONE, _FAILED):
                        return
                finally:
                    with self._news:
                        self._ended.add(task)
                        self._news.notify_all()

    def _next(self) -> _Task | None:
        with self._news:
            while not self._waiting and not self._closed:
                self._news.wait()
            if self._closed:
                return None
            task = self._waiting.popleft()
            self._begun.add(task)
            return task


def _start() -> subprocess.Popen[bytes]:
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    return subprocess.Popen([sys.executable, "-c", _PROGRAM], **pipes)  # type: ignore[call-overload,no-any-return]  # noqa: S603  (our own)


def help_out() -> None:
    """Compile what another process asks for, until that ends: the whole life of a helper."""
    import gc
    import signal

    from numba.core.registry import cpu_target

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for who asks
    gc.disable()
    answers = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)
    tasks = sys.stdin.buffer
    if pickle.load(tasks) != version_key():  # noqa: S301  (from the process that has started this one)
        return  # that process was set up in a way that its environment does not tell
    cpu_target.typing_context.refresh()  # all that can be compiled, while nobody has asked for anything
    cpu_target.target_context.refresh()
    answers.write(_READY)
    with suppress(EOFError, OSError):
        while True:
            module, name, arguments = pickle.load(tasks)  # noqa: S301
            try:
                getattr(importlib.import_module(module), name).compile(pickle.loads(arguments))  # noqa: S301
            except Exception:  # noqa: BLE001  (who asks compiles it, and sees the error)
                answers.write(_FAILED)
            else:
                answers.write(_DONE)


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
