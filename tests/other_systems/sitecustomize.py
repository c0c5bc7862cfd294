"""Take away from rampfit_numba what macOS or Windows lack.

Python imports this at its start where PYTHONPATH has this folder; RAMPFIT_TEST_SYSTEM says which system, ``macos`` or
``windows``. Only the package's own modules see the poorer standard library: that of Python itself, other packages and
the tests go on as they are. So this tells what the package asks of a system, not whether others' packages run there.
"""

from __future__ import annotations

import builtins
import contextlib
import multiprocessing
import os
import pathlib
import sys
import types
from pathlib import Path

PACKAGE = "rampfit_numba"
SYSTEM = os.environ.get("RAMPFIT_TEST_SYSTEM", "")

#: Names of Linux that neither of the others has; macOS has preadv and pwritev since version 11 only.
_LINUX = {
    "os": {
        *("MFD_CLOEXEC", "O_DIRECT", "O_PATH", "O_TMPFILE", "copy_file_range", "eventfd", "getrandom", "memfd_create"),
        *("pidfd_open", "posix_fadvise", "posix_fallocate", "preadv", "pwritev", "sched_getaffinity"),
        *("sched_setaffinity", "setns", "splice", "unshare"),
    },
    "mmap": {"MADV_HUGEPAGE", "MAP_POPULATE", "MAP_STACK"},
}
#: Names of POSIX that Windows has not.
_POSIX = {
    "os": {
        *("O_CLOEXEC", "O_DIRECTORY", "O_NOFOLLOW", "O_NONBLOCK", "O_SYNC", "chown", "fchdir", "fchmod", "fchown"),
        *("fork", "forkpty", "fstatvfs", "getegid", "geteuid", "getgid", "getloadavg", "getpgid", "getpriority"),
        *("getuid", "initgroups", "killpg", "lchown", "mkfifo", "mknod", "nice", "pread", "pwrite", "register_at_fork"),
        *("sched_yield", "setegid", "seteuid", "setgid", "setpgid", "setpriority", "setsid", "setuid", "statvfs"),
        *("sync", "sysconf", "uname", "wait", "waitid"),
    },
    "signal": {
        *("SIGALRM", "SIGBUS", "SIGHUP", "SIGKILL", "SIGPIPE", "SIGSTOP", "SIGUSR1", "SIG_BLOCK", "SIG_SETMASK"),
        *("SIG_UNBLOCK", "alarm", "pthread_kill", "pthread_sigmask", "setitimer", "sigwait"),
    },
    "mmap": {"MADV_DONTNEED", "MAP_ANON", "MAP_ANONYMOUS", "MAP_PRIVATE", "MAP_SHARED", "PROT_READ", "PROT_WRITE"},
    "time": {"tzset"},
}
#: Modules that cannot be imported, or not used, there.
_POSIX_MODULES = {"fcntl", "grp", "multiprocessing.resource_tracker", "pty", "pwd", "resource", "termios", "tty"}
_LINUX_FOLDERS = ("/proc", "/dev/shm")  # noqa: S108  (not for temporary files)


class _Poorer(types.ModuleType):
    """A module without some of its names, and with others in the place of some."""

    def __init__(self, module, missing, instead):
        super().__init__(module.__name__, module.__doc__)
        self.__dict__.update(_module=module, _missing=missing, _instead=instead)

    def __getattr__(self, name):
        if name in self._missing:
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r} on {SYSTEM}")
        return self._instead[name] if name in self._instead else getattr(self._module, name)

    def __setattr__(self, name, value):
        setattr(self._module, name, value)

    def __delattr__(self, name):
        delattr(self._module, name)


def _open_no_folder(path, *arguments, **options):
    """Open a file; Windows opens no folders."""
    if not isinstance(path, int) and Path(path).is_dir():
        raise PermissionError(13, "Permission denied", str(path))
    return os.open(path, *arguments, **options)


def _refuse_in_use(path):
    """Raise what Windows does where a file that somebody has open or mapped is replaced or removed."""
    path = os.path.realpath(path)
    used = set()
    for entry in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # another thread has closed it meanwhile
            used.add(str(entry.readlink()))
    maps = Path("/proc/self/maps").read_text(encoding="utf-8", errors="replace")
    if path in used or f" {path}\n" in maps:
        raise PermissionError(13, "The process cannot access the file because it is being used", path)


def _called_by_package(depth=2):
    return sys._getframe(depth).f_globals.get("__name__", "").partition(".")[0] == PACKAGE


def _hide_folders():
    """Let the package find no file of Linux's own."""

    def hidden(path):
        return str(path).startswith(_LINUX_FOLDERS)

    def wrapped(original, missing):
        def method(self, *arguments, **options):
            if hidden(self) and _called_by_package():
                return missing(self)
            return original(self, *arguments, **options)

        return method

    def fail(path):
        raise FileNotFoundError(2, "No such file or directory", str(path))

    for name in ("open", "read_bytes", "read_text", "stat", "iterdir"):
        setattr(pathlib.Path, name, wrapped(getattr(pathlib.Path, name), fail))
    for name in ("exists", "is_dir", "is_file"):
        setattr(pathlib.Path, name, wrapped(getattr(pathlib.Path, name), lambda _: False))


def _keep_open_files():
    """Let the package replace and remove no file that is open."""
    replace, unlink = pathlib.Path.replace, pathlib.Path.unlink

    def replace_closed(self, target):
        if _called_by_package():
            _refuse_in_use(self)
            _refuse_in_use(target)
        return replace(self, target)

    def unlink_closed(self, **options):
        if _called_by_package():
            _refuse_in_use(self)
        return unlink(self, **options)

    pathlib.Path.replace, pathlib.Path.unlink = replace_closed, unlink_closed


def _install():
    windows = SYSTEM == "windows"
    missing = {name: set(names) for name, names in _LINUX.items()}
    for name, names in _POSIX.items() if windows else ():
        missing.setdefault(name, set()).update(names)
    instead = {"sys": {"platform": "win32" if windows else "darwin"}, "os": {}}
    if windows:
        instead["os"] = {"name": "nt", "open": _open_no_folder, "O_BINARY": 0}
    names = missing.keys() | instead.keys()
    poorer = {name: _Poorer(__import__(name), missing.get(name, frozenset()), instead.get(name, {})) for name in names}
    gone = _POSIX_MODULES if windows else set()
    original = builtins.__import__

    def import_poorer(name, globals=None, locals=None, fromlist=(), level=0):  # noqa: A002  (Python's names)
        if level == 0 and (globals or {}).get("__name__", "").partition(".")[0] == PACKAGE:
            if name in gone or any(f"{name}.{part}" in gone for part in fromlist or ()):
                raise ModuleNotFoundError(f"No module named {name!r} on {SYSTEM}", name=name)
            if name in poorer:
                return poorer[name]
        return original(name, globals, locals, fromlist, level)

    builtins.__import__ = import_poorer
    _hide_folders()
    if windows:
        _keep_open_files()
    multiprocessing.set_start_method("spawn")


if SYSTEM in {"macos", "windows"}:
    _install()
elif SYSTEM:
    raise SystemExit(f"RAMPFIT_TEST_SYSTEM={SYSTEM}: expected macos or windows")
