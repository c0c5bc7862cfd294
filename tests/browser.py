"""A real browser for tests: Chromium, without a window, driven by playwright."""

from __future__ import annotations

import importlib.util
import os
import shutil
from contextlib import contextmanager

import pytest

_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_PATIENCE = 200_000  # ms: on a busy machine a page takes many times as long to load as on a quiet one
_ARGUMENTS = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update"),
)


def chromium():
    """Return the path of Chromium; skip where it or what drives it is missing, fail where they may not be."""
    path = os.environ.get("RAMPFIT_CHROMIUM") or next(filter(None, map(shutil.which, _NAMES)), None)
    missing = []
    if path is None:
        missing.append("Chromium")
    missing += [name for name in ("playwright", "bokeh", "jinja2") if importlib.util.find_spec(name) is None]
    if missing:
        message = f"needs {', '.join(missing)}"
        (pytest.fail if os.environ.get("RAMPFIT_REQUIRE_BROWSER") else pytest.skip)(message)
    return path


@contextmanager
def launched():
    """Give a browser while the block runs."""
    path = chromium()
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=list(_ARGUMENTS), timeout=_PATIENCE)
        try:
            yield browser
        finally:
            browser.close()


class Tab:
    """A tab, and all that it complains about."""

    def __init__(self, browser, url="", *, width=1400, height=1000, scheme="light"):
        self.context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=scheme)
        self.context.set_default_timeout(_PATIENCE)
        self.page = self.context.new_page()
        self.complaints = []
        self.foreign = []
        self.page.on("console", self._heard)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("request", self._asked)
        if url:
            self.page.goto(url)

    def _heard(self, message):
        if message.type in {"error", "warning"}:
            self.complaints.append(message.text)

    def _asked(self, request):
        if not request.url.startswith(("http://127.0.0.1:", "data:", "blob:", "file:")):
            self.foreign.append(request.url)

    def value(self, model, attribute="value"):
        """Return what the page knows of a model of Bokeh."""
        return self.page.evaluate(
            "([name, what]) => Bokeh.documents[0].get_model_by_name(name)[what]", [model, attribute]
        )

    def wait(self, condition, argument=None):
        """Wait until an expression of JavaScript is true."""
        self.page.wait_for_function(condition, arg=argument, timeout=_PATIENCE)

    def close(self):
        self.context.close()
