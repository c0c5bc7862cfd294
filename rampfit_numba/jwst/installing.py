"""The swap of the ramp_fit step in the pipeline itself, for scripts that call the pipeline's own, and back.

A step can be called in three ways, and each is reached. By the names that the pipeline gives its class: these are given
ours. Through the steps of a pipeline: the same. And by the class itself, which a script may have imported under any
name before: what is made of it becomes one of ours.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, Self

# jwst.step: a name of the step stands there, too; loaded later, it would get ours, and keep it.
import jwst.step
from jwst import pipeline, ramp_fitting
from jwst.ramp_fitting import ramp_fit_step

from rampfit_numba.jwst.ramp_fit_step import RampFitStep

if TYPE_CHECKING:
    from types import TracebackType

_ABSENT = object()
#: The pipeline's own class, whatever its name means by now.
_THEIRS: Any = RampFitStep.__mro__[1]


def _init_as_ours(self: Any, *arguments: Any, **others: Any) -> None:  # noqa: ANN401
    """Make a step: one of this package's, where the pipeline's class is called; a subclass stays what it is."""
    if type(self) is _THEIRS:
        self.__class__ = RampFitStep
    super(_THEIRS, self).__init__(*arguments, **others)


def _class_method_as_ours(name: str) -> Any:  # noqa: ANN401
    """Return a method of the pipeline's class that hands on to ours; subclasses have what they would have without."""

    def method(cls: Any, *arguments: Any, **others: Any) -> Any:  # noqa: ANN401
        return getattr(RampFitStep if cls is _THEIRS else super(_THEIRS, cls), name)(*arguments, **others)

    return classmethod(method)


_CLASS_METHODS = {name: _class_method_as_ours(name) for name in ("call", "load_spec_file")}


class _Swap(NamedTuple):
    """Something replaced: an attribute of a module or class, or an entry of a dictionary."""

    owner: Any
    name: str
    ours: Any
    before: Any

    def undo(self) -> None:
        """Put back what was there, unless somebody else has replaced ours meanwhile."""
        if _get(self.owner, self.name) is not self.ours:
            return
        if isinstance(self.owner, dict):
            self.owner[self.name] = self.before
        elif self.before is _ABSENT:
            delattr(self.owner, self.name)
        else:
            setattr(self.owner, self.name, self.before)


def _get(owner: Any, name: str) -> Any:  # noqa: ANN401
    """Return what stands there itself, not what a class inherits."""
    return (owner if isinstance(owner, dict) else vars(owner)).get(name, _ABSENT)


def _replace(owner: Any, name: str, ours: Any) -> _Swap | None:  # noqa: ANN401
    before = _get(owner, name)
    if before is ours:
        return None
    if isinstance(owner, dict):
        owner[name] = ours
    else:
        setattr(owner, name, ours)
    return _Swap(owner, name, ours, before)


_swaps: list[_Swap] = []


class _Installed:
    """What :func:`install` returns: leaving its ``with`` block undoes what that call did."""

    def __init__(self, swaps: list[_Swap]) -> None:
        self._made = swaps

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for swap in reversed(self._made):
            if any(swap is each for each in _swaps):  # else uninstall() was there before
                swap.undo()
        _swaps[:] = [each for each in _swaps if not any(each is swap for swap in self._made)]


def install() -> _Installed:
    """Let everything that calls the pipeline's ramp_fit step use this package's, until :func:`uninstall`.

    That is: ``RampFitStep`` of ``jwst.ramp_fitting``, ``jwst.ramp_fitting.ramp_fit_step`` and ``jwst.step``; the
    ramp_fit step of ``jwst.pipeline.Detector1Pipeline``, by class or by a parameter file that names either; and the
    class itself wherever it was imported to before. Not reached are steps that exist already, subclasses of the
    pipeline's class, and other processes, such as those of ``strun``.

    Returns
    -------
    context manager
        ``with install(): ...`` undoes it at the end of the block, unless it had been installed before.

    Examples
    --------
    >>> from jwst.ramp_fitting import ramp_fit_step
    >>> with install():
    ...     print(ramp_fit_step.RampFitStep.__module__)
    rampfit_numba.jwst
    """
    made = []
    for owner, name, ours in (
        (ramp_fitting, "RampFitStep", RampFitStep),
        (ramp_fit_step, "RampFitStep", RampFitStep),
        (jwst.step, "RampFitStep", RampFitStep),
        (pipeline.Detector1Pipeline.step_defs, "ramp_fit", RampFitStep),
        (_THEIRS, "__init__", _init_as_ours),
        *((_THEIRS, name, method) for name, method in _CLASS_METHODS.items()),
    ):
        swap = _replace(owner, name, ours)
        if swap is not None:
            made.append(swap)
    _swaps.extend(made)
    return _Installed(made)


def uninstall() -> None:
    """Give the pipeline its own ramp_fit step back; what somebody else has put in our place meanwhile stays.

    Nothing happens where nothing was installed. A name that was imported from the pipeline while this package's step
    was installed keeps meaning that step.

    Examples
    --------
    >>> from rampfit_numba.jwst import install, uninstall
    >>> session = install()
    >>> uninstall()
    >>> from jwst.ramp_fitting import RampFitStep
    >>> RampFitStep.__module__
    'jwst.ramp_fitting.ramp_fit_step'
    """
    while _swaps:
        _swaps.pop().undo()
