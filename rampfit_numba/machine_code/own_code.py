"""Functions with code of their own, which stands once beside that of all callers.

What Numba compiles contains a copy of each function that it calls, and copies of copies. Each of them goes through the
optimiser and the generator of code again, which is a third of the time of our longest function. Where a function is
called once for many pixels, a call to code that stands elsewhere costs nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from llvmlite.binding import parse_assembly
from numba.core.codegen import JITCodeLibrary
from numba.core.compiler import Compiler, CompileResult

if TYPE_CHECKING:
    from collections.abc import Iterator

#: What the engine has in this process, by the names in machine code: a name may stand there once.
_loaded: dict[str, CompileResult] = {}
#: The attribute of a library that tells what callers of its functions need beside them.
_NEEDED = "rampfit_needed"


class Parts(NamedTuple):
    """What goes into a file for a compiled function: all that it takes to run it.

    Attributes
    ----------
    reduced : tuple
        The function, as Numba takes it apart.
    called : dict
        The functions with code of their own that its code calls, likewise, by their names in machine code.
    own : bool
        Whether it has itself code of its own.
    """

    reduced: tuple[Any, ...]
    called: dict[str, tuple[Any, ...]]
    own: bool


class OwnCodeCompiler(Compiler):  # type: ignore[misc]  # Numba has no types
    """Compiles functions with code of their own: to be given to Numba as `pipeline_class`."""

    def define_pipelines(self) -> Any:  # noqa: ANN401  (Numba's own)
        """Choose the library, which is all that differs."""
        self.state.library = _OwnCode(self.state.targetctx.codegen(), self.state.func_id.func_qualname)
        self.state.library.enable_object_caching()
        return super().define_pipelines()


class _OwnCode(JITCodeLibrary):  # type: ignore[misc]
    _shared_module: Any

    def _optimize_final_module(self) -> None:
        # A copy is optimised again with its caller. The second time takes up to a tenth off a fit.
        super()._optimize_final_module()
        super()._optimize_final_module()

    def _get_module_for_linking(self) -> Any:  # noqa: ANN401
        """Return nothing to copy: callers find the code by its name."""
        self._ensure_finalized()
        if self._shared_module is None:
            nothing = self._codegen._create_empty_module(self.name)  # noqa: SLF001  (as Numba's libraries do)
            self._shared_module = parse_assembly(str(nothing))
        return self._shared_module


def can_be_kept(compiled: CompileResult) -> bool:
    """Whether other processes can use a function that was compiled now: not where it has addresses of this one.

    Nor where something that it calls has.
    """
    kept = not compiled.library.has_dynamic_globals
    kept &= all(getattr(library, _NEEDED, {}) is not None for library in _linked(compiled))
    if not kept:
        setattr(compiled.library, _NEEDED, None)
    return kept


def take_apart(compiled: CompileResult) -> Parts:
    """Take apart a function that was compiled now."""
    called: dict[str, tuple[Any, ...]] = {}
    for library in _linked(compiled):
        called |= getattr(library, _NEEDED, {})
    own = isinstance(compiled.library, _OwnCode)
    functions = compiled.library._final_module.functions  # noqa: SLF001
    if missing := {function.name for function in functions if function.is_declaration} & _loaded.keys() - called.keys():
        raise RuntimeError(f"{compiled.fndesc.qualname}: expected to have all that it calls; without {sorted(missing)}")
    parts = Parts(compiled._reduce(), called, own)  # noqa: SLF001  (as Numba's own cache does)
    _note(compiled, parts)
    return parts


def put_together(target_context: Any, parts: Parts) -> CompileResult:  # noqa: ANN401  (Numba's own)
    """Make a function, and what it calls, ready to run."""
    for name, reduced in parts.called.items():
        if name not in _loaded:
            _loaded[name] = CompileResult._rebuild(target_context, *reduced)  # noqa: SLF001  (as Numba)
    there = _loaded.get(_name(parts.reduced)) if parts.own else None  # as what another function calls
    compiled = there or CompileResult._rebuild(target_context, *parts.reduced)  # noqa: SLF001
    _note(compiled, parts)
    return compiled


def _note(compiled: CompileResult, parts: Parts) -> None:
    own = {}
    if parts.own:
        name = _name(parts.reduced)
        own[name], _loaded[name] = parts.reduced, compiled
    setattr(compiled.library, _NEEDED, parts.called | own)


def _linked(compiled: CompileResult) -> Iterator[Any]:
    yield from compiled.library._linking_libraries  # noqa: SLF001


def _name(reduced: tuple[Any, ...]) -> str:
    _, description, *_ = reduced
    return str(description.mangled_name)
