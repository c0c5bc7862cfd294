"""Reports: what they say, that they need nothing else, and that they are whole or absent."""

from __future__ import annotations

import re
from collections import Counter
from html.parser import HTMLParser

import numpy as np
import pytest
from astropy.io import fits

from rampfit_numba import Exposure, dq, fit_ramps, read_exposure
from rampfit_numba.cli import main
from rampfit_numba.report.content import RunFacts, collect
from rampfit_numba.report.figures import _thinned, jump_pictures
from rampfit_numba.report.jump_counts import count_jumps
from tests.browser import Tab, launched
from tests.make_files import KEYWORDS, save
from tests.test_package import ROOT, blocks, run

pytest.importorskip("jinja2", reason="needs Jinja2, of the extra report")
pytest.importorskip("matplotlib", reason="needs matplotlib, of the extra report")

SHAPE = (3, 10, 24, 30)
HOSTILE = "<script>window.hurt=1</script><img src=x onerror='x'>"


class Page(HTMLParser):
    """The tags of a page, and where its links and images lead."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.addresses, self.labels = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        found = dict(attributes)
        self.tags.append(tag)
        self.addresses += [found[name] for name in ("src", "href", "xlink:href", "srcset") if found.get(name)]
        if tag in {"svg", "img"} and "role" in found | {"role": ""}:
            self.labels.append(found.get("aria-label") or found.get("alt") or "")


@pytest.fixture
def exposure_file(tmp_path):
    return write_exposure(tmp_path / "star_jump.fits")


def write_exposure(path, **keywords):
    random = np.random.default_rng(8)
    data = 300 + 25 * np.arange(SHAPE[1])[:, None, None] + random.normal(0, 4, SHAPE)
    flags = np.zeros(SHAPE, np.uint8)
    data[1, 6:, 7, 8] += 700
    flags[1, 6, 7, 8] = 4
    primary = fits.PrimaryHDU()
    for name, value in (KEYWORDS | {"NINTS": SHAPE[0], "NGROUPS": SHAPE[1]} | keywords).items():
        primary.header[name] = value
    return save(
        fits.HDUList(
            [primary, fits.ImageHDU(data.astype(np.float32), name="SCI"), fits.ImageHDU(flags, name="GROUPDQ")]
        ),
        path,
    )


def report(path, *words):
    return main(["report", str(path), "--readnoise", "6", "--gain", "2", *map(str, words)])


class TestPage:
    @pytest.mark.parametrize("algorithm", ["ols", "likely"])
    def test_says_what_ran_and_what_came_out(self, exposure_file, tmp_path, algorithm):
        path = tmp_path / "r.html"
        assert report(exposure_file, "-o", path, "--algorithm", algorithm) == 0
        text = path.read_text(encoding="utf-8")
        for said in (
            "<h1>star_jump.fits</h1>",
            "NIRCAM",
            "value 6",
            algorithm,
            "rampfit_numba",
            "Peak memory",
            "JUMP_DET",
            "Differences between integrations",
            "Most jumps in one ramp",
            "x 8, y 7",
            "Pixels with a jump",
        ):
            assert said in text, said
        assert ("Worst chi-squares" in text) == (algorithm == "likely")

    def test_numbers_have_the_digits_of_their_errors(self, exposure_file, tmp_path):
        path = tmp_path / "r.html"
        assert report(exposure_file, "-o", path) == 0
        rates = re.findall(r"; rate ([-\d.]+) ± ([\d.]+) DN/s", path.read_text(encoding="utf-8"))
        assert rates
        assert all(len(value.partition(".")[2]) == len(err.partition(".")[2]) for value, err in rates)

    def test_a_pixel_without_a_rate_has_none(self, exposure_file, tmp_path):
        with fits.open(exposure_file, mode="update") as file:
            file["GROUPDQ"].data[:, 1, 3, 3] = 4
            file.append(fits.ImageHDU(np.zeros(SHAPE[2:], np.int32), name="PIXELDQ"))
            file["PIXELDQ"].data[3, 3] = 1
        path = tmp_path / "r.html"
        assert report(exposure_file, "-o", path) == 0
        text = path.read_text(encoding="utf-8")
        assert "x 3, y 3</b>: 1 jump in integration 0; no rate; flags: DO_NOT_USE" in text
        assert "nan" not in re.sub(r"<svg.*?</svg>|<style>.*?</style>", "", text, flags=re.DOTALL)

    @pytest.mark.parametrize(
        ("algorithm", "own", "others"),
        [("ols", "weighting", "pedestal"), ("likely", "rejection_threshold", "weighting")],
    )
    def test_shows_the_options_of_the_algorithm(self, exposure_file, tmp_path, algorithm, own, others):
        path = tmp_path / "r.html"
        assert report(exposure_file, "-o", path, "--algorithm", algorithm) == 0
        text = path.read_text(encoding="utf-8")
        assert f"<dt>{own}</dt>" in text
        assert f"<dt>{others}</dt>" not in text
        assert "<pre><code>" in text

    def test_needs_nothing_else_and_every_picture_has_a_text(self, exposure_file, tmp_path):
        path = tmp_path / "r.html"
        assert report(exposure_file, "-o", path) == 0
        page = Page(path.read_text(encoding="utf-8"))
        assert "script" not in page.tags
        assert "link" not in page.tags or page.tags.count("link") == 1
        assert [address for address in page.addresses if not address.startswith(("#", "data:"))] == []
        pictures = re.findall(r'<svg [^>]*role="img" aria-label="([^"]*)"', path.read_text(encoding="utf-8"))
        assert len(pictures) >= 8
        assert all(len(text) > 20 for text in pictures)

    def test_names_of_parts_are_those_of_one_picture_each(self, exposure_file, tmp_path):
        path = tmp_path / "r.html"
        assert report(exposure_file, "-o", path) == 0
        text = path.read_text(encoding="utf-8")
        names = re.findall(r'\bid="([^"]+)"', text)
        twice = {name for name in names if names.count(name) > 1}
        assert not twice
        assert set(re.findall(r"url\(#([^)]+)\)", text)) <= set(names)

    def test_a_header_that_attacks_is_text(self, tmp_path):
        path = tmp_path / "r.html"
        source = write_exposure(tmp_path / "evil<b>_jump.fits", TARGNAME=HOSTILE[:60], FILTER="</style><script>")
        assert report(source, "-o", path) == 0
        text = path.read_text(encoding="utf-8")
        assert "<script" not in text
        assert "<img src=x" not in text
        assert "<b>_jump" not in text
        assert "&lt;script&gt;window.hurt" in text

    def test_of_an_exposure_in_which_nothing_can_be_fitted(self, tmp_path):
        source = write_exposure(tmp_path / "dead_jump.fits")
        with fits.open(source, mode="update") as hdulist:
            hdulist["GROUPDQ"].data[...] = 1
        path = tmp_path / "r.html"
        assert report(source, "-o", path) == 0
        assert "no ramp can be fitted" in path.read_text(encoding="utf-8")

    def test_in_python(self, exposure_file, tmp_path):
        from rampfit_numba.report import write_report

        exposure = read_exposure(exposure_file)
        content = write_report(fit_ramps(exposure, 6.0, 2.0), tmp_path / "r.html")
        assert content.title == "star_jump.fits"
        assert dict(content.summary)["jumps"] == "1"
        (pixel,) = content.notable["Most jumps in one ramp"]
        assert (pixel.x, pixel.y, pixel.integration, pixel.segments) == (8, 7, 1, 2)


class TestJumps:
    @pytest.fixture
    def fit(self):
        random = np.random.default_rng(4)
        shape = (3, 8, 17, 23)
        data = np.cumsum(random.poisson(60, shape), axis=1).astype(np.float32)
        flags = np.where(random.random(shape) < 0.1, 4, 0).astype(np.uint8)
        flags[:, :, 3, 4] = 1
        return fit_ramps(Exposure(data, flags, 3.0), 12.0, 2.0)

    @pytest.mark.parametrize("samples", [1, 1000, 1 << 20])
    def test_are_counted_as_the_table_has_them(self, fit, monkeypatch, samples):
        monkeypatch.setattr("rampfit_numba.report.jump_counts._SAMPLES", samples)
        table, counts = fit.jumps(), count_jumps(fit, 12)
        assert counts.total == len(table) > 500
        assert counts.found == np.count_nonzero(table["found"])
        assert counts.in_usable == np.count_nonzero((fit.rate.dq[table["row"], table["column"]] & 1) == 0)
        wanted = np.zeros(fit.rate.data.shape, int)
        np.add.at(wanted, (table["row"], table["column"]), 1)
        assert (counts.of_pixels == wanted).all()
        assert np.array_equal(np.sort(counts.sizes), np.sort(table["size_e"].value.astype(float)), equal_nan=True)
        ramps = Counter(
            zip(table["integration"].tolist(), table["row"].tolist(), table["column"].tolist(), strict=True)
        )
        crowded = sorted((-count, *ramp) for ramp, count in ramps.items())[:12]
        assert [(-ramp.jumps, *ramp[1:]) for ramp in counts.crowded] == crowded
        names = ("integration", "group", "row", "column")
        jumps = [(-float(row["size_e"].value), *(int(row[name]) for name in names)) for row in table]
        assert [(-jump.size, *jump[1:]) for jump in counts.largest] == sorted(
            jump for jump in jumps if np.isfinite(jump[0])
        )[:12]

    @pytest.mark.parametrize("samples", [2000, 1 << 20])
    def test_of_many_sizes_a_random_sample_is_kept(self, monkeypatch, samples):
        """Odd columns have ten times larger jumps than even ones; one in 16 is a fall, one in 32 has no size."""
        monkeypatch.setattr("rampfit_numba.report.jump_counts._SAMPLES", samples)
        data = np.zeros((1, 12, 64, 64), np.float32)
        sizes = np.where(np.arange(64) % 2, 3000.0, 300.0) + np.linspace(0, 1, 64)[:, None]
        sizes[::16] *= -1
        data[:, 6:] += sizes.astype(np.float32)
        flags = np.zeros(data.shape, np.uint8)
        flags[:, 6] = 4
        flags[:, 6, 5::32] = 5
        fit = fit_ramps(Exposure(data, flags, 3.0), 12.0, 2.0)
        whole = count_jumps(fit, 12)
        assert not whole.sampled
        assert "about" not in dict(collect(fit, RunFacts()).jump_facts)["Size"]
        monkeypatch.setattr("rampfit_numba.report.jump_counts._MOST", 1000)
        counts = count_jumps(fit, 12)
        assert counts.sampled
        assert 500 * 0.8 < counts.sizes.size == counts.sizes_found.size <= 1000
        assert (counts.total, counts.kinds) == (4096, whole.kinds) == (4096, (3712, 0, 256, 128))
        kept = counts.sizes.size
        for which in (lambda size: size > 3000, lambda size: size < 0, np.isnan):
            share = which(whole.sizes).mean()
            assert abs(which(counts.sizes).mean() - share) < 4 * np.sqrt(share * (1 - share) / kept)
        margin = 4 * 50 / np.sqrt(kept)
        low, high = np.nanpercentile(counts.sizes, [50 - margin, 50 + margin])
        assert low <= np.nanmedian(whole.sizes) <= high
        assert np.array_equal(counts.sizes, count_jumps(fit, 12).sizes, equal_nan=True)
        assert "median about" in dict(collect(fit, RunFacts()).jump_facts)["Size"]
        picture = jump_pictures(fit, counts)[0][1]
        for text in ("flagged: 3,712", "256", "128 without a size", f"random sample of {kept}"):
            assert text in picture

    def test_without_jumps_there_is_no_sample(self):
        counts = count_jumps(fit_ramps(Exposure(np.zeros((1, 4, 3, 3), np.float32), None, 3.0), 12.0, 2.0), 12)
        assert (counts.total, counts.sizes.size, counts.sampled) == (0, 0, False)


class TestCommand:
    def test_several_files_have_an_index(self, exposure_file, tmp_path, capsys):
        other = write_exposure(tmp_path / "moon_jump.fits")
        bad = tmp_path / "bad_jump.fits"
        bad.write_text("no FITS")
        words = [exposure_file, other, bad, "--readnoise", "6", "--gain", "2", "-o", tmp_path / "all" / "index.html"]
        assert main(["report", *map(str, words)]) == 1
        assert "bad_jump.fits" in capsys.readouterr().err
        text = (tmp_path / "all" / "index.html").read_text(encoding="utf-8")
        links = re.findall(r'<a href="([^"]+)">', text)
        assert links == ["star_jump_report.html", "moon_jump_report.html"]
        assert all((tmp_path / "all" / link).exists() for link in links)
        assert "bad_jump.fits" in text
        assert "median rate" in text

    def test_existing_reports_are_not_replaced_unasked(self, exposure_file, tmp_path, capsys):
        path = tmp_path / "r.html"
        path.write_text("mine")
        assert report(exposure_file, "-o", path) == 1
        assert "exists" in capsys.readouterr().err
        assert path.read_text() == "mine"
        assert report(exposure_file, "-o", path, "--overwrite") == 0
        assert path.read_text(encoding="utf-8").startswith("<!DOCTYPE html>")

    def test_a_failure_leaves_nothing(self, exposure_file, tmp_path, monkeypatch):
        monkeypatch.setattr(
            "rampfit_numba.io.whole_files.os.fsync", lambda _: (_ for _ in ()).throw(OSError(28, "full"))
        )
        assert report(exposure_file, "-o", tmp_path / "r.html") == 1
        assert sorted(path.name for path in tmp_path.iterdir()) == ["star_jump.fits"]

    def test_beside_the_products_of_a_fit(self, exposure_file, tmp_path):
        words = ["fit", str(exposure_file), "--readnoise", "6", "--gain", "2", "--output-dir", str(tmp_path / "out")]
        assert main([*words, "--report"]) == 0
        assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
            "star_jump_report.html",
            "star_rate.fits",
            "star_rateints.fits",
        ]
        text = (tmp_path / "out" / "star_jump_report.html").read_text(encoding="utf-8")
        assert "star_rate.fits, star_rateints.fits" in text

    def test_without_the_extra_one_sentence_names_it(self, monkeypatch, capsys):
        monkeypatch.setattr("rampfit_numba.report.page.find_spec", lambda _: None)
        assert main(["report", "x.fits", "--readnoise", "6", "--gain", "2"]) == 1
        error = capsys.readouterr().err
        assert "pip install '.[report]'" in error
        assert error.count("\n") == 1


def test_documentation_example_runs(tmp_path):
    (code,) = blocks(ROOT / "docs" / "report.md", "python")
    assert "median rate" in run("-W", "error", "-c", code, cwd=tmp_path)


@pytest.mark.browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 820, 1400])
def test_fits_every_screen(exposure_file, tmp_path, width, scheme):
    path = tmp_path / "r.html"
    assert report(exposure_file, "-o", path) == 0
    with launched() as browser:
        tab = Tab(browser, path.as_uri(), width=width, scheme=scheme)
        assert tab.page.evaluate("() => document.documentElement.scrollWidth") <= width
        assert (tab.complaints, tab.foreign) == ([], [])
        tab.close()


def test_explicit_times_are_shown_and_no_frames_that_nobody_read():
    data = np.arange(6, dtype=np.float32).reshape(1, 6, 1, 1) * 30
    times = [(3.0,), (6.0,), (9.0, 12.0), (15.0, 18.0), (21.0, 24.0), (27.0,)]
    fit = fit_ramps(Exposure(data, None, read_times=times), 14.0, 2.0, algorithm="likely")
    shown = dict(collect(fit, RunFacts()).observation)
    assert (shown["Groups"], shown["Frames"]) == ("6, from 3 to 27 s", "1 to 2 a group")


@pytest.mark.parametrize("algorithm", ["ols", "likely"])
def test_the_rate_of_jumps_counts_the_true_time(algorithm):
    times = [1.0, 2.0, 5.0, 6.0, 12.0, 21.0]
    data = (10 * np.array(times, np.float32)).reshape(1, 6, 1, 1).repeat(2, axis=0)
    data[0, 3:] += 900
    flags = np.zeros(data.shape, np.uint8)
    flags[0, 3] = dq.JUMP_DET
    # The group time is that of the first two groups.
    fit = fit_ramps(Exposure(data, flags, 1.0, read_times=times), 14.0, 2.0, algorithm=algorithm)
    assert dict(collect(fit, RunFacts()).jump_facts)["Rate"] == f"{1 / 40:.4g} a second in 1 usable pixels"


def test_of_very_many_values_a_random_sample_is_drawn():
    """Every so many of an image would be of some of its columns, of which odd and even ones can differ."""
    values = np.tile([1.0, 5.0], 4000)
    drawn = _thinned(values, 2000)
    assert drawn.size == 2000
    assert abs(np.mean(drawn == 5.0) - 0.5) < 4 * 0.5 / np.sqrt(2000)
    np.testing.assert_array_equal(_thinned(values, 2000), drawn)
    assert _thinned(values, values.size) is values
