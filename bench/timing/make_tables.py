"""Run the benchmarks and write their tables into README.md and docs/performance.md, between the markers.

    python bench/timing/make_tables.py                            run all of them, then write
    python bench/timing/make_tables.py --run kernel-ramps         run one of them, write its table
    python bench/timing/make_tables.py --run ... --keep results   the same, and keep what it found
    python bench/timing/make_tables.py results/*.json             write what earlier runs found

Each takes about two minutes or less, so that they can be run one by one when the machine is idle; those of startup with
``--before``, another checkout in turn, up to four. The README's table mixes several benchmarks, so it is written only
where all of them are there.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from common import TIMING
from reporting import machine_text
from shared import ROOT, markdown_rows, replace_block, versions_text

#: Benchmarks, and those of their parts that have tables of their own.
BENCHMARKS = (
    "kernel-ramps",
    "kernel-optional",
    "kernel-avx2",
    "kernel-shapes",
    "kernel-series",
    "kernel-long",
    "likely-standard",
    "likely-short",
    "likely-long",
    "workers",
    "startup-warm",
    "startup-cold",
    "memory",
)
#: What the README's table needs, in its order.
README = (
    *("kernel-ramps", "kernel-optional", "kernel-avx2", "likely-standard", "workers"),
    *("startup-warm", "startup-cold", "memory"),
)
#: This runs only where it is asked for: it needs files.
FLAGS = "flags"
#: So do these, which need the pipeline, or Dask, or are of other pages.
PAGES = {"step": "jwst.md", "fitramp": "fitramp.md", "reads": "reads.md", "scaling": "scaling.md"}
_GIST_HEADINGS = ("", "this package", "stcal (pipeline's OLS)", "ratio")


def main() -> None:
    """Collect the results and write the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", metavar="JSON", nargs="*", type=Path, help="results of earlier runs; none: run now")
    parser.add_argument(
        "--run",
        nargs="+",
        choices=(*BENCHMARKS, FLAGS, *PAGES),
        default=BENCHMARKS,
        help=f"what to run (default: all but {', '.join([FLAGS, *PAGES])})",
    )
    parser.add_argument("--repeats", metavar="N", help="handed on to the benchmarks")
    parser.add_argument(
        "--quick", action="store_true", help="handed on; the project's own documents refuse the results"
    )
    parser.add_argument("--jwst", metavar="PYTHON", help="handed on to bench_memory.py")
    parser.add_argument("--before", metavar="CHECKOUT", help="handed on to bench_startup.py")
    parser.add_argument("--keep", metavar="FOLDER", type=Path, help="keep the results of the runs here")
    parser.add_argument("--readme", type=Path, default=ROOT / "README.md")
    parser.add_argument("--performance", type=Path, default=ROOT / "docs" / "performance.md")
    parser.add_argument("--pages", type=Path, default=ROOT / "docs", help=f"folder of {', '.join(PAGES.values())}")
    arguments = parser.parse_args()
    found = read_results(arguments.results) if arguments.results else run_all(arguments)
    pages = {name: arguments.pages / PAGES[name] for name in found if name in PAGES}
    documents = [*pages.values(), *([] if set(found) <= set(PAGES) else [arguments.readme, arguments.performance])]
    own = {ROOT / "README.md", *(ROOT / "docs" / name for name in ("performance.md", *PAGES.values()))}
    quick = [name for name, result in found.items() if result["quick"]]
    if quick and own & {document.resolve() for document in documents}:
        sys.exit(f"Results of --quick are no figures ({', '.join(quick)}): they are not written into the documents")
    # Benchmarks that use all cores leave that much load to the next one; more is somebody else's.
    loaded = [name for name, result in found.items() if result["load_at_start"] > 1.5 * result["machine"]["cores"]]
    if loaded and own & {document.resolve() for document in documents}:
        sys.exit(f"Others were at work ({', '.join(loaded)}): what was measured is not written into the documents")

    for name, result in found.items():
        replace_block(pages.get(name, arguments.performance), f"bench:{name}", benchmark_text(result))
    if set(README) <= set(found):
        replace_block(arguments.readme, "bench", gist_text([found[name] for name in README]))
    else:
        missing = ", ".join(name for name in README if name not in found)
        print(f"{arguments.readme.name} is left as it is: its table needs {missing} too")


def run_all(arguments: argparse.Namespace) -> dict[str, dict[str, Any]]:
    """Run the benchmarks that were asked for, one after the other."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.keep or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        paths = []
        for name in arguments.run:
            paths.append(folder / f"{name}.json")
            script, _, part = name.partition("-")
            command = [sys.executable, str(TIMING / f"bench_{script}.py"), "--json", str(paths[-1])]
            command += ["--part", part] if part else []
            command += ["--quick"] if arguments.quick else []
            command += ["--repeats", arguments.repeats] if arguments.repeats else []
            command += ["--jwst", arguments.jwst] if arguments.jwst and name == "memory" else []
            command += ["--before", arguments.before] if arguments.before and script == "startup" else []
            print(f"---- {name}", flush=True)
            subprocess.run(command, check=True)  # noqa: S603  (our own scripts)
        return read_results(paths)


def read_results(paths: list[Path]) -> dict[str, dict[str, Any]]:
    """Return the results in some files by the benchmarks' names."""
    results = [json.loads(path.read_text(encoding="utf-8")) for path in paths]
    return {result["benchmark"]: result for result in results}


def benchmark_text(result: dict[str, Any]) -> str:
    """Return the tables of one benchmark, with the conditions under which they were measured."""
    machine = f"{machine_text(result['machine'])} (load at the start {result['load_at_start']:.2f})"
    parts = [f"`{result['command']}`, {result['date']}: {machine}; {versions_text(result['versions'])}."]
    for table in result["tables"]:
        parts += [f"**{table['title']}**", markdown_rows(table["headings"], table["rows"])]
        parts += [table["note"]] if table["note"] else []
    return "\n\n".join(parts)


def gist_text(results: list[dict[str, Any]]) -> str:
    """Return the README's table."""
    first = results[0]
    machine, versions = machine_text(first["machine"]), versions_text(first["versions"])
    if any(result["machine"] != first["machine"] for result in results):
        sys.exit("The results come from several machines: they do not belong into one table")
    dates = sorted({result["date"] for result in results})
    conditions = (
        f"Whole calls on simulated exposures, interleaved, the quickest of several; {' to '.join(dates)}, {machine}; "
        f"{versions}. `python bench/timing/make_tables.py` writes this; all of it: "
        "[docs/performance.md](docs/performance.md)."
    )
    return f"{markdown_rows(_GIST_HEADINGS, [row for result in results for row in result['gist']])}\n\n{conditions}"


if __name__ == "__main__":
    main()
