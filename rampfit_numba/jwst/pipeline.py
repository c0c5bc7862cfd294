"""The Detector1 pipeline with this package's ramp_fit step, and the explicit swap of the step in the pipeline's own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Self

from jwst import pipeline

from rampfit_numba.jwst.step import LOGGER, RampFitStep

if TYPE_CHECKING:
    from types import TracebackType

_STEP = "ramp_fit"


class Detector1Pipeline(pipeline.Detector1Pipeline):  # type: ignore[misc]  # jwst ships no types
    """
    Apply all calibration steps to raw JWST ramps to produce a 2-D slope product.

    It is jwst.pipeline.Detector1Pipeline with the ramp_fit step of rampfit_numba.
    """

    step_defs: ClassVar[dict[str, Any]] = {**pipeline.Detector1Pipeline.step_defs, _STEP: RampFitStep}

    @staticmethod
    def get_stpipe_loggers() -> tuple[str, ...]:
        """Return the names of the loggers that the pipeline shows while it runs, the engine's included."""
        return (*pipeline.Detector1Pipeline.get_stpipe_loggers(), LOGGER)

    def save_model(self, model: Any, suffix: Any = None, *args: Any, **others: Any) -> Any:  # noqa: ANN401
        """
        Save a product under the pipeline's naming scheme.

        Parameters and result are those of jwst.pipeline.Detector1Pipeline. The per-integration product goes by the
        ramp_fit step's int_name where that is given.
        """
        name = self.ramp_fit.int_name
        if name and suffix == "rateints" and (self.save_results or self.output_file):
            others["output_file"] = name
        return super().save_model(model, suffix, *args, **others)


class _Installed:
    """What :func:`install` returns: leaving its ``with`` block undoes what that call did."""

    def __init__(self, *, swapped: bool) -> None:
        self._swapped = swapped

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._swapped:
            uninstall()


_replaced: list[Any] = []


def install() -> _Installed:
    """Let ``jwst.pipeline.Detector1Pipeline`` use this package's ramp_fit step, until :func:`uninstall`.

    Returns
    -------
    context manager
        ``with install(): ...`` undoes it at the end of the block, unless it had been installed before.

    Examples
    --------
    >>> from jwst.pipeline import Detector1Pipeline  # doctest: +SKIP
    >>> with install():  # doctest: +SKIP
    ...     Detector1Pipeline.call("jw00001001001_01101_00001_mirimage_uncal.fits")
    """
    swapped = not _replaced
    if swapped:
        steps = pipeline.Detector1Pipeline.step_defs
        _replaced.append(steps[_STEP])
        steps[_STEP] = RampFitStep
    return _Installed(swapped=swapped)


def uninstall() -> None:
    """Give ``jwst.pipeline.Detector1Pipeline`` its own ramp_fit step back; nothing happens where it has it."""
    while _replaced:
        pipeline.Detector1Pipeline.step_defs[_STEP] = _replaced.pop()
