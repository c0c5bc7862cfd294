"""What a benchmark found: tables for people, JSON for make_tables.py, and the conditions of the measurement."""

from __future__ import annotations

import json
import os
import platform
import sys
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from common import usable_cores
from shared import Table, versions, versions_text

if TYPE_CHECKING:
    import argparse

    from common import Times


@dataclass
class Report:
    """What a benchmark found. ``gist``: rows of the README's table, what it is, this package, stcal, ratio."""

    benchmark: str
    arguments: argparse.Namespace
    tables: list[Table] = field(default_factory=list)
    gist: list[list[str]] = field(default_factory=list)
    measurements: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.load = os.getloadavg()[0]
        print(
            f"{machine_text(machine())}; load at the start {self.load:.2f}\n{versions_text(versions())}\n", flush=True
        )

    def keep(self, where: str, times: dict[str, Times]) -> None:
        """Remember all single times, for the JSON."""
        self.measurements[where] = {name: t.seconds for name, t in times.items()}

    def finish(self) -> None:
        """Print the tables and write the JSON."""
        for table in self.tables:
            print(table.markdown(), flush=True)
        if self.arguments.json is not None:
            content = {
                "benchmark": "-".join(filter(None, [self.benchmark, getattr(self.arguments, "part", "")])),
                "command": " ".join(["python", f"bench/timing/bench_{self.benchmark}.py", *self.arguments.given]),
                "quick": self.arguments.quick,
                "repeats": self.arguments.repeats,
                "date": datetime.now(UTC).date().isoformat(),
                "load_at_start": self.load,
                "machine": machine(),
                "versions": versions(),
                "tables": [asdict(table) for table in self.tables],
                "gist": self.gist,
                "measurements": self.measurements,
            }
            self.arguments.json.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def machine() -> dict[str, Any]:
    """Return processor, cores that this process may use, and memory."""
    processor = platform.processor() or platform.machine()
    memory = 0.0
    if sys.platform == "linux":
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                processor = line.partition(":")[2].strip()
                break
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return {
        "processor": processor,
        "cores": usable_cores(),
        "memory_gib": round(memory, 1),
        "system": platform.system(),
    }


def machine_text(found: dict[str, Any]) -> str:
    """Return the machine in one line."""
    cores = f"{found['cores']} core{'s' if found['cores'] != 1 else ''}"
    return f"{found['processor']}, {cores}, {found['memory_gib']:.0f} GiB, {found['system']}"
