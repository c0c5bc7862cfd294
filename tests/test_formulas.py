"""A kernel is checkable against its paper line by line: formula, source and units stand in its own docstring."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.twins import find_kernels, kernel_of

DOCS = Path(__file__).parent.parent / "docs"
#: Modules of rules: flags and what follows from them, sorting, and those that put other kernels together.
RULES = {
    "rates",
    "samples",
    "selection",
    "used_reads",
    "likely.flags",
    "ols.block",
    "ols.block_rates",
    "ols.expected",
    "ols.long_median",
    "ols.ramp_status",
    "ols.segments",
    "ols.short_median",
    "ols.tile",
}
#: Kernels in the other modules that compute nothing of a paper's.
WITHOUT = {
    "likely.differences.list_finite": "puts differences in a list",
    "likely.differences.list_used": "puts differences in a list",
    "likely.fit.number_used": "counts",
    "ols.charge_loss.has_charge_loss": "looks for a flag",
    "ols.combine.bounded": "a bound of the reference",
    "ols.combine.copy_values": "rounds",
    "ols.fitopt.store_clean": "store_segment for vectors",
    "ols.fitopt.store_segments": "store_segment for a block",
    "ols.long_segments.fit_long_segments": "fit_long for a block",
    "ols.long_segments.sum_pairwise": "adds up",
    "ols.means.rank_segments": "puts segments in order",
    "ols.median_rate.find_cancelled": "asks for digits that are lost",
    "ols.median_rate.is_exact": "asks for digits that are lost",
}
PAPERS = {
    "Brandt 2024a": "PASP 136, 045004",
    "Brandt 2024b": "PASP 136, 045005",
    "Casertano 2022": "Roman-STScI-000394",
    "Fixsen et al. 2000": "PASP 112, 1350",
    "Regan 2007": "JWST-STScI-001212",
    "Robberto 2008": "JWST-STScI-0001490",
}
#: Equations of Brandt 2024a that were looked up: tau, the covariance of groups, differences, their covariance.
EQUATIONS = {4, 5, 11, 28, 29}
UNIT = re.compile(r"\b(DN|e-|s|DN/s)\b|e-|\bnone\b", re.IGNORECASE)
GREEK = {"alpha", "beta", "delta", "rho", "sigma", "tau"}
#: Indices, and short words.
COMMON = {"a", "an", "as", "at", "by", "g", "i", "in", "is", "it", "j", "k", "of", "on", "or", "to"}
FORMULAS = [name for name in find_kernels() if name.rpartition(".")[0] not in RULES and name not in WITHOUT]


def sections_of(text: str) -> dict[str, str]:
    """Return the sections of a docstring by their titles; what stands before them has none."""
    lines, found, title = text.splitlines(), {"": ""}, ""
    for k, line in enumerate(lines):
        following = lines[k + 1].strip() if k + 1 < len(lines) else ""
        if line.strip() and following == "-" * len(line.strip()):
            title = line.strip()
            found[title] = ""
        elif set(line.strip()) != {"-"}:
            found[title] += line + "\n"
    return found


def check_formula(docstring: str) -> None:
    """Check that a docstring has a formula, its source and units, and says what the letters are."""
    found = sections_of(docstring)
    for title in ("Formula", "Source", "Units"):
        assert found.get(title, "").strip(), f"no section {title}"
    formula = found.pop("Formula")
    assert "=" in formula, "a formula has two sides"
    defined = {letter for line in formula.splitlines() for side in line.split("=")[:-1] for letter in letters_of(side)}
    unknown = letters_of(formula) - letters_of(" ".join(found.values())) - defined
    assert not unknown, f"what is {', '.join(sorted(unknown))}?"
    check_source(found["Source"])
    assert UNIT.search(found["Units"]), "no unit"


def letters_of(text: str) -> set[str]:
    """Return the letters of a text, Greek ones included, without their indices."""
    bases = {word.partition("_")[0] for word in re.findall(r"[A-Za-z]\w*", text)}
    return {base for base in bases if len(base) <= 2 or base in GREEK} - COMMON


def check_source(source: str) -> None:
    """Check that papers are known, equations were looked up, and sections are there."""
    source = " ".join(source.split())
    for author in re.findall(r"[A-Z][a-z]+(?: et al\.)? \d{4}[ab]?", source):
        assert author in PAPERS, f"{author} is not among the papers"
        assert PAPERS[author] in source, f"where is {author}?"
    for numbers in re.findall(r"equations? ([\d, and]+\d|\d+)", source):
        assert "Brandt 2024a" in source
        assert {int(number) for number in re.findall(r"\d+", numbers)} <= EQUATIONS
    pages = re.findall(r"docs/(\w+\.md)", source)
    assert pages, "no page of the documentation"
    for page in pages:
        text = (DOCS / page).read_text(encoding="utf-8")
        headings = {int(number) for number in re.findall(r"^## (\d+)\.", text, re.MULTILINE)}
        part = source[: source.index(page)]
        named = re.findall(r"[sS]ections? ([\d., and]+?) (?:of|to)", part[max(part.rfind(";"), part.rfind(". S"), 0) :])
        for number in re.findall(r"\d+", " ".join(re.sub(r"\.\d+", "", text) for text in named)):
            assert int(number) in headings, f"{page} has no section {number}"


@pytest.mark.parametrize("name", FORMULAS)
def test_a_kernel_says_what_it_computes(name):
    kernel = kernel_of(name)
    check_formula(getattr(kernel, "py_func", kernel).__doc__)


def test_exceptions_are_kernels():
    names = set(find_kernels())
    assert set(WITHOUT) <= names
    assert {name.rpartition(".")[0] for name in names} >= RULES


GOOD = """Return a variance.

    Formula
    -------
    v = p / (t_g G)

    Source
    ------
    Robberto 2008 (JWST-STScI-0001490); section 5 of ``docs/algorithm.md``.

    Units
    -----
    p in DN/s, t_g in s, G in e-/DN.
    """


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ("Formula\n    -------\n", "", "no section Formula"),
        ("v = p / (t_g G)", "see the paper", "two sides"),
        ("v = p / (t_g G)", "v = p / (t_g G) + Q", r"what is Q\?"),
        ("Robberto 2008", "Nobody 2031", "not among the papers"),
        ("0001490", "0001491", "where is Robberto"),
        ("section 5", "section 77", "no section 77"),
        ("; section 5 of ``docs/algorithm.md``", "", "no page"),
        ("p in DN/s, t_g in s, G in e-/DN.", "p, t and G as always.", "no unit"),
    ],
)
def test_rubbish_is_no_formula(before, after, message):
    check_formula(GOOD)
    assert before in GOOD
    with pytest.raises(AssertionError, match=message):
        check_formula(GOOD.replace(before, after))


def test_equations_are_those_that_were_looked_up():
    check_source("Brandt 2024a (PASP 136, 045004), equations 28 and 29; section 4 of ``docs/likelihood.md``.")
    with pytest.raises(AssertionError):
        check_source("Brandt 2024a (PASP 136, 045004), equation 99; section 4 of ``docs/likelihood.md``.")
