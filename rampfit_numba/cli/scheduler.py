"""``--scheduler``: the workers of a Dask cluster fit the files."""

from __future__ import annotations

import json
import logging
import socket
import struct
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rampfit_numba.messages import how_to_install

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rampfit_numba.cli.arguments import Parser

#: Seconds within which a machine must answer at all, and a scheduler that listens there.
_KNOCK, _PATIENCE = 10, 30
#: What a scheduler begins with, and the longest that its greeting can be, in bytes.
_LENGTH, _LONGEST = struct.Struct("=Q"), 1 << 20


def add_scheduler(parser: Parser) -> None:
    """Add ``--scheduler``."""
    cluster = parser.add_argument_group("many machines")
    cluster.add_argument(
        "--scheduler",
        metavar="ADDRESS|FILE",
        help="fit on the workers of this Dask scheduler (tcp://host:8786, or its scheduler file), which must see all "
        "files: whole files, or the rows of a single one (extra: dask)",
    )


@contextmanager
def connected(scheduler: str | None) -> Iterator[dict[str, Any]]:
    """Give the keyword arguments that let a cluster fit files, while connected to it; none without a scheduler.

    Raises
    ------
    ImportError
        The extra ``dask`` is not installed.
    RuntimeError
        No scheduler answers.
    """
    if scheduler is None:
        yield {}
        return
    try:
        from distributed import Client
    except ImportError as error:
        raise ImportError(f"--scheduler needs Dask, which is not installed: {how_to_install('dask')}") from error
    # What is wrong is told in one line, here; Dask would add its own.
    logging.getLogger("distributed").setLevel(logging.CRITICAL)
    try:
        file = Path(scheduler)
        address = json.loads(file.read_text(encoding="utf-8"))["address"] if file.is_file() else scheduler
        _knock(address)
        client = Client(address, timeout=_PATIENCE)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RuntimeError(
            f"--scheduler: expected the address of a Dask scheduler, tcp://host:8786 say, or its scheduler file; "
            f"nothing answers at {scheduler} ({error})"
        ) from error
    with client:
        yield {"executor": client}


def _knock(address: str) -> None:
    """Raise an OSError or a ValueError if no scheduler listens at an address: Dask would try for minutes."""
    from distributed.comm.addressing import parse_address, parse_host_port

    kind, place = parse_address(address)
    if kind not in ("tcp", "tls"):
        return
    with socket.create_connection(parse_host_port(place), timeout=_KNOCK) as connection:
        if kind == "tls":  # there the client speaks first
            return
        # A scheduler begins with the length of what it says. Servers of other kinds, Dask's own dashboard for instance,
        # wait, or say something that is no such number.
        greeting = connection.recv(_LENGTH.size, socket.MSG_WAITALL)
    if len(greeting) < _LENGTH.size or _LENGTH.unpack(greeting)[0] > _LONGEST:
        raise ValueError("what listens there is no Dask scheduler")
