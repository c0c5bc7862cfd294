"""The viewer without a browser: images, scales, which pixel comes next, the server, and what is refused."""

from __future__ import annotations

import dataclasses
import gc
import importlib
import subprocess
import sys
import time
import urllib.error
import urllib.request

import numpy as np
import pytest

from rampfit_numba import Exposure, dq, fit_ramps
from rampfit_numba.cli import main
from rampfit_numba.view.facts import describe
from rampfit_numba.view.picks import Picks
from rampfit_numba.view.planes import list_planes
from rampfit_numba.view.ramp import BAD, JUMP, SATURATED, USED, Ramps
from rampfit_numba.view.scaling import (
    LIMITS,
    NO_VALUE,
    SHADES,
    STRETCHES,
    Part,
    find_limits,
    scale_marks,
    shades,
    shrink,
    visible_part,
)
from tests.test_package import ENVIRONMENT, ROOT, blocks, run

SHAPE = (2, 8, 6, 7)


@pytest.fixture(scope="module")
def fitted():
    data = 100 + 30 * np.arange(8.0)[:, None, None] + np.random.default_rng(3).normal(0, 3, SHAPE)
    flags = np.zeros(SHAPE, np.uint8)
    data[1, 4:, 2, 3] += 600
    flags[1, 4, 2, 3] = dq.JUMP_DET
    flags[0, 6:, 5, 5] = dq.SATURATED
    flags[0, 2, 0, 0] = dq.DO_NOT_USE
    exposure = Exposure(data.astype(np.float32), flags, 2.5)
    return exposure, fit_ramps(exposure, 5.0, 2.0)


class TestScaling:
    def test_a_part_is_no_finer_than_the_screen_and_begins_at_a_block(self):
        assert visible_part((1024, 1032), (-0.5, 1031.5), (-0.5, 1023.5), 500) == Part(0, 1032, 0, 1024, 2)
        assert visible_part((1024, 1032), (100.2, 149.9), (7.0, 20.0), 500) == Part(100, 151, 7, 21, 1)
        assert visible_part((1024, 1032), (101, 899), (103, 800), 300) == Part(100, 900, 102, 801, 2)
        assert visible_part((10, 10), (-50, -40), (60, 70), 300) == Part(0, 1, 9, 10, 1)

    def test_blocks_are_means_of_what_has_a_value(self):
        values = np.arange(20, dtype=np.float32).reshape(4, 5)
        values[0, 0] = np.nan
        values[2:, 2:4] = np.nan
        small = shrink(values, 2)
        np.testing.assert_array_equal(small, [[4, 5, 6.5], [13, np.nan, 16.5]])
        assert small.dtype == np.float32

    def test_blocks_of_flags_have_all_flags(self):
        flags = np.array([[1, 4, 0], [0, 0, 2]], np.uint32)
        np.testing.assert_array_equal(shrink(flags, 2), [[5, 2]])

    @pytest.mark.parametrize("kind", LIMITS)
    @pytest.mark.parametrize("values", [[np.nan, np.nan], [3.0, 3.0], [0.0, 1.0, np.inf], list(range(1000))])
    def test_limits_are_finite_and_apart(self, kind, values):
        low, high = find_limits(np.array(values, np.float32), kind)
        assert np.isfinite([low, high]).all()
        assert low < high

    @pytest.mark.parametrize("stretch", STRETCHES)
    def test_shades_rise_and_have_the_marks_of_the_colour_bar(self, stretch):
        found = shades(np.linspace(-5, 15, 50), (0.0, 10.0), stretch)
        assert (np.diff(found.astype(int)) >= 0).all()
        assert (found[0], found[-1]) == (0, SHADES - 1)
        assert shades(np.array([np.nan]), (0.0, 10.0), stretch)[0] == NO_VALUE
        for place, text in scale_marks((0.0, 10.0), stretch).items():
            # A text is rounded: where the scale is steep, its shade is a few away.
            assert shades(np.array([float(text)]), (0.0, 10.0), stretch)[0] == pytest.approx(place, abs=8)

    def test_marks_differ(self):
        for limits in ((0.0, 1.0), (-1e-4, 1e-4), (1e5, 3e7), (11200.0, 11201.0)):
            assert len(set(scale_marks(limits, "linear").values())) == 6


