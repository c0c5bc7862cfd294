"""What docs/roman.md shows works as it stands: all its blocks, in their order, in an empty folder."""

from __future__ import annotations

import pytest

from tests.pages import ROOT, blocks_of, run_page
from tests.pipeline import names_in

pytest.importorskip("asdf")
pytest.importorskip("lz4")

PAGE = ROOT / "docs" / "roman.md"


def test_every_block_runs(tmp_path):
    assert [kind for kind, _ in blocks_of(PAGE)] == ["console", "bash", "python"]
    printed = run_page(PAGE, tmp_path)
    assert "(1, 8, 264, 264)" in printed
    assert {"r1_rampfit.asdf", "mine_rampfit.asdf"} <= set(names_in(tmp_path))
