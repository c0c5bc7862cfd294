"""Bias, errors, and missed and false jumps of all algorithms on simulated ramps whose rates and hits are known.

    python bench/statistics/bench_statistics.py                        everything: a few minutes on one core
    python bench/statistics/bench_statistics.py --no-documents         print the tables, write nothing

Writes the tables of docs/statistics.md, their gist in README.md (both between markers) and the figure
docs/statistics.png, which needs the extra `plot`. The file is not named statistics.py: every script of this folder,
and what it imports, would then find it in place of the standard library's module.
"""

from __future__ import annotations

import argparse
import sys
import textwrap
import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

sys.path.append(str(Path(__file__).resolve().parents[1]))  # the folder above, with what timing and statistics share

from ramp_statistics import CONTENDERS, WEIGHTINGS, Fit, Measured, Ramps, Result, Scene, find, measure, simulate
from shared import ROOT, Table, markdown_rows, replace_block, versions, versions_text

if TYPE_CHECKING:
    from collections.abc import Callable

COMMAND = "python bench/statistics/bench_statistics.py"
SIGNAL_TO_NOISE = (0.5, 1.0, 2.0, 5.0, 20.0, 100.0)
PIXELS, QUICK_PIXELS = 60000, 400
SEARCHES = [name for name in CONTENDERS if name != "ols"]
#: Edges of the bins of hit sizes, in standard deviations of a difference.
SIZES = np.geomspace(2, 20, 19)

ONE = Scene(1)
TEN = Scene(10)
SCENES = {
    "1 integration": ONE,
    "10 integrations": TEN,
    "10 integrations of groups of 4 frames": replace(TEN, nframes=4),
    "10 integrations, dark current of 1 DN/s": replace(TEN, dark=1.0),
    "10 integrations, read noise of 1 DN": replace(TEN, readnoise=1.0),
}
HIT_SCENES = {
    f"{title}, hits in {percent} % of the groups": replace(scene, hit_rate=percent / 100)
    for title, scene in list(SCENES.items())[:3]
    for percent in (1, 5)
}
#: Frames averaged and skipped of read patterns whose exposures often have few groups.
PATTERNS = {"NRSIRS2": (5, 0), "NIS": (4, 0), "SHALLOW4": (4, 1), "DEEP8": (8, 12)}
FEW_GROUPS = (4, 5, 6)
#: Their hits: integrations, hits per group and pixel, and sizes in standard deviations of a difference.
FEW_GROUP_HITS = (
    (1, 0.01, (10.0, 1000.0)),
    (1, 0.05, (10.0, 1000.0)),
    (1, 0.05, (100.0, 10000.0)),
    (4, 0.05, (10.0, 1000.0)),
)
FEW_GROUP_SIGNALS = (2.0, 50.0)
# The ramp of trap T1 in the specification of the reference: bright, clipped from the fifth group on.
SATURATED = Scene(1, ngroups=10, rate=1000.0, readnoise=7.0, saturated_from=4)