class TestPlanes:
    def test_every_image_is_what_its_name_says(self, fitted):
        exposure, fit = fitted
        planes = list_planes(exposure, fit)
        for plane in planes.values():
            assert plane.read(1, 3).shape == SHAPE[2:]
        for name, expected in (
            ("rate", fit.rate.data),
            ("err-int", fit.rateints.err[1]),
            ("group", exposure.data[1, 3]),
            ("last-group", exposure.data[1, -1]),
            ("difference", exposure.data[1, 4] - exposure.data[1, 3]),
            ("groupdq", exposure.groupdq[1, 3]),
            ("dq", fit.rate.dq),
            ("dq-JUMP_DET", fit.rate.dq & dq.JUMP_DET),
        ):
            np.testing.assert_array_equal(planes[name].read(1, 3), expected, err_msg=name)
        assert planes["dq-JUMP_DET"].title == "JUMP_DET (1 pixel)"
        assert "dq-HOT" not in planes
        assert "chisq" not in planes

    def test_integrations_are_whole_numbers_on_the_axis(self):
        pytest.importorskip("bokeh", reason="needs bokeh, of the extra view")
        from rampfit_numba.view.series_panel import SeriesPanel

        panel = SeriesPanel("series", "rate (DN/s)")
        panel.show(np.array([1.0, 2.0, 3.0]), np.ones(3))
        assert panel.figure.xaxis[0].ticker.min_interval == 1

    def test_the_last_difference_is_that_before_the_last_group(self, fitted):
        exposure, fit = fitted
        read = list_planes(exposure, fit)["difference"].read
        np.testing.assert_array_equal(read(0, 7), read(0, 6))

    def test_likelihood_fits_have_chi_squares_and_their_own_jumps(self, fitted):
        exposure = Exposure(fitted[0].data, None, 2.5)
        fit = fit_ramps(exposure, 5.0, 2.0, algorithm="likely")
        planes = list_planes(exposure, fit)
        assert np.isfinite(planes["chisq"].read(0, 0)).any()
        assert planes["groupdq"].read(1, 4)[2, 3] & dq.JUMP_DET


class TestPicks:
    def test_jumps_come_row_by_row_and_round_again(self):
        flags = np.zeros((4, 5), np.uint32)
        flags[1, 2] = flags[1, 4] = flags[3, 0] = dq.JUMP_DET
        picks = Picks(_with_flags(flags))
        assert [picks.jump(*pixel) for pixel in ((0, 0), (2, 1), (4, 1), (0, 3))] == [(2, 1), (4, 1), (0, 3), (2, 1)]
        assert [picks.jump(*pixel, by=-1) for pixel in ((0, 0), (2, 1), (0, 3))] == [(0, 3), (0, 3), (4, 1)]
        assert picks.start == (2, 1)

    def test_without_jumps_there_is_none(self):
        picks = Picks(_with_flags(np.zeros((4, 5), np.uint32)))
        assert picks.jump(1, 1) is None
        assert picks.worst(0) is None
        assert picks.start == (2, 2)
        assert picks.neighbour(0, 3, -1, 1) == (0, 3)

    def test_worst_chi_squares_come_by_how_unlikely_they_are(self, fitted):
        exposure, _ = fitted
        fit = fit_ramps(exposure, 5.0, 2.0, algorithm="likely")
        rate = dataclasses.replace(fit.rate, chisq=np.full((6, 7), 10, np.float32), dof=np.full((6, 7), 10, np.int32))
        rate.chisq[4, 1], rate.chisq[0, 6] = 90, 60
        rate.dof[0, 6] = 1
        picks = Picks(dataclasses.replace(fit, rate=rate))
        assert [picks.worst(rank) for rank in range(2)] == [(6, 0), (1, 4)]


def _with_flags(flags):
    exposure = Exposure(np.zeros((1, 2, *flags.shape), np.float32), None, 1.0, pixeldq=flags)
    fit = fit_ramps(exposure, 5.0, 2.0)
    return dataclasses.replace(fit, rate=dataclasses.replace(fit.rate, dq=flags))


class TestRamp:
    def test_samples_and_lines_of_a_ramp_with_a_jump(self, fitted):
        ramp = Ramps(fitted[1], 3, 2)[1]
        assert list(ramp.kind) == [USED] * 4 + [JUMP] + [USED] * 3
        assert [(line.first_group, line.last_group) for line in ramp.lines] == [(0, 3), (4, 7)]
        np.testing.assert_allclose([line.slope for line in ramp.lines], 12.0, atol=2)
        assert np.abs(ramp.residual).max() < 6

    def test_samples_that_cannot_be_used(self, fitted):
        assert list(Ramps(fitted[1], 5, 5)[0].kind) == [USED] * 6 + [SATURATED] * 2
        assert list(Ramps(fitted[1], 0, 0)[0].kind) == [USED] * 2 + [BAD] + [USED] * 5


