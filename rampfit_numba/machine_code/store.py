"""The machine code of one function in one file: written whole, checked before it is unpickled."""

from __future__ import annotations

import hashlib
import os
import pickle
import stat
import sys
import tempfile
from contextlib import contextmanager, suppress
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from numba.core.environment import Environment, _rebuild_env, lookup_environment
from numba.core.runtime import rtsys
from numba.core.serialize import dumps

from rampfit_numba.machine_code.own_code import can_be_kept, put_together, take_apart
from rampfit_numba.machine_code.places import Place, is_trusted, make_private, usable_places

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_MAGIC = b"rampfit_numba machine code 2\n"
_DIGEST = 32
#: Without O_NONBLOCK a pipe would wait for a writer, and without O_BINARY Windows would change line ends.
_READ = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
_problems: list[str] = []
_on_miss: list[Callable[[], None]] = []
_not_kept: list[str] = []


def take_problems() -> list[str]:
    """Return, once, what was wrong with files of this process's machine code: damaged, not trusted, not written."""
    taken = list(dict.fromkeys(_problems))
    _problems.clear()
    return taken


def everything_kept() -> bool:
    """Whether other processes find all that this one has compiled."""
    return not _not_kept


@contextmanager
def watch_misses(missing: Callable[[], None]) -> Iterator[None]:
    """Call `missing` when a function is found nowhere, and is about to be compiled."""
    _on_miss.append(missing)
    try:
        yield
    finally:
        _on_miss.remove(missing)


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:  # noqa: ANN401
        """Return what stands for a name; only compiled code that calls back into Python needs the names of a module."""
        if (module, name) == (_rebuild_env.__module__, _rebuild_env.__name__):
            return _environment
        return super().find_class(module, name)


def _environment(module: str, constants: list[Any], name: str) -> Environment:
    """Return what compiled code is given of a module: of Numba's own, the constants without importing it.

    The import of numba.np.arrayobj, whose functions are a part of many kernels, takes a tenth of a short run.
    """
    if module.partition(".")[0] != "numba" or module in sys.modules or lookup_environment(name) is not None:
        return _rebuild_env(module, constants, name)
    environment = Environment({"__name__": module})
    environment.consts[:] = constants
    environment.env_name = name
    Environment._memo[name] = environment  # noqa: SLF001  (as Numba does)
    return environment


class KeptCode:
    """What a compiled function of Numba asks for machine code, and hands new code to, one signature at a time.

    It takes the place of Numba's own cache, with its methods.

    Parameters
    ----------
    function : callable
        One of the kernels, before it is compiled. Their sources are part of the folder's name, so a name is enough.
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        if function.__closure__:
            raise TypeError(f"{function.__qualname__}: expected a function without a closure, which its name tells")
        self._module = function.__module__.removeprefix("rampfit_numba.kernels.")
        self._name = f"{function.__module__}.{function.__qualname__}"
        self._label = function.__name__

    @property
    def cache_path(self) -> str:
        """The folder of the first place."""
        return str(usable_places()[0].folder) if usable_places() else ""

    def load_overload(self, signature: Any, target_context: Any) -> Any:  # noqa: ANN401  (Numba's own)
        """Return the compiled function for a signature, or None."""
        # Numba's own cache refreshes the context, which imports all that could be compiled, SciPy's linear algebra too:
        # half of the time of a short run. What is compiled already needs the runtime alone, and who compiles refreshes.
        rtsys.initialize(target_context)
        key, path = self._key(signature)
        for place in usable_places():
            file = place.folder / path
            content = _read(file, key)
            if content is None:
                continue
            try:
                return put_together(target_context, _Unpickler(BytesIO(content)).load())
            except Exception as error:  # noqa: BLE001  (whatever unpickling raises: the function is compiled anew)
                _problems.append(f"{file}: it cannot be loaded ({type(error).__name__}: {error})")
        for missing in _on_miss:
            missing()
        return None

    def save_overload(self, signature: Any, compiled: Any) -> None:  # noqa: ANN401
        """Keep a function that was compiled for a signature, and what it calls that has code of its own."""
        if not can_be_kept(compiled):
            _not_kept.append(self._name)
            return
        key, path = self._key(signature)
        content = dumps(take_apart(compiled))
        if not any(_write(place, path, key, content) for place in usable_places() if place.writable):
            _not_kept.append(self._name)

    def is_kept(self, signature: Any) -> bool:  # noqa: ANN401
        """Whether there is a file for a signature; what is in it is seen when it is loaded."""
        _, path = self._key(signature)
        return any((place.folder / path).exists() for place in usable_places())

    def enable(self) -> None:
        """Do nothing: it always is."""

    def disable(self) -> None:
        """Do nothing."""

    def flush(self) -> None:
        """Do nothing: other processes use the files."""

    def _key(self, signature: Any) -> tuple[bytes, Path]:  # noqa: ANN401
        key = f"{self._name}{signature}".encode()
        return key, Path(self._module) / f"{self._label}-{hashlib.sha256(key).hexdigest()[:16]}.nbc"


def _seal(key: bytes, content: bytes) -> bytes:
    return hashlib.sha256(len(key).to_bytes(8, "little") + key + content).digest()


def _read(file: Path, key: bytes) -> bytes | None:
    """Return what was written for `key`; None where the file is missing, damaged, or may be of another user."""
    try:
        number = os.open(file, _READ)
    except OSError as error:
        if not isinstance(error, FileNotFoundError):
            _problems.append(f"{file}: it cannot be read ({error.strerror})")
        return None
    with open(number, "rb") as stream:  # noqa: PTH123  (the file that was opened is examined, not its name)
        information = os.fstat(number)
        if not stat.S_ISREG(information.st_mode) or not is_trusted(information):
            _problems.append(f"{file}: another user could have written it; it is not trusted")
            return None
        try:
            whole = stream.read()
        except OSError as error:
            _problems.append(f"{file}: it cannot be read ({error.strerror})")
            return None
    start = len(_MAGIC) + _DIGEST
    content = whole[start:]
    if not whole.startswith(_MAGIC) or whole[len(_MAGIC) : start] != _seal(key, content):
        _problems.append(f"{file}: it is damaged")
        return None
    return content


def _write(place: Place, path: Path, key: bytes, content: bytes) -> bool:
    """Write a file that is whole or absent; tell whether it is there."""
    file = place.folder / path
    new = ""
    try:
        make_private(file.parent)
        number, new = tempfile.mkstemp(dir=file.parent, prefix=".new-")  # for this user alone
        with open(number, "wb") as stream:  # noqa: PTH123
            stream.write(_MAGIC + _seal(key, content) + content)
        Path(new).replace(file)
    except OSError as error:
        _problems.append(f"{place.folder}: it cannot be written ({error.strerror})")
        _remove(new)
        return False
    except BaseException:  # Ctrl-C
        _remove(new)
        raise
    return True


def _remove(path: str) -> None:
    with suppress(OSError):
        Path(path).unlink()
