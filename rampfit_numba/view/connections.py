"""The HTTP server of a viewer: at its end it closes the connections of pages too, which tornado's own leaves open."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from weakref import WeakSet

from tornado.httpserver import HTTPServer

if TYPE_CHECKING:
    from tornado.iostream import IOStream


class PageServer(HTTPServer):  # type: ignore[misc]  # mypy looks at no optional package
    """Knows every stream that is open: for tornado, one that has become a websocket is no connection any more."""

    def initialize(self, *args: Any, **keywords: Any) -> None:  # noqa: ANN401  (as tornado has it)
        """Begin without any."""
        self._streams: WeakSet[IOStream] = WeakSet()
        super().initialize(*args, **keywords)

    def handle_stream(self, stream: IOStream, address: tuple[Any, ...]) -> None:
        """Serve one more."""
        self._streams.add(stream)
        super().handle_stream(stream, address)

    async def close_all_connections(self) -> None:
        """Close all."""
        for stream in list(self._streams):
            stream.close()
        await super().close_all_connections()
