"""The server of a viewer: on the loopback interface only, on a free port, in a thread of its own."""

from __future__ import annotations

import asyncio
import logging
import secrets
import socket
import threading
from functools import partial
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from bokeh.document import Document
    from bokeh.server.contexts import SessionContext

log = logging.getLogger(__name__)

_LOOPBACK = "127.0.0.1"
#: How long, in ms, a page may be gone until that counts as closed: one that is loaded anew is back before.
_LIFETIME, _CHECK = 4000, 500
#: How long, in s, one that was asked for may take to be shown: a busy machine loads and draws it for that long.
_LOADING = 60.0
#: Seconds to wait for a server to end; and, at the end, for what its pages have not been told.
_PATIENCE, _FAREWELL = 30.0, 10.0


class ViewServer:
    """Serves one page to any number of tabs until :meth:`close`, or until the last of them was closed.

    Parameters
    ----------
    build : callable
        Fills the document of a new tab.
    port : int
        0: a free one.
    stay : bool
        Whether it goes on when no tab is left.

    Raises
    ------
    OSError
        The port is taken.
    """

    def __init__(self, build: Callable[[Document], None], *, port: int = 0, stay: bool = False) -> None:
        self._build = build
        self._stay = stay
        self._tabs: set[str] = set()
        # Pages that were shown; and those that Bokeh has forgotten while they were loaded: how long each is waited for.
        self._shown: set[str] = set()
        self._loading: dict[str, asyncio.TimerHandle] = {}
        self._ended = threading.Event()
        self._failure: BaseException | None = None
        # Other users of the machine can reach the port, too; they do not know this.
        self._secret = secrets.token_urlsafe(12)
        self.port = port
        started = threading.Event()
        self._thread = threading.Thread(target=self._serve, args=[started], name="rampfit view", daemon=True)
        self._thread.start()
        while not started.wait(1.0):  # however long a busy machine takes; Ctrl-C ends that
            pass
        if self._failure is not None:
            raise self._failure

    @property
    def url(self) -> str:
        """Where a browser finds the page."""
        return f"http://{_LOOPBACK}:{self.port}/{self._secret}"

    @property
    def running(self) -> bool:
        """Whether it still serves."""
        return not self._ended.is_set()

    def wait(self, timeout: float | None = None) -> bool:
        """Return when the server has ended, or after `timeout` seconds; whether it has."""
        # Without a timeout, some systems would not let Ctrl-C through.
        while timeout is None:
            if self._ended.wait(1.0):
                return True
        return self._ended.wait(timeout)

    def close(self) -> None:
        """End the server; open tabs say so."""
        if self.running:
            self._loop.call_soon_threadsafe(self._stop.set)
            self._ended.wait(_PATIENCE)

    def _serve(self, started: threading.Event) -> None:
        try:
            asyncio.run(self._serve_until_stopped(started))
        except BaseException as error:  # noqa: BLE001  (whoever waits for the start must be told)
            self._failure = error
        finally:
            self._ended.set()
            started.set()

    async def _serve_until_stopped(self, started: threading.Event) -> None:
        from bokeh.application import Application
        from bokeh.application.handlers import FunctionHandler
        from bokeh.server.server import BaseServer
        from bokeh.server.tornado import BokehTornado
        from tornado.ioloop import IOLoop

        from rampfit_numba.view.connections import PageServer

        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        listener = socket.create_server((_LOOPBACK, self.port))  # closed where the port is taken, other than tornado's
        listener.settimeout(0)
        self.port = listener.getsockname()[1]
        application = BokehTornado(
            {f"/{self._secret}": Application(FunctionHandler(self._open))},
            # Pages of other origins must not talk to this server through the user's browser.
            extra_websocket_origins=[f"{_LOOPBACK}:{self.port}", f"localhost:{self.port}"],
            # The bare address must not lead to the one that only its owner knows.
            use_index=False,
            redirect_root=False,
            check_unused_sessions_milliseconds=_CHECK,
            unused_session_lifetime_milliseconds=_LIFETIME,
        )
        http = PageServer(application)
        http.add_sockets([listener])
        server = BaseServer(IOLoop.current(), application, http)
        server.start()
        log.debug("Serving %s", self.url)
        started.set()
        try:
            await self._stop.wait()
        finally:
            server.stop()
            await http.close_all_connections()
            # Bokeh holds all that it has to send to a page, and awaits it piece by piece: a task that is cancelled in
            # the middle would leave the rest for ever. Now that the connections are closed, each ends by itself.
            if tasks := asyncio.all_tasks() - {asyncio.current_task()}:
                await asyncio.wait(tasks, timeout=_FAREWELL)

    def _open(self, document: Document) -> None:
        context = document.session_context
        if context is not None:
            self._tabs.add(context.id)
            document.on_event("document_ready", partial(self._show, context.id))
        document.on_session_destroyed(self._forget)
        self._build(document)

    def _show(self, page: str, _: object) -> None:
        self._shown.add(page)
        self._wait_no_more(page)

    def _forget(self, context: SessionContext) -> None:
        self._tabs.discard(context.id)
        if context.id in self._shown:
            self._shown.discard(context.id)
        else:
            self._wait_no_more(context.id)
            self._loading[context.id] = self._loop.call_later(_LOADING, self._give_up, context.id)
        self._stop_without_tabs()

    def _wait_no_more(self, page: str) -> None:
        if timer := self._loading.pop(page, None):
            timer.cancel()

    def _give_up(self, page: str) -> None:
        self._wait_no_more(page)
        self._stop_without_tabs()

    def _stop_without_tabs(self) -> None:
        if not self._tabs and not self._loading and not self._stay:
            self._stop.set()
