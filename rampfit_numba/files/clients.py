"""Dask clients: told from other executors, and looked at before they are used.

What would fail for all files is found before the first one: a cluster that does not answer, has no workers, or workers
of other versions, which could give other bits or products that say other things; and files that a worker does not see.
"""

from __future__ import annotations

import os
import sys
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from platform import python_version
from typing import TYPE_CHECKING, Any

from rampfit_numba.messages import RampFileError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

#: What must be the same here and there, beside Python.
_COMPARED = ("rampfit_numba", "numpy", "numba", "astropy")
#: Seconds that are waited for the first worker.
_PATIENCE = 30.0
#: Workers that a message names.
_NAMED = 3


def client_of(executor: object) -> Any:  # noqa: ANN401  (a distributed.Client, or None)
    """Return the Dask client that an executor is, or was made by; None: it is none of these."""
    # It can only come from a program that has imported it: there is no need to import it here.
    distributed = sys.modules.get("distributed")
    if distributed is None:
        return None
    from distributed.cfexecutor import ClientExecutor

    if isinstance(executor, ClientExecutor):
        return executor._client  # noqa: SLF001  (there is no other way to it)
    return executor if isinstance(executor, distributed.Client) else None


def check_cluster(client: Any) -> None:  # noqa: ANN401
    """Refuse a cluster that does not answer, has no workers, or workers of other versions.

    Raises
    ------
    RuntimeError
        The message says which worker has what.
    """
    if client.asynchronous:
        raise RuntimeError("executor: expected a Dask client that is not asynchronous")
    if client.status != "running":
        raise RuntimeError(f"executor: expected a Dask client that is connected; got one that is {client.status}")
    try:
        client.wait_for_workers(1, timeout=_PATIENCE)
    except TimeoutError:
        address = client.scheduler.address
        raise RuntimeError(
            f"executor: no worker has joined the Dask scheduler {address} within {_PATIENCE:.0f} s; where jobs wait in "
            "a queue, call the client's wait_for_workers(1) before"
        ) from None
    found = {name: _answers(client, version, name) for name in _COMPARED}
    found["python"] = _answers(client, python_version)
    here, differing = versions_here(), {}
    for worker in found["python"]:
        if any(worker not in versions for versions in found.values()):  # it has joined meanwhile
            continue
        there = {name: _version_text(versions[worker]) for name, versions in found.items()}
        if differences := differences_of(here, there):
            differing[worker] = differences
    if differing:
        raise RuntimeError(f"executor: Dask workers have other versions than this process: {_listed(differing)}")


def check_workers(client: Any, check: Callable[[], None]) -> None:  # noqa: ANN401
    """Refuse workers where a check fails.

    Raises
    ------
    RuntimeError
        The message says what it raised on which worker.
    """
    found = _answers(client, check)
    failed = {worker: str(error) for worker, error in found.items() if error is not None}
    if failed:
        raise RuntimeError(f"executor: Dask workers lack what this takes: {_listed(failed)}")


def check_files(client: Any, files: Sequence[Path], named: Sequence[Path], mark: Path | None = None) -> None:  # noqa: ANN401
    """Refuse workers that do not see the files.

    Parameters
    ----------
    client : distributed.Client
    files : sequence of Path
        Absolute. One of each folder is looked for.
    named : sequence of Path
        What the fits are given beside the exposures, references for instance; absolute. Each is looked for.
    mark : Path, optional
        A file in the output folder that was made for this run: a worker that sees it sees this very folder, not one of
        the same name. None: workers need not write.

    Raises
    ------
    RampFileError
        A worker does not see a folder or a file, or sees another one of that name, or cannot write.
    """
    # What cannot be looked at here is told when its turn comes.
    looked_at = [*named, *{path.parent: path for path in files if _is_there(path)}.values()]
    sizes = {path: path.stat().st_size for path in looked_at if _is_there(path)}
    complaints = _answers(client, _what_is_missing, sizes, mark)
    found = {worker: str(complaint) for worker, complaint in complaints.items() if complaint}
    if found:
        raise RampFileError(
            "executor: Dask workers must see all files and folders under the same names, on a file system that they "
            f"share: {_listed(found)}"
        )


def _is_there(path: Path) -> bool:
    return os.path.exists(path)  # noqa: PTH110  (of a folder that may not be searched, too)


def _answers(client: Any, function: Callable[..., object], *arguments: object) -> dict[str, object]:  # noqa: ANN401
    """Return what a function returns, or raises, on each worker; those that are lost meanwhile have no answer."""
    from distributed.comm import CommClosedError

    found: dict[str, object] = client.run(function, *arguments, on_error="return")
    # A worker that died some moments ago cannot be reached, an OSError as its own ones. A connection may also break
    # once while its worker lives on: who is still there is asked again.
    if doubtful := {worker for worker, answer in found.items() if isinstance(answer, OSError)}:
        if asked := sorted(doubtful & set(client.nthreads())):
            found |= client.run(function, *arguments, workers=asked, on_error="return")
        there = client.nthreads()
        lost = {worker for worker in doubtful if worker not in there or isinstance(found[worker], CommClosedError)}
        found = {worker: answer for worker, answer in found.items() if worker not in lost}
    return found


def _what_is_missing(sizes: dict[Path, int], mark: Path | None) -> str:
    """Return what a worker does not see of files, or nothing."""
    for path, size in sizes.items():
        if not path.exists():
            return f"no {path}"
        if path.stat().st_size != size:
            return f"{path} is another file there"
    if mark is None:
        return ""
    folder = mark.parent
    if not folder.is_dir():
        return f"no {folder}"
    if not mark.exists():
        return f"{folder} is another folder there"
    return "" if os.access(folder, os.W_OK) else f"{folder} cannot be written"


@cache
def versions_here() -> dict[str, str]:
    """Return the versions that this process has."""
    found = {"python": python_version()}
    for name in _COMPARED:
        try:
            found[name] = version(name)
        except PackageNotFoundError as error:
            found[name] = _version_text(error)
    return found


def _version_text(found: object) -> str:
    return found if isinstance(found, str) else "none"


def differences_of(here: dict[str, str], there: dict[str, str]) -> str:
    """Return which versions differ, and how, or nothing."""
    return ", ".join(f"{name} {there[name]} (here {here[name]})" for name in here if there[name] != here[name])


def _listed(found: dict[str, str]) -> str:
    """Return what was found, worker by worker; those that have the same in common are told together."""
    by_text: dict[str, list[str]] = {}
    for worker, text in found.items():
        by_text.setdefault(text, []).append(worker)
    return "; ".join(f"{_some(workers)}: {text}" for text, workers in by_text.items())


def _some(workers: Sequence[str]) -> str:
    more = f" and {len(workers) - _NAMED} more" if len(workers) > _NAMED else ""
    return f"{', '.join(workers[:_NAMED])}{more}"
