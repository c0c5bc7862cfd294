"""Looking at an exposure and its fit in the browser: the extra ``view``.

Files
-----
viewer.py        view() and what it returns
server.py        a server for this machine alone
subject.py       what is looked at
page.py          the page of one tab: its parts, and what each does to the others
image_panel.py   the image
ramp_panel.py    the ramp of the chosen pixel, its residuals and segments
series_panel.py  rates by integration
planes.py        the images that there are
scaling.py       from an image's values to what a screen shows
ramp.py          the ramps of one pixel
picks.py         which pixel comes next
facts.py         what stands above the pictures
style.py         how figures and widgets look
static/          the page's HTML, style and keys

Bokeh is imported when a viewer is opened.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import TYPE_CHECKING

from rampfit_numba.view.viewer import Viewer, check_bokeh, load, view

if TYPE_CHECKING:
    from rampfit_numba.exposure import Exposure
    from rampfit_numba.result import RampFit

__all__ = ["Viewer", "check_bokeh", "load", "view"]


class _CallableModule(ModuleType):
    """``rampfit_numba.view`` is the name of this package and of its function: whichever is found can be called."""

    def __call__(self, exposure: Exposure, fit: RampFit, *, browser: bool = False, port: int = 0) -> Viewer:
        """See :func:`view`."""
        return view(exposure, fit, browser=browser, port=port)


sys.modules[__name__].__class__ = _CallableModule
__doc__ = view.__doc__ or __doc__
