"""Whatever a page of the documentation shows runs as it stands, and every link leads somewhere."""

from __future__ import annotations

import importlib.util
import re

import pytest

from tests.pages import PAGES, ROOT, blocks_of, is_executed_at_build, run_page

#: Pages whose blocks need more than the extra `test`: their own tests run them (test_view.py, test_report.py).
OWN_TESTS = {"viewer.md", "report.md"}
#: Pages whose blocks need more, and the module that tells whether it is there.
NEEDS = {"jwst.md": "jwst"}
PLOTTING = "matplotlib"


def _page(page):
    name = str(page.relative_to(ROOT))
    marks = []
    if page.name in NEEDS:
        marks.append(pytest.mark.jwst)
    return pytest.param(page, id=name, marks=marks)


@pytest.mark.parametrize(
    "page",
    [
        _page(page)
        for page in PAGES
        if page.name not in {*NEEDS, *OWN_TESTS, "CONTRIBUTING.md"}
        and blocks_of(page)
        and not is_executed_at_build(page)
    ],
)
def test_every_block_runs(page, tmp_path):
    draws = any(word in page.read_text(encoding="utf-8") for word in (PLOTTING, "rampfit_numba.plot", "rampfit plot"))
    if draws and importlib.util.find_spec(PLOTTING) is None:
        pytest.skip("needs matplotlib, of the extra plot")
    assert run_page(page, tmp_path).strip(), "nothing was printed"
    if page.name == "README.md":
        assert {"demo_rate.fits", "demo_rateints.fits"} <= {file.name for file in tmp_path.iterdir()}
        written = {file.name for file in (tmp_path / "out").iterdir()}
        assert written == {"demo_rate.fits", "demo_rateints.fits", "demo_fitopt.fits"}


@pytest.mark.parametrize("page", [pytest.param(page, id=str(page.relative_to(ROOT))) for page in PAGES])
def test_links_lead_somewhere(page):
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    for target in re.findall(r"\]\((?!https?://)([^)#\s]+)", text):
        assert (page.parent / target).exists(), target


def test_every_page_is_in_a_table_of_contents():
    listed = set()
    for page in PAGES:
        for tree in re.findall(r"```\{toctree\}\n(.*?)```", page.read_text(encoding="utf-8"), flags=re.DOTALL):
            for line in tree.splitlines():
                if line.strip() and not line.startswith(":"):
                    target = line.rpartition("<")[2].rstrip(">").strip()
                    listed.add((page.parent / f"{target}.md").resolve())
    pages = {page for page in PAGES if page.is_relative_to(ROOT / "docs")} - {ROOT / "docs" / "index.md"}
    assert pages == listed & pages, sorted(str(page.relative_to(ROOT)) for page in pages - listed)
