"""The benchmark of step against step runs, and its table lands in docs/jwst.md."""

from __future__ import annotations

import json
import sys

import pytest

from tests.pipeline import require_pipeline
from tests.test_bench import ROOT, block, copied, made_up, run, written

require_pipeline()

pytestmark = [
    pytest.mark.jwst,
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the benchmarks read /proc"),
]


def copied_page(folder):
    """Copy docs/jwst.md into a folder."""
    path = folder / "jwst.md"
    path.write_text((ROOT / "docs" / "jwst.md").read_text(encoding="utf-8"), encoding="utf-8")
    return path


@pytest.mark.slow
def test_step_against_step(tmp_path):
    (readme, performance), page = copied(tmp_path), copied_page(tmp_path)
    documents = ("--readme", readme, "--performance", performance, "--pages", tmp_path)
    before = performance.read_text(encoding="utf-8")
    run(
        *("make_tables.py", "--run", "step", "--quick", "--repeats", 1, "--keep", tmp_path / "kept", *documents),
        cwd=tmp_path,
    )
    found = json.loads((tmp_path / "kept" / "step.json").read_text(encoding="utf-8"))
    (table,) = found["tables"]
    assert all(len(row) == len(table["headings"]) for row in table["rows"])
    for name in ("jwst 3", "one core", "its pool of 2", "one worker", "2 threads", "2 processes"):
        assert any(name in row[0] for row in table["rows"])
        assert name in block(page, "bench:step")
    assert performance.read_text(encoding="utf-8") == before


def test_quick_results_are_refused_by_the_page(tmp_path):
    before = (ROOT / "docs" / "jwst.md").read_text(encoding="utf-8")
    printed = run("make_tables.py", *written(tmp_path, made_up("step", quick=True)), cwd=tmp_path, code=1)
    assert "no figures (step)" in printed
    assert (ROOT / "docs" / "jwst.md").read_text(encoding="utf-8") == before
