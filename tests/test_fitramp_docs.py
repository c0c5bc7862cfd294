"""The benchmarks of docs/fitramp.md and docs/reads.md run, and their tables land there."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from tests.test_bench import ROOT, block, copied, made_up, run, written

PAGE = ROOT / "docs" / "fitramp.md"


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the benchmarks read /proc")
def test_the_benchmark_of_reads_runs(tmp_path):
    run("bench_reads.py", "--quick", "--json", tmp_path / "found.json", cwd=tmp_path)
    (table,) = json.loads((tmp_path / "found.json").read_text(encoding="utf-8"))["tables"]
    assert [row[0] for row in table["rows"]] == ["ols", "likely"]
    assert all(len(row) == len(table["headings"]) for row in table["rows"])


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the benchmarks read /proc")
def test_the_benchmark_runs_and_its_table_lands_in_the_page(tmp_path):
    run("bench_fitramp.py", "--quick", "--json", tmp_path / "found.json", cwd=tmp_path)
    found = json.loads((tmp_path / "found.json").read_text(encoding="utf-8"))
    (table,) = found["tables"]
    assert [row[0] for row in table["rows"]] == ["16 reads", "16 groups of 4 reads", "60 reads"]
    assert all(len(row) == len(table["headings"]) for row in table["rows"])
    (readme, performance), page = copied(tmp_path), Path(tmp_path / "fitramp.md")
    page.write_text(PAGE.read_text(encoding="utf-8"), encoding="utf-8")
    before = performance.read_text(encoding="utf-8")
    documents = ("--readme", readme, "--performance", performance, "--pages", tmp_path)
    run("make_tables.py", *written(tmp_path, made_up("fitramp")), *documents, cwd=tmp_path)
    assert "Title of fitramp" in block(page, "bench:fitramp")
    assert performance.read_text(encoding="utf-8") == before
    printed = run("make_tables.py", *written(tmp_path, made_up("fitramp", quick=True)), cwd=tmp_path, code=1)
    assert "no figures (fitramp)" in printed
