"""The benchmarks run on tiny exposures, and their tables land between the markers. No figure is looked at."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import rampfit_numba
from tests.make_files import ramp_hdulist, save

ROOT = Path(__file__).resolve().parents[1]
TIMING = ROOT / "bench" / "timing"
SCRIPTS = ("kernel", "likely", "workers", "startup", "memory")
#: What the README's table needs.
NAMES = (
    *("kernel-ramps", "kernel-optional", "kernel-avx2", "likely-standard", "workers"),
    *("startup-warm", "startup-cold", "memory"),
)
ENVIRONMENT = os.environ | {
    "PYTHONPATH": os.pathsep.join([str(Path(rampfit_numba.__file__).parents[1]), os.environ.get("PYTHONPATH", "")])
}

pytestmark = [
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the benchmarks read /proc"),
    # they start many processes, or compile
]


def run(script, *arguments, cwd, code=0):
    """Run a script of bench/timing/ and return what it printed, complaints included."""
    done = subprocess.run(
        [sys.executable, str(TIMING / script), *map(str, arguments)],
        cwd=cwd,
        env=ENVIRONMENT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == code, done.stdout
    return done.stdout


def copied(folder):
    """Copy the two documents with the markers into a folder."""
    paths = folder / "README.md", folder / "performance.md"
    for path, source in zip(paths, (ROOT / "README.md", ROOT / "docs" / "performance.md"), strict=True):
        path.write_text(source.read_text(encoding="utf-8"), encoding="utf-8")
    return paths


def block(path, name):
    """Return what stands between two markers."""
    text = path.read_text(encoding="utf-8")
    return text.split(f"<!-- {name}:start -->")[1].split(f"<!-- {name}:end -->")[0]


def made_up(name, **changes):
    """Return results as a benchmark writes them."""
    return {
        "benchmark": name,
        "command": f"python bench/timing/bench_{name}.py",
        "quick": False,
        "date": "2025-01-02",
        "load_at_start": 0.1,
        "machine": {"processor": "Processor", "cores": 1, "memory_gib": 3.0, "system": "Linux"},
        "versions": {"Python": "3.0"},
        "tables": [{"title": f"Title of {name}", "headings": ["", "time"], "rows": [["what", "1.0"]], "note": "Note."}],
        "gist": [[f"gist of {name}", "1 s", "20 s", "20x"]],
    } | changes


def written(folder, *results):
    """Write results as JSON and return the paths."""
    paths = [folder / f"{result['benchmark']}.json" for result in results]
    for path, result in zip(paths, results, strict=True):
        path.write_text(json.dumps(result), encoding="utf-8")
    return paths


@pytest.mark.slow
@pytest.mark.parametrize("name", SCRIPTS)
def test_benchmark_runs(name, tmp_path):
    printed = run(f"bench_{name}.py", "--quick", "--repeats", 1, "--json", tmp_path / "found.json", cwd=tmp_path)
    assert "rampfit_numba" in printed
    assert "stcal" in printed
    assert len(re.findall(r"^\| -+ \|", printed, flags=re.MULTILINE)) >= 1
    found = json.loads((tmp_path / "found.json").read_text(encoding="utf-8"))
    assert found["benchmark"] == name
    assert found["quick"] is True
    assert found["command"] == f"python bench/timing/bench_{name}.py --repeats 1 --quick"
    assert found["measurements"]
    assert all(len(row) == len(table["headings"]) for table in found["tables"] for row in table["rows"])
    assert all(len(row) == 4 for row in found["gist"])
    assert str(tmp_path) not in json.dumps(found)


def test_checkouts_are_compared_side_by_side(tmp_path):
    arguments = (ROOT, ROOT, "--quick", "--repeats", 2, "--only", "real", "real_save_opt")
    printed = run("../compare_speed.py", *arguments, cwd=tmp_path)
    cell = r"\d+\.\d+ \(\d+\.\d+\)"
    for line, name in zip(printed.splitlines(), ("real", "real_save_opt"), strict=True):
        assert re.fullmatch(rf"{name}: {cell} ms, {cell} ms, {cell}", line)


def test_kernel_covers_the_exposures():
    printed = run("bench_kernel.py", "--help", cwd=ROOT)
    assert re.findall(r"\w+", re.search(r"--only \{(.*?)\}", printed, flags=re.DOTALL).group(1)) == [
        *("real", "2x20", "10x5", "1x60", "hits", "faint", "saturated", "500x6", "500x6_real", "1x300", "1x8000"),
        *("2048", "real_save_opt", "save_opt", "avx2", "chisq_2x20", "chisq_hits"),
    ]


def test_tables_are_written_between_the_markers(tmp_path):
    readme, performance = copied(tmp_path)
    before = readme.read_text(encoding="utf-8")
    documents = ("--readme", readme, "--performance", performance)
    for _ in range(2):  # writing twice is writing once
        run("make_tables.py", *written(tmp_path, *map(made_up, reversed(NAMES))), *documents, cwd=tmp_path)
        text = readme.read_text(encoding="utf-8")
        for marker in ("<!-- bench:start -->", "<!-- bench:end -->"):
            assert text.count(marker) == 1
        assert text.split("<!-- bench:start -->")[0] == before.split("<!-- bench:start -->")[0]
        assert text.split("<!-- bench:end -->")[1] == before.split("<!-- bench:end -->")[1]
        rows = [block(readme, "bench").index(f"gist of {name}") for name in NAMES]
        assert rows == sorted(rows)
        for name in NAMES:
            assert f"gist of {name}" in block(readme, "bench")
            assert f"Title of {name}" in block(performance, f"bench:{name}")
            assert (
                f"`python bench/timing/bench_{name}.py`, 2025-01-02: Processor, 1 core, 3 GiB"
                in performance.read_text()
            )


def test_one_benchmark_leaves_the_readme_and_the_other_blocks_alone(tmp_path):
    readme, performance = copied(tmp_path)
    before, startup = readme.read_text(encoding="utf-8"), block(performance, "bench:startup-warm")
    printed = run(
        "make_tables.py",
        *written(tmp_path, made_up("kernel-ramps")),
        *("--readme", readme, "--performance", performance),
        cwd=tmp_path,
    )
    assert "kernel-optional, kernel-avx2, likely-standard, workers, startup-warm" in printed
    assert readme.read_text(encoding="utf-8") == before
    assert block(performance, "bench:startup-warm") == startup
    assert "Title of kernel-ramps" in block(performance, "bench:kernel-ramps")


def test_quick_results_are_refused_by_the_projects_documents(tmp_path):
    before = [(ROOT / path).read_text(encoding="utf-8") for path in ("README.md", "docs/performance.md")]
    printed = run("make_tables.py", *written(tmp_path, made_up("kernel-ramps", quick=True)), cwd=tmp_path, code=1)
    assert "no figures" in printed
    assert before == [(ROOT / path).read_text(encoding="utf-8") for path in ("README.md", "docs/performance.md")]


def test_results_of_a_busy_machine_are_refused_by_the_projects_documents(tmp_path):
    before = (ROOT / "docs" / "performance.md").read_text(encoding="utf-8")
    busy = made_up("kernel-ramps") | {"load_at_start": 8.72}
    printed = run("make_tables.py", *written(tmp_path, busy), cwd=tmp_path, code=1)
    assert "Others were at work (kernel-ramps)" in printed
    assert before == (ROOT / "docs" / "performance.md").read_text(encoding="utf-8")


def test_results_of_two_machines_are_not_mixed(tmp_path):
    readme, performance = copied(tmp_path)
    other = made_up("memory", machine=made_up("memory")["machine"] | {"processor": "Another"})
    paths = written(tmp_path, *map(made_up, NAMES[:-1]), other)
    printed = run("make_tables.py", *paths, "--readme", readme, "--performance", performance, cwd=tmp_path, code=1)
    assert "several machines" in printed


def test_missing_markers_are_named(tmp_path):
    readme, performance = copied(tmp_path)
    performance.write_text("nothing here\n", encoding="utf-8")
    paths = written(tmp_path, made_up("kernel-ramps"))
    printed = run("make_tables.py", *paths, "--readme", readme, "--performance", performance, cwd=tmp_path, code=1)
    assert "performance.md: expected <!-- bench:kernel-ramps:start -->" in printed


@pytest.mark.slow
def test_make_tables_runs_a_benchmark(tmp_path):
    readme, performance = copied(tmp_path)
    arguments = ("--run", "kernel-ramps", "--quick", "--repeats", 1, "--keep", tmp_path / "kept")
    run("make_tables.py", *arguments, "--readme", readme, "--performance", performance, cwd=tmp_path)
    assert "33 % of the ramps flagged" in block(performance, "bench:kernel-ramps")
    assert (tmp_path / "kept" / "kernel-ramps.json").is_file()


@pytest.mark.slow
def test_parts_have_tables_of_their_own(tmp_path):
    readme, performance = copied(tmp_path)
    parts = ("kernel-optional", "kernel-avx2", "likely-long", "startup-warm")
    arguments = ("--run", *parts, "--quick", "--repeats", 1, "--keep", tmp_path / "kept")
    run("make_tables.py", *arguments, "--readme", readme, "--performance", performance, cwd=tmp_path)
    for name, expected in zip(parts, ("with save_opt", "AVX2", "1 x 60", "with a copied cache"), strict=True):
        script, _, part = name.partition("-")
        assert f"`python bench/timing/bench_{script}.py --part {part} --repeats 1 --quick`" in block(
            performance, f"bench:{name}"
        )
        assert expected in block(performance, f"bench:{name}")
    assert "NUMBA_CPU_NAME=haswell" in block(performance, "bench:kernel-avx2")


def test_two_checkouts_start_in_turn(tmp_path):
    arguments = ("--part", "warm", "--quick", "--before", ROOT, "--json", tmp_path / "found.json")
    printed = run("bench_startup.py", *arguments, cwd=tmp_path)
    assert re.search(r"^\| +\| +before \| +now \| +before / now \|", printed, flags=re.MULTILINE)
    found = json.loads((tmp_path / "found.json").read_text(encoding="utf-8"))
    assert found["command"].endswith("--part warm --quick --before CHECKOUT")
    for table in found["tables"]:
        names = [row[0] for row in table["rows"] if row[1]]
        assert names
        assert not {"an interpreter that does nothing", "stcal: read, fit, write nothing"} & set(names)
    assert str(ROOT) not in json.dumps(found)


def test_flagged_ramps_are_counted(tmp_path):
    hdulist = ramp_hdulist((2, 5, 4, 10), {"TGROUP": 2.0})
    flags = hdulist["GROUPDQ"].data
    flags[:] = 0
    flags[:, 0] = 1  # everybody lacks the first group: no ramp is another one for it
    flags[0, 2, :2] = 4
    flags[1, 3, 0] = 2
    save(hdulist, tmp_path / "x_jump.fits")
    (tmp_path / "text.fits").write_text("no exposure", encoding="utf-8")
    printed = run("bench_flags.py", tmp_path / "x_jump.fits", tmp_path / "text.fits", cwd=tmp_path)
    (row,) = re.findall(r"^\| x_jump.fits.*$", printed, flags=re.MULTILINE)
    assert [cell.strip() for cell in row.split("|")[2:-1]] == [
        *("2 x 5 x 4 x 10", "10", "37.5%", "25.0%", "12.5%", "5.00%"),
    ]
    assert "expected exposures" in run("bench_flags.py", tmp_path / "text.fits", cwd=tmp_path, code=1)
