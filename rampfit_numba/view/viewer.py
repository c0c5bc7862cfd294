"""``rampfit_numba.view``: look at an exposure and its fit in the browser."""

from __future__ import annotations

import webbrowser
from dataclasses import replace
from html import escape
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Self

from rampfit_numba.exposure import Exposure
from rampfit_numba.messages import how_to_install
from rampfit_numba.result import RampFit
from rampfit_numba.view.server import ViewServer
from rampfit_numba.view.subject import Subject

if TYPE_CHECKING:
    from types import TracebackType

    from bokeh.document import Document


class Viewer:
    """An open viewer; made by :func:`view`.

    In a notebook it shows itself. It ends with :meth:`close`, with the ``with`` block that it is used in, or, where a
    browser was opened for it, when its last tab is closed.

    Attributes
    ----------
    url : str
        Where a browser on this machine finds it. It has a secret part: other users of the machine do not.
    """

    def __init__(self, subject: Subject, *, port: int, stay: bool) -> None:
        self._subject = subject
        self._server = ViewServer(self._build, port=port, stay=stay)
        self.url = self._server.url

    def _build(self, document: Document) -> None:
        from rampfit_numba.view.page import Page

        Page(self._subject, document)

    @property
    def running(self) -> bool:
        """Whether it still serves."""
        return self._server.running

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until it ends, at most `timeout` seconds; return whether it has ended."""
        return self._server.wait(timeout)

    def close(self) -> None:
        """End it; tabs that are open say so."""
        self._server.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<Viewer of {self._subject.name}: {self.url}>" if self.running else "<Viewer, ended>"

    def _repr_html_(self) -> str:
        if not self.running:
            return escape(repr(self))
        url, name = escape(self.url), escape(self._subject.name)
        return (
            f'<iframe src="{url}" title="Viewer of {name}" width="100%" height="900" style="border: 0"></iframe>'
            f'<p><a href="{url}" target="_blank" rel="noopener">in a tab of its own</a></p>'
        )


def check_bokeh() -> None:
    """Refuse to go on without Bokeh.

    Raises
    ------
    ImportError
        The extra ``view`` is not installed.
    """
    if find_spec("bokeh") is None:
        raise ImportError(f"the viewer needs Bokeh, which is not installed: {how_to_install('view')}")


def load() -> None:
    """Import what a page needs, ahead of the first one: that takes a second or more.

    Raises
    ------
    ImportError
        The extra ``view`` is not installed.
    """
    check_bokeh()
    for name in ("rampfit_numba.view.page", "bokeh.server.server", "astropy.visualization", "astropy.table"):
        import_module(name)


def view(exposure: Exposure, fit: RampFit, *, browser: bool = False, port: int = 0) -> Viewer:
    """Look at an exposure and its fit: images, the ramp of any pixel with its segments, light curves.

    Needs the extra ``view``. The page is served to this machine alone, and needs no network.

    Parameters
    ----------
    exposure : Exposure
        Pixels of an exposure in a file are read from there when they are looked at; one in electrons is first divided
        by the gain of the fit, in memory.
    fit : RampFit
        Its fit.
    browser : bool
        Open a browser; the viewer then ends when the last tab is closed.
    port : int
        Where to serve; 0: at a free port.

    Returns
    -------
    Viewer
        Shows itself in a notebook; elsewhere, open its `url`.

    Raises
    ------
    TypeError, ValueError
        The arguments are no exposure and no fit of it.
    ImportError
        The extra ``view`` is not installed.
    OSError
        The port is taken.

    Examples
    --------
    >>> from rampfit_numba import fit_ramps, read_exposure
    >>> exposure = read_exposure("demo_jump.fits")
    >>> fit = fit_ramps(exposure, readnoise=14.0, gain=1.8)
    >>> with view(exposure, fit) as viewer:
    ...     viewer.url.startswith("http://127.0.0.1:")
    True
    """
    check_bokeh()
    if not isinstance(exposure, Exposure):
        raise TypeError(f"exposure: expected an Exposure; got {type(exposure).__name__}")
    if not isinstance(fit, RampFit):
        raise TypeError(f"fit: expected a RampFit; got {type(fit).__name__}")
    if fit.inputs is None:
        raise ValueError("fit: expected one that knows what was fitted; its inputs are None (fit the exposure again)")
    fitted = fit.inputs.exposure
    if fitted.shape != exposure.shape:
        raise ValueError(f"fit: expected one of this exposure, of shape {exposure.shape}; got one of {fitted.shape}")
    exposure = exposure.in_dn(fit.inputs.gain)  # as the fit is
    if fitted is not exposure:
        fit = replace(fit, inputs=replace(fit.inputs, exposure=exposure))
    name = exposure.header.filename if exposure.header is not None else ""
    viewer = Viewer(Subject(exposure, fit, name or "Exposure"), port=port, stay=not browser)
    if browser:
        webbrowser.open(viewer.url)
    return viewer
