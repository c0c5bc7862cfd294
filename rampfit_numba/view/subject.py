"""What a viewer looks at: an exposure, its fit, and the references."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from rampfit_numba.view.picks import Picks

if TYPE_CHECKING:
    from rampfit_numba.exposure import Exposure
    from rampfit_numba.result import RampFit


@dataclass(frozen=True)
class Subject:
    """What a viewer looks at; the tabs share it.

    Attributes
    ----------
    exposure : Exposure
    fit : RampFit
        With its `inputs`.
    name : str
        What stands above the page: the file's name.
    """

    exposure: Exposure
    fit: RampFit
    name: str

    @cached_property
    def picks(self) -> Picks:
        """Pixels worth a look."""
        return Picks(self.fit)

    def python(self, x: int, y: int, integration: int) -> str:
        """Return the line of Python that draws the ramp that is shown; with the fit's samples and segments by name."""
        return f"rampfit_numba.plot.plot_ramp(fit, x={x}, y={y}, integrations={integration})"