def test_uneven_times_of_a_straight_line_are_those_of_the_reads():
    times = [1.0, 2.0, 5.0, 6.0, 12.0, 20.0]
    data = (10 * np.array(times, np.float32)).reshape(1, 6, 1, 1)
    exposure = Exposure(data, None, 1.0, read_times=times)
    fit = fit_ramps(exposure, 5.0, 2.0, weighting="uniform")
    ramp = Ramps(fit, 0, 0)[0]
    assert list(ramp.time) == times
    (line,) = ramp.lines
    assert (line.start, line.stop, line.slope) == pytest.approx((1, 20, 10))
    np.testing.assert_allclose(ramp.residual, 0, atol=1e-9)
    assert dict(describe(exposure, fit))["Groups"] == "6, from 1 to 20 s"
    even = Exposure(data, None, 1.5)
    assert dict(describe(even, fit_ramps(even, 5.0, 2.0)))["Groups"] == "6 of 1.5 s"


class TestServer:
    @pytest.fixture
    def viewer(self, fitted):
        pytest.importorskip("bokeh")
        import rampfit_numba

        with rampfit_numba.view(*fitted) as found:
            yield found

    def test_listens_to_this_machine_alone_and_to_who_knows_the_address(self, viewer):
        assert viewer.url.startswith("http://127.0.0.1:")
        host, _, _ = viewer.url.rpartition("/")
        for address in (host, f"{host}/", f"{host}/other"):
            with pytest.raises(urllib.error.HTTPError):
                urllib.request.urlopen(address)  # noqa: S310  (our own server)
        with urllib.request.urlopen(viewer.url) as page:  # noqa: S310
            assert page.status == 200

    def test_shows_itself_in_a_notebook(self, viewer):
        assert f'<iframe src="{viewer.url}"' in viewer._repr_html_()
        viewer.close()
        viewer.close()
        assert not viewer.running
        assert "iframe" not in viewer._repr_html_()
        assert "ended" in repr(viewer)

    def test_refuses_what_is_no_exposure_and_no_fit_of_it(self, fitted):
        pytest.importorskip("bokeh")
        from rampfit_numba import view

        exposure, fit = fitted
        with pytest.raises(TypeError, match="exposure: expected an Exposure; got ndarray"):
            view(exposure.data, fit)
        with pytest.raises(TypeError, match="fit: expected a RampFit; got Exposure"):
            view(exposure, exposure)
        for other in (exposure.data[:, :, :3], exposure.data[:, :5], np.repeat(exposure.data, 2, axis=1)):
            shape = ", ".join(map(str, other.shape))
            with pytest.raises(
                ValueError,
                match=rf"^fit: expected one of this exposure, of shape \({shape}\); got one of \(2, 8, 6, 7\)$",
            ):
                view(Exposure(other, None, 2.5), fit)
        with pytest.raises(ValueError, match="its inputs are None"):
            view(exposure, dataclasses.replace(fit, inputs=None))

    @pytest.mark.parametrize("given", ["caller's", "fit's", "copy"])
    def test_an_exposure_in_electrons_is_shown_in_dn(self, fitted, given):
        pytest.importorskip("bokeh")
        from rampfit_numba import view

        in_dn, expected = fitted
        exposure = Exposure(in_dn.data * 2, in_dn.groupdq, 2.5, data_unit="electron")
        fit = fit_ramps(exposure, 5.0, 2.0)
        shown = {
            "caller's": exposure,
            "fit's": fit.inputs.exposure,
            "copy": Exposure(in_dn.data.copy(), in_dn.groupdq, 2.5),
        }
        with view(shown[given], fit) as viewer:
            subject = viewer._subject
            assert subject.exposure is subject.fit.inputs.exposure
            assert subject.exposure.data_unit == "DN"
            planes = list_planes(subject.exposure, subject.fit)
            for name in ("group", "last-group", "difference"):
                assert planes[name].unit == "DN"
            np.testing.assert_allclose(planes["group"].read(1, 3), in_dn.data[1, 3], rtol=1e-6)
            np.testing.assert_allclose(planes["rate"].read(0, 0), expected.rate.data, rtol=1e-4)
            slopes = subject.fit.segments(3, 1)["slope"]
            np.testing.assert_allclose(slopes.value, expected.segments(3, 1)["slope"].value, rtol=1e-4)
        assert exposure.data_unit == "electron"

    def test_a_port_that_is_taken_is_an_error(self, fitted, viewer):
        from rampfit_numba import view

        with pytest.raises(OSError, match="in use"):
            view(*fitted, port=int(viewer.url.split(":")[2].split("/")[0]))

    def test_a_server_that_starts_slowly_is_waited_for(self, monkeypatch):
        """Its address would be that of no port."""
        pytest.importorskip("bokeh")
        from rampfit_numba.view import server as server_module
        from rampfit_numba.view.server import ViewServer

        create_server = server_module.socket.create_server

        def create_slowly(*args):
            time.sleep(1.5)  # longer than it is waited for at a time
            return create_server(*args)

        with monkeypatch.context() as patched:
            patched.setattr(server_module, "_PATIENCE", 0.1)
            patched.setattr(server_module.socket, "create_server", create_slowly)
            server = ViewServer(lambda _: None, stay=True)
        try:
            assert not server.url.startswith("http://127.0.0.1:0/")
        finally:
            server.close()

    @pytest.mark.parametrize(("patience", "ends"), [(1000.0, False), (0.1, True)])
    def test_a_page_that_is_slow_to_load_does_not_end_the_server_soon(self, monkeypatch, patience, ends):
        """Bokeh forgets a page that was asked for and is not connected yet; when it is, Bokeh makes it anew."""
        pytest.importorskip("bokeh")
        from bokeh.client import pull_session

        from rampfit_numba.view import server as server_module
        from rampfit_numba.view.server import ViewServer

        for name, value in (("_LIFETIME", 100), ("_CHECK", 50), ("_LOADING", patience)):
            monkeypatch.setattr(server_module, name, value)
        server = ViewServer(lambda _: None)
        try:
            with urllib.request.urlopen(server.url) as page:  # noqa: S310  (our own server)
                assert page.status == 200
            while server._tabs:
                time.sleep(0.01)
            assert server.wait(100 if ends else 1) is ends
            if not ends:
                pull_session(url=server.url).close()
        finally:
            server.close()

    def test_what_a_page_was_not_told_ends_with_the_server(self, recwarn, capfd, monkeypatch):
        """At once: what it would wait for otherwise takes longer here than anybody waits for its end."""
        pytest.importorskip("bokeh")
        from bokeh.client import pull_session
        from bokeh.models import Div

        from rampfit_numba.view import server as server_module
        from rampfit_numba.view.server import ViewServer

        monkeypatch.setattr(server_module, "_FAREWELL", 10_000.0)
        monkeypatch.setattr(server_module, "_PATIENCE", 100.0)

        def build(document):
            texts = [Div() for _ in range(8)]
            for text in texts:
                document.add_root(text)
            document.add_periodic_callback(lambda: tell(texts), 20)

        def tell(texts):
            told.append(str(len(told)))
            for text in texts:
                text.text = 2_000_000 * told[-1]

        told = []
        server = ViewServer(build, stay=True)
        try:
            page = pull_session(url=server.url)  # reads no more after that
            number = 0
            while not told or number != len(told):  # until more is to be sent than the system takes
                number = len(told)
                time.sleep(1.0)
            assert page.connected
        finally:
            server.close()
        assert not server.running
        del page
        gc.collect()
        assert [str(warning.message) for warning in recwarn] == []  # a coroutine that was never awaited, say
        assert "Exception in callback" not in capfd.readouterr().err


