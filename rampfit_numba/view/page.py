"""The page of one tab: its parts, and what each does to the others."""

from __future__ import annotations

import logging
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np
from bokeh.models import Button, CustomJS, Div, PreText, Spinner, TextInput
from jinja2 import Template

from rampfit_numba import dq
from rampfit_numba.messages import RampFileError, printable
from rampfit_numba.view.facts import describe
from rampfit_numba.view.image_panel import ImagePanel
from rampfit_numba.view.ramp import Ramps
from rampfit_numba.view.ramp_panel import RampPanel, with_error
from rampfit_numba.view.series_panel import SeriesPanel
from rampfit_numba.view.style import static_text, when_changed, widget

if TYPE_CHECKING:
    from collections.abc import Callable

    from bokeh.document import Document

    from rampfit_numba.view.subject import Subject

log = logging.getLogger(__name__)

#: Pixels that an arrow with the shift key moves by.
_FAR = 10


class Page:
    """Fills the document of a tab.

    Parameters
    ----------
    subject : Subject
        What is looked at.
    document : bokeh.document.Document
    """

    def __init__(self, subject: Subject, document: Document) -> None:
        self._subject = subject
        self._exposure, self._fit = subject.exposure, subject.fit
        self._picks = subject.picks
        self._pixel = self._picks.start
        self._message = widget(Div, name="message", disable_math=True, visible=False)
        self._image = ImagePanel(
            subject.exposure,
            subject.fit,
            on_pick=self._go,
            on_box=self._draw_box,
            on_error=self._fail,
        )
        self._ramp = RampPanel()
        self._make_controls()
        self._make_series()
        self._make_python()
        self._command = TextInput(name="command", visible=False)
        when_changed(self._command, "value", lambda: self._obey(self._command.value))
        self._answered = TextInput(name="answered", visible=False)
        self._look_at_jump(*self._pixel)
        self._fill(document)

    # ---------------------------------------------------------------------------------------------------------- parts
    def _make_controls(self) -> None:
        nints, _, nrows, ncols = self._exposure.shape
        self._x = widget(Spinner, title="x (column)", name="x", low=0, high=ncols - 1, step=1, value=self._pixel[0])
        self._y = widget(Spinner, title="y (row)", name="y", low=0, high=nrows - 1, step=1, value=self._pixel[1])
        self._integration = widget(
            Spinner,
            title="Integration",
            name="integration",
            low=0,
            high=nints - 1,
            step=1,
            value=0,
            visible=nints > 1,
        )
        for control in (self._x, self._y):
            when_changed(control, "value", self._typed)
        when_changed(self._integration, "value", self._integration_typed)
        self._buttons = []
        for name, label, words, action in (
            ("left", "←", "one pixel to the left (arrow left)", lambda: self._move(-1, 0)),
            ("right", "→", "one pixel to the right (arrow right)", lambda: self._move(1, 0)),
            ("down", "↓", "one pixel down (arrow down)", lambda: self._move(0, -1)),
            ("up", "↑", "one pixel up (arrow up)", lambda: self._move(0, 1)),
            ("jump", "Next jump", "next pixel with a jump (J)", lambda: self._jump(1)),
            ("worst", "Worst χ²", "pixel with the worst chi-square, then the next worst (C)", lambda: self._worst(1)),
        ):
            button = widget(Button, label=label, name=name)
            button.html_attributes = {"title": words, "aria-label": words}
            button.on_click(action)
            self._buttons.append(button)
        self._buttons[-1].disabled = not self._picks.has_chisq

    def _make_series(self) -> None:
        self._series = SeriesPanel("series", "rate (DN/s)", on_pick=self._pick_integration)
        self._curve = SeriesPanel("curve", "mean rate (DN/s)")
        self._curve_note = widget(Div, name="curve_note", disable_math=True)
        self._several = self._exposure.nints > 1
        if self._several:
            nrows, ncols = self._exposure.nrows, self._exposure.ncols
            x, y = self._pixel
            self._draw_box(max(x - 1, 0), min(x + 1, ncols - 1), max(y - 1, 0), min(y + 1, nrows - 1))

    def _make_python(self) -> None:
        self._python = widget(PreText, name="python", disable_math=True)
        self._copy = widget(Button, label="Copy", name="copy")
        self._copy.js_on_click(
            CustomJS(args={"text": self._python, "button": self._copy}, code="window.rampfit_copy(text.text, button)")
        )
        self._saves = []
        for name, label, plots in (
            ("save_image", "Save image (PNG)", [self._image.figure]),
            ("save_ramp", "Save ramp (PNG)", [self._ramp.ramp, self._ramp.residuals]),
        ):
            button = widget(Button, label=label, name=name)
            self._saves.append(button)
            button.js_on_click(
                CustomJS(
                    args={"plots": plots, "text": self._python, "name": self._subject.name},
                    code="window.rampfit_save(plots, name)",
                )
            )

    def _fill(self, document: Document) -> None:
        subject = self._subject
        document.title = f"{subject.name}: ramps"
        roots: list[Any] = [
            self._message,
            *self._image.controls.values(),
            self._image.figure,
            self._image.legend,
            self._x,
            self._y,
            self._integration,
            *self._buttons,
            self._ramp.ramp,
            self._ramp.residuals,
            self._ramp.legend,
            self._ramp.table,
            self._ramp.summary,
            self._series.figure,
            self._curve.figure,
            self._curve_note,
            self._python,
            self._copy,
            *self._saves,
            self._command,
            self._answered,
        ]
        with document.models.freeze():  # or all models would be looked through for each root
            for root in roots:
                document.add_root(root)
        if hasattr(document, "config"):  # newer than Bokeh 3.7
            document.config.notify_connection_status = False  # page.js says it
        document.template = Template(static_text("page.html"), autoescape=True)
        document.template_variables.update(
            style=static_text("style.css"),
            script=static_text("page.js"),
            heading=printable(subject.name),
            facts=describe(subject.exposure, subject.fit),
            several=self._several,
            has_chisq=self._picks.has_chisq,
        )

    # -------------------------------------------------------------------------------------------------------- actions
    def _go(self, x: int, y: int) -> None:
        """Look at a pixel."""
        self._pixel = x, y
        self._moving = True
        self._x.value, self._y.value = x, y
        self._moving = False
        self._image.mark(x, y)
        self._show_ramp()

    _moving, _rank = False, 0

    def _typed(self) -> None:
        if not self._moving and self._x.value is not None and self._y.value is not None:
            nrows, ncols = self._exposure.nrows, self._exposure.ncols
            self._go(int(np.clip(self._x.value, 0, ncols - 1)), int(np.clip(self._y.value, 0, nrows - 1)))

    def _integration_typed(self) -> None:
        if not self._moving:
            self._show_ramp()

    def _move(self, right: int, up: int) -> None:
        self._go(*self._picks.neighbour(*self._pixel, right, up))

    def _jump(self, by: int) -> None:
        found = self._picks.jump(*self._pixel, by)
        if found is None:
            self._say("No pixel of this exposure has a jump.")
        else:
            self._look_at_jump(*found)

    def _look_at_jump(self, x: int, y: int) -> None:
        """Look at a pixel, in an integration that has a jump."""
        there = self._picks.integrations_with_jump(x, y)
        if there and (self._integration.value or 0) not in there:
            self._moving = True
            self._integration.value = there[0]
        self._go(x, y)

    def _worst(self, by: int) -> None:
        # The worst first; from there to the next.
        self._rank = self._rank + by if self._pixel == self._picks.worst(self._rank) else 0
        found = self._picks.worst(self._rank)
        if found is None:
            self._say("This fit has no chi-square: fit with chisq=True (--chisq), or with a likelihood algorithm.")
        else:
            self._go(*found)

    def _pick_integration(self, integration: int) -> None:
        self._integration.value = integration

    def _draw_box(self, left: int, right: int, bottom: int, top: int) -> None:
        """Show the light curve of a box, its edges included."""
        ints = self._fit.rateints
        box = np.s_[:, bottom : top + 1, left : right + 1]
        rate, variance = ints.data[box].astype(np.float64), ints.err[box].astype(np.float64) ** 2
        usable = np.isfinite(rate) & np.isfinite(variance)
        count = usable.sum(axis=(1, 2))
        with np.errstate(divide="ignore", invalid="ignore"):
            value = np.where(usable, rate, 0).sum(axis=(1, 2)) / count
            error = np.sqrt(np.where(usable, variance, 0).sum(axis=(1, 2))) / count
        self._curve.show(value, error)
        self._curve_note.text = f"<p>x {left} to {right}, y {bottom} to {top}: mean of {int(count.max())} pixels</p>"

    _read_for: tuple[int, int] | None = None

    def _show_ramp(self) -> None:
        x, y = self._pixel
        i = self._integration.value or 0
        rate = self._fit.rate
        try:
            if self._read_for != (x, y):
                self._ramps, self._read_for = Ramps(self._fit, x, y), (x, y)
            ramp = self._ramps[i]
        except Exception as error:  # noqa: BLE001  (whatever it is, the page must stay)
            self._fail(error)
            return
        self._say("")
        self._ramp.show(ramp, float(rate.data[y, x]))
        flags = ", ".join(dq.names_of(int(rate.dq[y, x]))) or "none"
        self._ramp.summary.text = (
            f"<p><b>x {x}, y {y}</b> · rate {escape(with_error(float(rate.data[y, x]), float(rate.err[y, x])))} DN/s"
            f" · flags: {escape(flags)}</p>"
        )
        if self._several:
            ints = self._fit.rateints
            self._series.show(ints.data[:, y, x].astype(np.float64), ints.err[:, y, x].astype(np.float64))
            self._series.mark(i)
        self._python.text = self._subject.python(x, y, i)

    def _obey(self, text: str) -> None:
        """Do what a key asks for; `text` is its name and a number that tells it from the one before."""
        key = text.rpartition(" ")[0]
        far = _FAR if key.startswith("Shift+Arrow") else 1
        actions: dict[str, Callable[[], None]] = {
            "ArrowLeft": lambda: self._move(-far, 0),
            "ArrowRight": lambda: self._move(far, 0),
            "ArrowUp": lambda: self._move(0, far),
            "ArrowDown": lambda: self._move(0, -far),
            "j": lambda: self._jump(1),
            "Shift+J": lambda: self._jump(-1),
            "c": lambda: self._worst(1),
            "Shift+C": lambda: self._worst(-1),
            "i": lambda: self._step(1),
            "Shift+I": lambda: self._step(-1),
            "g": lambda: self._image.step("image_group", 1),
            "Shift+G": lambda: self._image.step("image_group", -1),
            "s": lambda: self._image.step("stretch", 1),
            "l": lambda: self._image.step("limits", 1),
        }
        action = actions.get(key.removeprefix("Shift+") if "Arrow" in key else key)
        if action is not None:
            action()
        self._answered.value = text

    def _step(self, by: int) -> None:
        self._integration.value = int(np.clip((self._integration.value or 0) + by, 0, self._integration.high))

    # ------------------------------------------------------------------------------------------------------- messages
    def _fail(self, error: Exception) -> None:
        if isinstance(error, RampFileError):
            self._say(str(error))
        else:
            log.error("The viewer failed", exc_info=error)
            self._say(f"{type(error).__name__}: {error}")

    def _say(self, text: str) -> None:
        self._message.text = f"<p role='alert'>{escape(text)}</p>" if text else ""
        self._message.visible = bool(text)