def main() -> None:
    """Simulate, fit, measure; print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="few pixels: shows that the script works, no figures")
    parser.add_argument("--no-documents", action="store_true", help="print only")
    parser.add_argument("--readme", type=Path, default=ROOT / "README.md")
    parser.add_argument("--document", type=Path, default=ROOT / "docs" / "statistics.md")
    parser.add_argument("--figure", type=Path, default=ROOT / "docs" / "statistics.png")
    parser.add_argument("--no-figure", action="store_true", help="tables only; needs no extra")
    arguments = parser.parse_args()
    own = {ROOT / "README.md", ROOT / "docs" / "statistics.md", ROOT / "docs" / "statistics.png"}
    places = {arguments.readme.resolve(), arguments.document.resolve()}
    places |= set() if arguments.no_figure else {arguments.figure.resolve()}
    if arguments.quick and not arguments.no_documents and own & places:
        sys.exit("Results of --quick are no figures: they are not written into the documents")

    start = time.perf_counter()
    npixels = QUICK_PIXELS if arguments.quick else PIXELS
    tables, results = run_scenes(npixels)
    sizes = missed_by_size(npixels)
    for table in tables:
        print(table.markdown(), flush=True)
    print(f"{time.perf_counter() - start:.0f} s", flush=True)
    if arguments.no_documents:
        return
    conditions = f"`{COMMAND}`, {datetime.now(UTC).date()}; {versions_text(versions())}."
    text = [part for table in tables for part in (f"**{table.title}**", markdown_rows(table.headings, table.rows))]
    replace_block(arguments.document, "statistics", "\n\n".join([conditions, *text]))
    replace_block(arguments.readme, "statistics", gist(results))
    if not arguments.no_figure:
        from statistics_figure import draw

        draw(arguments.figure, results, SIZES, sizes)
        print(f"{arguments.figure.name} drawn")


def run_scenes(npixels: int) -> tuple[list[Table], dict[str, list[Result]]]:
    """Measure all contenders on all scenes."""
    seeds = iter(range(1000))
    results: dict[str, list[Result]] = {}
    tables = []
    for title, scene in {**SCENES, **HIT_SCENES}.items():
        here = [run(f"{s_n:g}", replace(scene, signal_to_noise=s_n), npixels, next(seeds)) for s_n in SIGNAL_TO_NOISE]
        results[title] = here
        tables.append(quality_table(f"{title}: bias / pull width", "S/N of an integration", here))
        if scene.hit_rate:
            tables.append(search_table(f"{title}: hits missed / false jumps", "S/N of an integration", here))
    tables += few_group_tables(npixels)
    tables.append(weighting_table(npixels))
    tables.append(false_table(results))
    saturated = [run("1000 DN/s", SATURATED, npixels, next(seeds))]
    results["saturated"] = saturated
    title = "Saturated from the fifth of ten groups on, clipped"
    tables.append(quality_table(f"{title}: bias / pull width", "rate", saturated))
    tables.append(search_table(f"{title}: hits missed / false jumps", "rate", saturated))
    return tables, results


def few_group_tables(npixels: int) -> list[Table]:
    """Measure the searches on ramps of few groups of several frames; the seeds are their own."""
    wrong, clean = [], []
    seeds = iter(range(3000, 4000))
    for name, (nframes, groupgap) in PATTERNS.items():
        for ngroups in FEW_GROUPS:
            for s_n in FEW_GROUP_SIGNALS:
                scene = Scene(1, ngroups, nframes, groupgap=groupgap, signal_to_noise=s_n)
                label = f"{name}, {ngroups} groups, S/N {s_n:g}"
                for nints, hit_rate, sizes in FEW_GROUP_HITS:
                    hit = replace(scene, nints=nints, hit_rate=hit_rate, hit_sizes=sizes)
                    title = f"{label}, {nints} int., {hit_rate:.0%} hit, {sizes[0]:g} to {sizes[1]:g} sigma"
                    wrong.append(run(title, hit, npixels // nints, next(seeds)))
                clean.append(run(label, scene, npixels, next(seeds)))
    title = "Few groups of several frames: pixels with hits whose rate is wrong without DO_NOT_USE / with DO_NOT_USE"
    rows = [
        [result.title, *(f"{_percent(m.wrong)} / {_percent(m.refused)}" for m in _searched(result))] for result in wrong
    ]
    quality = [
        [result.title, *(f"{m.bias:+.3f} / {m.pull:.3f} / {1e6 * (m.false or 0):.0f}" for m in _searched(result))]
        for result in clean
    ]
    return [
        Table(title, ["", *SEARCHES], rows),
        Table("The same patterns without hits: bias / pull width / false jumps", ["", *SEARCHES], quality),
    ]


def weighting_table(npixels: int) -> Table:
    """Measure the weightings of the least squares; the seeds are their own."""
    rows = []
    scenes = {"12 groups": ONE, "12 groups of 4 frames": replace(ONE, nframes=4), "60 groups": replace(ONE, ngroups=60)}
    seeds = iter(range(4000, 5000))
    for label, scene in scenes.items():
        for s_n in SIGNAL_TO_NOISE:
            ramps = simulate(replace(scene, signal_to_noise=s_n), npixels, next(seeds))
            measured = [measure(ramps, fit(ramps)) for fit in WEIGHTINGS.values()]
            rows.append([f"{label}, S/N {s_n:g}", *(f"{m.scatter:.3f} / {m.pull:.3f}" for m in measured)])
    title = "Weightings of `ols`, 1 integration: scatter in units of the best possible error / pull width"
    return Table(title, ["", *WEIGHTINGS], rows)


def _searched(result: Result) -> list[Measured]:
    return [result.measured[name] for name in SEARCHES]


def _percent(fraction: float | None) -> str:
    return "-" if fraction is None else f"{100 * fraction:.2f} %"


def run(title: str, scene: Scene, npixels: int, seed: int) -> Result:
    """Fit one scene with all contenders."""
    ramps = simulate(scene, npixels, seed)
    return Result(title, scene, {name: measure(ramps, fit(ramps)) for name, fit in CONTENDERS.items()})


def quality_table(title: str, heading: str, results: list[Result]) -> Table:
    """Return bias and pull width of all contenders."""
    rows = [
        [result.title, *(f"{m.bias:+.3f} / {m.pull:.3f}{_lost(m)}" for m in result.measured.values())]
        for result in results
    ]
    return Table(title, [heading, *CONTENDERS], rows)


def search_table(title: str, heading: str, results: list[Result]) -> Table:
    """Return missed hits (in percent) and false jumps (in a million groups) of all contenders with a search."""
    rows = [[result.title, *(_search(result.measured[name]) for name in SEARCHES)] for result in results]
    return Table(title, [heading, *SEARCHES], rows)


def false_table(results: dict[str, list[Result]]) -> Table:
    """Return the false jumps (in a million groups) of the scenes without hits."""
    rows = [
        [f"{title}, S/N {result.title}", *(f"{1e6 * (result.measured[name].false or 0):.1f}" for name in SEARCHES)]
        for title in SCENES
        for result in results[title]
    ]
    return Table("False jumps in a million groups, without hits", ["", *SEARCHES], rows)


def _search(measured: Measured) -> str:
    missed = "-" if measured.missed is None else f"{100 * measured.missed:.2f} %"
    return f"{missed} / {1e6 * (measured.false or 0):.0f}"


def _lost(measured: Measured) -> str:
    return f" ({100 * measured.lost:.2f} % lost)" if measured.lost else ""


def missed_by_size(npixels: int) -> dict[str, np.ndarray]:
    """Return the fraction of the hits that each search misses, by their size; 1 integration, S/N 20, 5 % hit."""
    scene = replace(ONE, signal_to_noise=20.0, hit_rate=0.05, hit_sizes=(SIZES[0], SIZES[-1]))
    found: dict[str, list[np.ndarray]] = {name: [] for name in SEARCHES}
    sizes = []
    for seed in range(2000, 2004):
        ramps = simulate(scene, npixels, seed)
        hit = ramps.hits > 0
        sizes.append(ramps.hits[hit])
        for name in SEARCHES:
            found[name].append(_noticed(CONTENDERS[name], ramps)[hit])
    place = np.digitize(np.concatenate(sizes), SIZES)
    missed = {}
    for name, parts in found.items():
        noticed = np.concatenate(parts)
        bins = (noticed[place == number] for number in range(1, SIZES.size))
        missed[name] = np.array([1 - here.mean() if here.size else np.nan for here in bins])
    return missed


def _noticed(fit: Callable[[Ramps], Fit], ramps: Ramps) -> np.ndarray:
    groupdq = fit(ramps).groupdq
    assert groupdq is not None
    return find(ramps, groupdq).noticed


def gist(results: dict[str, list[Result]]) -> str:
    """Return the README's table."""
    chosen = [
        ("10 integrations, S/N 1 each", "10 integrations", "1"),
        ("the same, groups of 4 frames", "10 integrations of groups of 4 frames", "1"),
        ("10 integrations, S/N 2 each, dark current of 1 DN/s", "10 integrations, dark current of 1 DN/s", "2"),
        ("10 integrations, S/N 20 each, hits in 5 % of the groups", "10 integrations, hits in 5 % of the groups", "20"),
        ("1 integration, 1000 DN/s, saturated from the fifth group on", "saturated", "1000 DN/s"),
    ]
    rows = []
    for label, title, wanted in chosen:
        measured = next(result.measured for result in results[title] if result.title == wanted)
        rows.append([label, *(f"{m.bias:+.2f} / {m.pull:.2f}" for m in measured.values())])
    note = (
        "Bias in standard deviations of the rate, and pull width: 0 and 1 are right. `ols`, which searches none, is "
        f"told of all hits. `{COMMAND}` writes this; all of it, with missed and false jumps: "
        "[docs/statistics.md](docs/statistics.md)."
    )
    return f"{markdown_rows(['', *CONTENDERS], rows)}\n\n{textwrap.fill(note, 120)}"


if __name__ == "__main__":
    main()