class TestCommand:
    def test_without_bokeh_one_sentence_names_the_extra(self, monkeypatch, capsys):
        # By its name it could be looked for in the function `rampfit_numba.view`, once another test has used that.
        monkeypatch.setattr(importlib.import_module("rampfit_numba.view.viewer"), "find_spec", lambda _: None)
        assert main(["view", "x.fits", "--readnoise", "5", "--gain", "2"]) == 1
        error = capsys.readouterr().err
        assert "pip install '.[view]'" in error
        assert error.count("\n") == 1
        assert "internal error" not in error

    @pytest.mark.parametrize("port", ["x", "-1", "65536"])
    def test_bad_port(self, port, capsys):
        assert main(["view", "x.fits", "--readnoise", "5", "--gain", "2", f"--port={port}"]) == 2
        assert "--port: expected a number from 0 to 65535" in capsys.readouterr().err

    def test_missing_file(self, capsys):
        pytest.importorskip("bokeh")
        assert main(["view", "nowhere.fits", "--readnoise", "5", "--gain", "2"]) == 1
        assert "nowhere.fits" in capsys.readouterr().err


def test_documentation_example_runs(tmp_path):
    pytest.importorskip("bokeh")
    (code,) = blocks(ROOT / "docs" / "viewer.md", "python")
    assert run("-W", "error", "-c", code, cwd=tmp_path).startswith("http://127.0.0.1:")


def test_nothing_of_bokeh_is_imported_before_a_viewer_is_opened(tmp_path):
    code = "import rampfit_numba.view, sys; sys.exit('bokeh' in sys.modules or 'jinja2' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], env=ENVIRONMENT, cwd=tmp_path, check=True)
