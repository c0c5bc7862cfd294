"""The viewer in a real browser."""

from __future__ import annotations

import os
import time

import numpy as np
import pytest
from astropy.io import fits

from rampfit_numba import fit_ramps, read_exposure
from tests.browser import Tab, chromium, launched
from tests.make_files import KEYWORDS, save

pytestmark = pytest.mark.browser

SHAPE = (3, 12, 40, 50)
JUMP = {"x": 31, "y": 17, "integration": 1, "group": 5}
HOSTILE = "<script>window.hurt = 1</script><img src=x onerror='window.hurt = 2'> $$\\frac{1}{2}$$"

# The pixel that a page shows, as its models have it.
SHOWN = """([x, y]) => {
    const model = (name) => Bokeh.documents[0].get_model_by_name(name);
    const said = model('summary').text.includes(`x ${x}, y ${y}<`);
    return model('x').value === x && model('y').value === y && said;
}"""

READY = "() => document.documentElement.dataset.ready === 'yes'"


@pytest.fixture(scope="module")
def browser():
    with launched() as found:
        yield found


def write_exposure(path, *, keywords=None):
    """Write straight ramps of 20 DN a group, one of which has a jump of 900 DN."""
    random = np.random.default_rng(5)
    data = 500 + 20 * np.arange(SHAPE[1])[:, None, None] + random.normal(0, 4, SHAPE)
    flags = np.zeros(SHAPE, np.uint8)
    place = JUMP["integration"], slice(JUMP["group"], None), JUMP["y"], JUMP["x"]
    data[place] += 900
    flags[JUMP["integration"], JUMP["group"], JUMP["y"], JUMP["x"]] = 4
    flags[2, 8:, 3, 4] = 2
    flags[:, 0, 9, 9] = 1
    primary = fits.PrimaryHDU()
    for name, value in (KEYWORDS | {"NINTS": SHAPE[0], "NGROUPS": SHAPE[1]} | (keywords or {})).items():
        primary.header[name] = value
    hdus = [primary, fits.ImageHDU(data.astype(np.float32), name="SCI"), fits.ImageHDU(flags, name="GROUPDQ")]
    return save(fits.HDUList([*hdus, fits.ImageHDU(np.zeros(SHAPE[2:], np.uint32), name="PIXELDQ")]), path)


@pytest.fixture
def exposure(tmp_path):
    return read_exposure(write_exposure(tmp_path / "star_jump.fits"))


@pytest.fixture
def viewer(exposure):
    chromium()
    import rampfit_numba

    with rampfit_numba.view(exposure, fit_ramps(exposure, 6.0, 2.0)) as found:
        yield found


@pytest.fixture
def tab(browser, viewer):
    found = opened(browser, viewer.url)
    yield found
    found.close()


def opened(browser, url):
    """Return a tab whose page is whole."""
    tab = Tab(browser, url)
    tab.wait(READY)
    return tab


def place_of(tab, x, y):
    """Return where on the screen a pixel of the image is."""
    return tab.page.evaluate(
        """([x, y]) => {
            const view = Bokeh.index.find_one(Bokeh.documents[0].get_model_by_name('image'));
            const box = view.canvas.el.getBoundingClientRect();
            return [box.left + view.frame.x_scale.compute(x), box.top + view.frame.y_scale.compute(y)];
        }""",
        [x, y],
    )


def click_pixel(tab, x, y):
    """Click a pixel of the image."""
    tab.page.mouse.click(*place_of(tab, x, y))


class TestPage:
    def test_loads_without_complaints_and_asks_nobody_else(self, tab):
        tab.page.wait_for_timeout(500)
        assert tab.complaints == []
        assert tab.foreign == []
        assert tab.page.title() == "star_jump.fits: ramps"
        assert tab.page.locator("h1").inner_text() == "star_jump.fits"

    def test_click_on_a_pixel_with_a_jump_shows_its_segments(self, tab):
        click_pixel(tab, 10, 10)
        tab.wait(SHOWN, [10, 10])
        click_pixel(tab, JUMP["x"], JUMP["y"])
        tab.wait(SHOWN, [JUMP["x"], JUMP["y"]])
        # The integration stays the one that is looked at: that with the jump, with which the page began.
        assert tab.value("integration") == JUMP["integration"]
        text = tab.value("segments", "text")
        assert "0 to 4" in text
        assert "5 to 11" in text
        assert text.count("<tr>") == 3
        lines = tab.page.evaluate("() => Array.from(Bokeh.documents[0].get_model_by_name('lines').data.x0)")
        assert lines == pytest.approx([3.0 * 0 + 1.5, 3.0 * 5 + 1.5], abs=2.0)
        assert tab.page.locator("text=after a jump").count() == 1
        assert tab.complaints == []

    def test_is_answered_quickly(self, browser, viewer, tab):
        """In less than a fifth of the time that the page takes to open on the same machine."""
        opening = []
        for _ in range(3):
            begin = time.perf_counter()
            opened(browser, viewer.url).close()
            opening.append(time.perf_counter() - begin)
        took = []
        for number in range(8):
            x, y = 5 + 4 * number, 6 + 3 * number
            begin = time.perf_counter()
            click_pixel(tab, x, y)
            tab.wait(SHOWN, [x, y])
            took.append(time.perf_counter() - begin)
        assert min(took) < min(opening) / 5, (took, opening)

    def test_keys(self, tab):
        click_pixel(tab, 10, 10)
        tab.wait(SHOWN, [10, 10])
        for key, x, y in (
            ("ArrowRight", 11, 10),
            ("ArrowUp", 11, 11),
            ("Shift+ArrowLeft", 1, 11),
            ("Shift+ArrowDown", 1, 1),
        ):
            tab.page.keyboard.press(key)
            tab.wait(SHOWN, [x, y])
        tab.page.keyboard.press("j")
        tab.wait(SHOWN, [JUMP["x"], JUMP["y"]])
        tab.page.keyboard.press("i")
        tab.wait("() => Bokeh.documents[0].get_model_by_name('integration').value === 2")
        assert tab.complaints == []

    def test_typed_position_and_buttons(self, tab):
        field = tab.page.get_by_label("x (column)")
        field.fill("4")
        field.press("Enter")
        field = tab.page.get_by_label("y (row)")
        field.fill("3")
        field.press("Enter")
        tab.wait(SHOWN, [4, 3])
        tab.page.get_by_role("button", name="Next jump").click()
        tab.wait(SHOWN, [JUMP["x"], JUMP["y"]])
        assert tab.complaints == []

    @pytest.mark.parametrize(
        "plane", ["err", "rate-int", "last-group", "group", "difference", "groupdq", "dq", "dq-JUMP_DET"]
    )
    def test_every_image(self, tab, plane):
        tab.page.evaluate("(plane) => { Bokeh.documents[0].get_model_by_name('plane').value = plane; }", plane)
        tab.wait("(plane) => Bokeh.documents[0].get_model_by_name('image_source').data.plane?.[0] === plane", plane)
        assert tab.complaints == []

    def test_box_has_a_light_curve(self, tab):
        before = tab.value("curve_note", "text")
        tab.page.evaluate(
            """() => {
                const plot = Bokeh.documents[0].get_model_by_name('image');
                const tool = plot.toolbar.tools.find((tool) => tool.type === 'BoxSelectTool');
                plot.toolbar.active_drag = tool;
                tool.active = true;
            }"""
        )
        start, end = (place_of(tab, *pixel) for pixel in ((10, 10), (20, 14)))
        tab.page.mouse.move(*start)
        tab.page.mouse.down()
        tab.page.mouse.move(*end, steps=5)
        tab.page.mouse.up()
        tab.wait("(before) => Bokeh.documents[0].get_model_by_name('curve_note').text !== before", before)
        assert "x 10 to 20, y 10 to 14: mean of 55 pixels" in tab.value("curve_note", "text")
        assert tab.complaints == []

    @pytest.mark.parametrize("button", ["Save image (PNG)", "Save ramp (PNG)"])
    def test_what_is_shown_is_saved(self, tab, button, tmp_path):
        with tab.page.expect_download() as download:
            tab.page.get_by_role("button", name=button).click()
        name = download.value.suggested_filename
        assert name == ("star_jump_rate.png" if "image" in button else f"star_jump_x{JUMP['x']}_y{JUMP['y']}.png")
        download.value.save_as(tmp_path / name)
        assert (tmp_path / name).read_bytes().startswith(b"\x89PNG")
        assert (tmp_path / name).stat().st_size > 5000
        assert tab.complaints == []


def test_two_tabs_do_not_disturb_each_other(browser, viewer):
    tabs = [opened(browser, viewer.url) for _ in range(2)]
    for tab, pixel in zip(tabs, ([7, 8], [20, 30]), strict=True):
        click_pixel(tab, *pixel)
        tab.wait(SHOWN, pixel)
    tabs[0].wait(SHOWN, [7, 8])
    assert [tab.complaints for tab in tabs] == [[], []]
    for tab in tabs:
        tab.close()


def test_two_viewers_at_once(browser, exposure):
    import rampfit_numba

    fit = fit_ramps(exposure, 6.0, 2.0)
    with rampfit_numba.view(exposure, fit) as one, rampfit_numba.view(exposure, fit) as other:
        assert one.url.rpartition("/")[0] != other.url.rpartition("/")[0]
        for viewer in (one, other):
            tab = opened(browser, viewer.url)
            assert tab.complaints == []
            tab.close()


TOLD = "() => Bokeh.documents[0].get_model_by_name('message').text.includes('gone_jump.fits')"


@pytest.mark.parametrize("fate", ["vanishes", "is cut"])
def test_a_file_that_is_lost_is_told_and_the_page_stays(fate, browser, tmp_path):
    import rampfit_numba

    path = write_exposure(tmp_path / "gone_jump.fits")
    exposure = read_exposure(path)
    with rampfit_numba.view(exposure, fit_ramps(exposure, 6.0, 2.0)) as viewer:
        tab = opened(browser, viewer.url)
        if fate == "vanishes":
            path.unlink()
        else:
            os.truncate(path, 5000)
        tab.page.get_by_label("Image", exact=True).select_option(label="Last group")
        tab.wait(TOLD)
        assert "gone_jump.fits" in tab.page.get_by_role("alert").inner_text()
        # What was fitted can still be looked at, and the server lives.
        tab.page.evaluate("() => { Bokeh.documents[0].get_model_by_name('plane').value = 'err'; }")
        tab.wait("() => Bokeh.documents[0].get_model_by_name('image_source').data.plane?.[0] === 'err'")
        click_pixel(tab, 10, 10)
        tab.wait("() => Bokeh.documents[0].get_model_by_name('x').value === 10")
        assert viewer.running
        assert tab.complaints == []
        tab.close()


def test_a_header_that_attacks_is_text(browser, tmp_path):
    import rampfit_numba

    path = tmp_path / "evil<b>&'jump.fits"
    write_exposure(path, keywords={"TARGNAME": HOSTILE[:60], "FILTER": "</script><h1>x"})
    exposure = read_exposure(path)
    with rampfit_numba.view(exposure, fit_ramps(exposure, 6.0, 2.0)) as viewer:
        tab = opened(browser, viewer.url)
        assert tab.page.evaluate("() => window.hurt") is None
        assert tab.page.locator("h1").all_inner_texts() == ["evil<b>&'jump.fits"]
        assert HOSTILE[:20] in tab.page.locator("dl").inner_text()
        assert tab.complaints == []
        tab.close()


def test_the_last_tab_ends_the_viewer_that_opened_it(browser, exposure, monkeypatch):
    import rampfit_numba

    asked = []
    monkeypatch.setattr("webbrowser.open", asked.append)
    monkeypatch.setattr("rampfit_numba.view.server._LOADING", 1000.0)  # it was shown, and is not waited for
    viewer = rampfit_numba.view(exposure, fit_ramps(exposure, 6.0, 2.0), browser=True)
    assert asked == [viewer.url]
    tab = opened(browser, viewer.url)
    tab.page.reload()
    tab.wait(READY)
    assert not viewer.wait(6)
    tab.close()
    assert viewer.wait(100)


def test_an_ended_viewer_says_so(browser, exposure):
    import rampfit_numba

    viewer = rampfit_numba.view(exposure, fit_ramps(exposure, 6.0, 2.0))
    tab = opened(browser, viewer.url)
    assert not tab.page.locator("#ended").is_visible()
    viewer.close()
    tab.page.locator("#ended").wait_for(state="visible")
    tab.close()
