"""Pictures: what the artists say, not how they look."""

from __future__ import annotations

import re
import warnings

import matplotlib as mpl
import numpy as np
import pytest

from rampfit_numba import Exposure, RampFileError, fit_ramps, plot, simulate_exposure, write_products
from tests.cases import run_engine
from tests.likely_cases import run_engine as run_likely
from tests.random_exposures import random_case
from tests.random_likely import random_likely_case
from tests.sizes import fewer

mpl.use("Agg")

D, S, J, P = 1, 2, 4, 32


@pytest.fixture(autouse=True)
def _closed_afterwards():
    from matplotlib import pyplot as plt

    shown = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plt, "show", lambda *_, **__: shown.append(True))
        yield
    plt.close("all")
    assert not shown


def exposure(**flags):
    """Return an exposure of one pixel, 10 DN/s, whose groups have the flags given as g0=1."""
    data = (100 + 30 * np.arange(10, dtype=np.float32)).reshape(1, 10, 1, 1)
    groupdq = np.zeros(data.shape, np.uint8)
    for name, value in flags.items():
        groupdq[0, int(name[1:])] = value
    return data, groupdq


def artists(figure, prefix):
    """Return the lines of all axes whose gid begins so."""
    return [line for ax in figure.axes for line in ax.get_lines() if str(line.get_gid()).startswith(prefix)]


def texts(figure, gid):
    return [text for ax in figure.axes for text in ax.texts if str(text.get_gid()).startswith(gid)]


def draw(figure):
    """Lay the figure out as saving it does; warnings are errors."""
    figure.canvas.draw()
    return figure.canvas.get_renderer()


def check_layout(figure):
    """No text leaves the figure, no number leaves its axes or lies on a sample, no report reaches into other axes."""
    renderer = draw(figure)
    box = figure.bbox
    for text in texts(figure, "report"):
        here = text.get_window_extent(renderer)
        assert box.x0 <= here.x0
        assert here.x1 <= box.x1 + 1, f"leaves the figure by {here.x1 - box.x1} px: {text.get_text()!r}"
        for ax in figure.axes:
            if ax is not text.axes and ax.get_lines():
                assert not ax.get_window_extent(renderer).overlaps(here)
    for ax in figure.axes:
        numbers = [text for text in ax.texts if str(text.get_gid()).startswith("number")]
        samples = [line for line in ax.get_lines() if str(line.get_gid()).startswith(("samples", "segment"))]
        for text in numbers:
            here = text.get_window_extent(renderer)
            frame = ax.get_window_extent(renderer)
            assert frame.x0 <= here.x0
            assert here.x1 <= frame.x1
            assert here.y1 <= frame.y1
            for line in samples:
                points = ax.transData.transform(np.column_stack(line.get_data()))
                assert not (points[:, 1] > here.y0).any(), "a sample reaches the strip of the numbers"


# ------------------------------------------------------------------------------------------------------------ plot_ramp
def test_each_segment_has_its_line_over_its_own_groups():
    data, flags = exposure(g4=J)
    data[0, 4:] += 1000
    fit = fit_ramps(Exposure(data, flags, 3.0), 5.0, 2.0)
    figure = plot.plot_ramp(fit, 0, 0)
    lines = artists(figure, "segment-")
    assert len(lines) == 2
    np.testing.assert_allclose(lines[0].get_xdata(), [3, 12])
    np.testing.assert_allclose(lines[0].get_ydata(), [100, 190])
    np.testing.assert_allclose(lines[1].get_xdata(), [15, 30])
    np.testing.assert_allclose(lines[1].get_ydata(), [1220, 1370])
    (jump,) = artists(figure, "samples-jump")
    np.testing.assert_allclose(jump.get_data(), [[15], [1220]])
    (marked,) = artists(figure, "jump")
    np.testing.assert_allclose(marked.get_xdata(), 13.5)
    report = texts(figure, "report")[0].get_text()
    assert "rate 10.0" in report
    assert "1: groups 0-3, weight 22 %" in report
    assert "2: groups 4-9, weight 78 %" in report
    check_layout(figure)


def test_flags_are_marked_and_far_samples_stand_at_the_edge():
    data, flags = exposure(g0=D, g7=S, g8=S, g9=S | D)
    data[0, 0] = 1e6
    data[0, 7:] = 300
    figure = plot.plot_ramp(fit_ramps(Exposure(data, flags, 3.0), 5.0, 2.0), 0, 0)
    (saturated,) = artists(figure, "samples-saturated")
    assert list(saturated.get_xdata()) == [24, 27, 30]
    beyond = artists(figure, "beyond")
    assert [list(line.get_xdata()) for line in beyond] == [[3]]
    ax = saturated.axes
    assert ax.get_ylim()[1] < 1000
    labels = {text.get_text() for text in figure.legends[0].get_texts()}
    assert {"fitted", "saturated", "do not use", "beyond the axis", "line of a segment"} <= labels
    check_layout(figure)


def test_miri_lines_are_where_the_samples_are():
    data, flags = exposure(g0=D, g9=D)
    data[0, 0] += 5000
    figure = plot.plot_ramp(fit_ramps(Exposure(data, flags, 3.0, instrument="MIRI"), 5.0, 2.0), 0, 0)
    (line,) = artists(figure, "segment-")
    np.testing.assert_allclose(line.get_xdata(), [6, 27])
    np.testing.assert_allclose(line.get_ydata(), [130, 340])


def test_residuals_are_in_units_of_their_noise():
    rng = np.random.default_rng(0)
    data, flags = exposure(g5=J)
    data += rng.normal(0, 5, data.shape).astype(np.float32)
    fit = fit_ramps(Exposure(data, flags, 3.0), 5 * np.sqrt(2), 2.0)
    figure = plot.plot_ramp(fit, 0, 0)
    samples = fit.samples(0, 0)
    pulls = samples["residual"].value / samples["noise"].value
    (good,) = artists(figure, "residuals-good")
    np.testing.assert_allclose(good.get_ydata(), np.delete(pulls, 5))
    assert good.axes.get_ylim()[1] >= np.nanmax(np.abs(pulls))


def test_found_jumps_are_told_from_flagged_ones():
    data, flags = exposure(g3=J)
    data[0, 3:] += 500
    data[0, 7:] += 900
    figure = plot.plot_ramp(fit_ramps(Exposure(data, flags, 3.0), 5.0, 2.0, algorithm="likely_joint"), 0, 0)
    assert [list(line.get_xdata()) for line in artists(figure, "samples-jump")] == [[12]]
    assert [list(line.get_xdata()) for line in artists(figure, "samples-found")] == [[24]]
    assert len(artists(figure, "segment-")) == 3


@pytest.mark.parametrize("algorithm", ["ols", "likely"])
def test_uneven_times_are_those_of_the_reads(algorithm):
    times = [1.0, 2.0, 5.0, 6.0, 12.0, 20.0]
    data = (10 * np.array(times, np.float32)).reshape(1, 6, 1, 1)
    fit = fit_ramps(Exposure(data, None, read_times=times, group_time=1.0), 5.0, 2.0, algorithm=algorithm)
    figure = plot.plot_ramp(fit, 0, 0)
    (good,) = artists(figure, "samples-good")
    assert list(good.get_xdata()) == times
    (line,) = artists(figure, "segment-")
    np.testing.assert_allclose(line.get_ydata(), [10, 200], rtol=1e-6)


@pytest.mark.parametrize("seed", range(fewer(40, 6)))
def test_every_odd_ols_ramp_can_be_drawn(seed):
    case = random_case(seed, small=True)
    figure = plot.plot_ramp(run_engine(case), 0, 0)
    check_layout(figure)


@pytest.mark.parametrize("seed", range(fewer(20, 4)))
def test_every_odd_likelihood_ramp_can_be_drawn(seed):
    figure = plot.plot_ramp(run_likely(random_likely_case(seed, small=True), "likely_joint"), 0, 0)
    check_layout(figure)


def test_nothing_fitted_and_nothing_finite_are_drawn_too():
    data, flags = exposure()
    data[:] = np.nan
    with pytest.warns(match="no ramp can be fitted"):
        fit = fit_ramps(Exposure(data, flags, 3.0), 5.0, 2.0)
    figure = plot.plot_ramp(fit, 0, 0)
    assert "no segment was fitted" in texts(figure, "report")[0].get_text()
    assert len(artists(figure, "samples-lost")[0].get_xdata()) == 10
    check_layout(figure)


def test_lone_zeroframe_and_single_groups_have_a_line():
    data, flags = exposure(**{f"g{g}": S for g in range(10)})
    data, flags = np.repeat(data, 2, axis=3), np.repeat(flags, 2, axis=3)
    flags[0, 0, 0, 1] = 0
    both = Exposure(data, flags, 3.0, nframes=2, groupgap=1, zeroframe=np.full((1, 1, 2), 50.0))
    fit = fit_ramps(both, 5.0, 2.0, suppress_one_group=False)
    figure = plot.plot_ramp(fit, 0, 0)
    (zeroframe,) = artists(figure, "samples-zeroframe")
    np.testing.assert_allclose(zeroframe.get_data(), [[1], [50]])
    assert len(artists(figure, "segment-")) == 1
    assert len(artists(plot.plot_ramp(fit, 1, 0), "segment-")) == 1


def test_of_many_integrations_the_eventful_ones_are_drawn():
    data, flags = exposure()
    data, flags = np.repeat(data, 35, axis=0), np.repeat(flags, 35, axis=0)
    flags[[3, 20], 5] = J
    fit = fit_ramps(Exposure(data, flags, 3.0), 5.0, 2.0)
    figure = plot.plot_ramp(fit, 0, 0)
    titles = [ax.get_title() for ax in figure.axes if ax.get_title()]
    assert len(titles) == 6
    assert {"integration 0", "integration 3", "integration 20", "integration 34"} <= set(titles)
    assert "6 of 35 integrations" in figure.get_suptitle()
    check_layout(figure)
    one = plot.plot_ramp(fit, 0, 0, integrations=7)
    assert [ax.get_title() for ax in one.axes if ax.get_title()] == ["integration 7"]
    with pytest.raises(ValueError, match="integrations: expected numbers from 0 to 34; got 35"):
        plot.plot_ramp(fit, 0, 0, integrations=[35])


def test_many_segments_are_listed_by_weight_and_stay_within():
    rng = np.random.default_rng(4)
    data = np.cumsum(rng.poisson(30, (1, 60, 1, 1)), axis=1).astype(np.float32)
    flags = np.zeros(data.shape, np.uint8)
    flags[0, 4::5] = J
    figure = plot.plot_ramp(fit_ramps(Exposure(data, flags, 3.0), 5.0, 2.0), 0, 0)
    assert "of less weight" in texts(figure, "report")[0].get_text()
    check_layout(figure)


def test_hostile_names_are_text():
    from astropy.io import fits

    data, flags = exposure()
    header = fits.Header([("FILENAME", "x")])
    from rampfit_numba import ExposureHeader

    named = ExposureHeader(header, fits.Header(), filename=r"$\frac{1}$\evil_<b>.fits")
    figure = plot.plot_ramp(fit_ramps(Exposure(data, flags, 3.0, header=named), 5.0, 2.0), 0, 0)
    draw(figure)
    assert r"\$\frac" in figure.get_suptitle()


@pytest.mark.parametrize(
    ("x", "y", "error", "told"),
    [
        (2.7, 3, TypeError, "x: expected an integer, or several; got 2.7"),
        (2, 3.9, TypeError, "y: expected an integer, or several; got 3.9"),
        (2.0, 3, TypeError, "x: expected an integer, or several; got 2.0"),
        ("2", 3, TypeError, "x: expected an integer, or several; got '2'"),
        (True, 3, TypeError, "x: expected an integer, or several; got True"),
        (None, 3, TypeError, "x: expected an integer, or several; got None"),
        (99, 3, ValueError, "x: expected a column from 0 to 15; got 99"),
        ([2, 3], 3, ValueError, "x, y: expected one pixel; got 2"),
        ([], 3, ValueError, "x, y: expected one pixel; got 0"),
    ],
    ids=str,
)
def test_a_pixel_is_one_that_there_is(fit, x, y, error, told):
    with pytest.raises(error, match=f"^{re.escape(told)}$"):
        plot.plot_ramp(fit, x, y)


@pytest.mark.parametrize("wrong", [0.9, 1.0, "1", True, np.bool_(True), [1], None], ids=repr)
def test_an_integration_is_an_integer(fit, wrong):
    for given in ([wrong], [1, wrong]) if isinstance(wrong, list) or wrong is None else (wrong, [wrong], [1, wrong]):
        with pytest.raises(TypeError, match=r"^integrations: expected an integer, or several; got"):
            plot.plot_ramp(fit, 2, 3, integrations=given)
    if wrong is None:
        return
    for draw_one in (plot.plot_rate, plot.plot_dq, lambda fit, **one: plot.plot_pulls(fit, fit.rate.data, **one)):
        with pytest.raises(TypeError, match=r"^integration: expected an integer; got"):
            draw_one(fit, integration=wrong)


@pytest.mark.parametrize("wrong", ["18", True, np.inf, np.nan, 0, -1, [3]], ids=repr)
def test_widths_and_shares_are_finite_numbers(fit, wrong):
    with pytest.raises(ValueError, match=r"^pixel_size: expected a width above 0, in micrometres; got"):
        plot.plot_jumps(fit, pixel_size=wrong)
    with pytest.raises(ValueError, match=r"^percent: expected a number above 0, up to 100; got"):
        plot.plot_rate(fit, percent=wrong)


def test_integers_of_numpy_are_integers(fit):
    figure = plot.plot_ramp(fit, np.int64(2), np.uint8(3), integrations=np.array([1, 2], np.uint8))
    assert "column 2, row 3" in figure.get_suptitle()
    titles = [ax.get_title() for ax in plot.plot_rate(fit, integration=np.int16(1)).axes]
    assert any("rate of integration 1" in title for title in titles)


# ---------------------------------------------------------------------------------------------------------- plot_rate
@pytest.fixture(scope="module")
def fit():
    rng = np.random.default_rng(1)
    rate = rng.uniform(5, 50, (12, 16))
    data = np.cumsum(rng.poisson(rate * 3, (3, 8, 12, 16)), axis=1).astype(np.float32)
    flags = np.zeros(data.shape, np.uint8)
    flags[:, :, 2, 3] = D
    flags[1, 4, 5, 6] = J
    data[1, 4:, 5, 6] += 700
    return fit_ramps(Exposure(data, flags, 3.0), 5.0, 2.0)


def test_rate_stands_beside_the_last_group(fit):
    figure = plot.plot_rate(fit)
    images = [image for ax in figure.axes for image in ax.get_images() if image.get_gid() == "image"]
    np.testing.assert_array_equal(images[0].get_array(), fit.inputs.exposure.data[0, -1])
    np.testing.assert_array_equal(images[1].get_array().filled(np.nan), fit.rate.data)
    assert [image.colorbar.ax.get_ylabel() for image in images] == ["DN", "DN/s"]
    (bad,) = [image for ax in figure.axes for image in ax.get_images() if image.get_gid() == "bad"]
    assert np.argwhere(~bad.get_array().mask).tolist() == [[2, 3]]
    assert images[0].origin == "lower"
    draw(figure)


def test_rate_of_an_integration_and_of_a_file(fit, tmp_path):
    figure = plot.plot_rate(fit, integration=2, stretch="linear")
    images = [image for ax in figure.axes for image in ax.get_images() if image.get_gid() == "image"]
    np.testing.assert_array_equal(images[1].get_array().filled(np.nan), fit.rateints.data[2])
    paths = write_products(fit, tmp_path, "x_jump.fits")
    for path, values in zip(paths, (fit.rate.data, fit.rateints.data[0]), strict=True):
        drawn = plot.plot_rate(path)
        (image,) = [image for ax in drawn.axes for image in ax.get_images() if image.get_gid() == "image"]
        np.testing.assert_array_equal(image.get_array().filled(np.nan), values)
    with pytest.raises(ValueError, match="integration: expected a number from 0 to 2; got 3"):
        plot.plot_rate(fit, integration=3)
    with pytest.raises(ValueError, match="stretch: expected one of"):
        plot.plot_rate(fit, stretch="histogram")
    with pytest.raises(RampFileError, match=r"absent_rate\.fits: no such file$"):
        plot.plot_rate(tmp_path / "absent_rate.fits")
    (tmp_path / "text.fits").write_text("no image", encoding="ascii")
    with pytest.raises(RampFileError, match=r"text\.fits: is no FITS file"):
        plot.plot_rate(tmp_path / "text.fits")


def test_sky_coordinates_where_the_header_has_them(fit):
    from dataclasses import replace

    from astropy.io import fits

    from rampfit_numba import ExposureHeader

    cards = {"CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CRVAL1": 10.0, "CRVAL2": 20.0, "CRPIX1": 8, "CRPIX2": 6}
    cards |= {"CDELT1": -1e-5, "CDELT2": 1e-5, "CUNIT1": "deg", "CUNIT2": "deg"}
    sky = replace(fit, header=ExposureHeader(fits.Header(), fits.Header(cards)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        figure = plot.plot_rate(sky)
        figure.canvas.draw()
    assert any(type(ax).__name__ == "WCSAxes" for ax in figure.axes)
    assert not any(type(ax).__name__ == "WCSAxes" for ax in plot.plot_rate(sky, wcs=False).axes)
    nonsense = replace(fit, header=ExposureHeader(fits.Header(), fits.Header(cards | {"CDELT1": 0.0})))
    draw(plot.plot_rate(nonsense))


def test_all_nan_rate_is_drawn():
    data, flags = exposure()
    with pytest.warns(match="no ramp"):
        fit = fit_ramps(Exposure(data, flags | S, 3.0), 5.0, 2.0)
    draw(plot.plot_rate(fit))
    draw(plot.plot_dq(fit).figure)
    draw(plot.plot_jumps(fit).figure)
    draw(plot.plot_light_curve(fit).figure)
    assert "no pixel" in plot.plot_pulls(fit, 1.0).get_title()


# ------------------------------------------------------------------------------------------------------------- others
def test_flags_have_names_and_counts(fit):
    ax = plot.plot_dq(fit)
    labels = [text.get_text() for text in ax.get_legend().get_texts()]
    assert labels == ["none: 190", "DO_NOT_USE: 1", "JUMP_DET: 1"]
    (image,) = ax.get_images()
    assert image.get_array()[2, 3] != image.get_array()[0, 0] != image.get_array()[5, 6]
    draw(ax.figure)


def test_flags_have_the_same_colours_in_every_picture(fit):
    """They used to go by how rare a flag was, so DO_NOT_USE had one colour here and another there."""
    from dataclasses import replace

    many = fit.rate.dq.copy()
    many[6:9] |= D
    many[9] |= 1 << 30  # OTHER_BAD_PIXEL, rarer
    pictures = [plot.plot_dq(fit), plot.plot_dq(replace(fit, rate=replace(fit.rate, dq=many)))]
    for name in ("DO_NOT_USE", "JUMP_DET"):
        colours = set()
        for ax in pictures:
            legend = ax.get_legend()
            found = zip(legend.get_texts(), legend.get_patches(), strict=True)
            (colour,) = [patch.get_facecolor() for text, patch in found if text.get_text().startswith(name)]
            colours.add(colour)
        assert len(colours) == 1, name


def test_every_flag_at_once_has_a_colour(fit):
    from dataclasses import replace

    ax = plot.plot_dq(replace(fit, rate=replace(fit.rate, dq=np.full((12, 16), 0xFFFFFFFF, np.uint32))))
    assert len(ax.get_legend().get_texts()) > 10
    draw(ax.figure)


def test_jumps_are_counted_and_their_rate_given(fit):
    ax = plot.plot_jumps(fit)
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["flagged: 1"]
    seconds, pixels = 3 * 7 * 3.0, 12 * 16
    assert f"1 jump: {1 / seconds / pixels:.3g} per pixel and s" in ax.get_title()
    per_cm2 = 1 / seconds / pixels / (18e-4) ** 2
    assert f"{per_cm2 * 18**2:,.0f} per cm" in plot.plot_jumps(fit, pixel_size=1.0).get_title()
    assert f"{per_cm2:.3g} per cm" in plot.plot_jumps(fit, pixel_size=18.0).get_title()
    with pytest.raises(ValueError, match="pixel_size"):
        plot.plot_jumps(fit, pixel_size=0)


def test_few_jumps_are_counted_on_a_plain_axis():
    """A logarithm from one to three had the ticks 2 x 10^0 and 3 x 10^0."""
    few = fit_ramps(simulate_exposure(1, 10, 32, 32, seed=3).exposure, 14.0, 1.8)
    assert 0 < len(few.jumps()) < 60
    ax = plot.plot_jumps(few)
    assert ax.get_yscale() == "linear"
    assert all(tick == int(tick) for tick in ax.get_yticks())


def test_pulls_have_their_mean_and_width(fit):
    ax = plot.plot_pulls(fit, fit.rate.data - fit.rate.err)
    assert "mean +1.000, standard deviation 0.000" in ax.get_title()
    with pytest.raises(ValueError, match=r"truth: expected a number or shape \(12, 16\)"):
        plot.plot_pulls(fit, np.zeros((3, 3)))


def test_light_curve_is_the_sum_over_the_region(fit):
    ax = plot.plot_light_curve(fit, (0, 5, 1, 4))
    points = ax.containers[0].lines[0]
    expected = np.nansum(fit.rateints.data[:, 1:4, 0:5].astype(np.float64), axis=(1, 2))
    np.testing.assert_allclose(points.get_ydata(), expected)
    assert "columns 0 to 4, rows 1 to 3: 14 pixels; 1 without a rate left out" in ax.get_title()
    draw(ax.figure)
    assert all(tick == int(tick) for tick in ax.get_xticks())  # there is no integration 0.5
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["mean of the integrations"]
    mask = np.zeros((12, 16), bool)
    mask[1:4, 0:5] = True
    again = plot.plot_light_curve(fit, mask).containers[0].lines[0]
    np.testing.assert_allclose(again.get_ydata(), expected)
    for region in ((0, 17, 0, 2), (3, 3, 0, 2), (0, 1), "x"):
        with pytest.raises(ValueError, match="region: expected"):
            plot.plot_light_curve(fit, region)


def test_given_axes_and_figures_are_drawn_on_and_returned(fit):
    from matplotlib.figure import Figure

    figure = Figure(layout="constrained")
    assert plot.plot_ramp(fit, 6, 5, figure=figure) is figure
    assert plot.plot_rate(fit, figure=Figure(layout="constrained")).axes
    for draw_on in (plot.plot_dq, plot.plot_jumps, plot.plot_light_curve):
        ax = Figure().add_subplot()
        assert draw_on(fit, ax=ax) is ax
    with pytest.raises(TypeError, match="figure: expected a matplotlib Figure; got int"):
        plot.plot_ramp(fit, 0, 0, figure=3)


def test_exposures_are_fitted_at_once(fit):
    exposure = fit.inputs.exposure
    figure = plot.plot_ramp(exposure, 6, 5, readnoise=5.0, gain=2.0, algorithm="likely")
    assert "likely" in figure.get_suptitle()
    with pytest.raises(TypeError, match="readnoise: expected"):
        plot.plot_ramp(exposure, 0, 0)
    with pytest.raises(TypeError, match="source: expected a RampFit, an Exposure or a path; got int"):
        plot.plot_ramp(3, 0, 0)
    with pytest.raises(TypeError, match="got a fit"):
        plot.plot_ramp(fit, 0, 0, readnoise=5.0, gain=2.0)


def test_files_are_fitted_as_fit_file_fits_them(tmp_path, monkeypatch):
    """With what is usual for their kind."""
    pytest.importorskip("asdf")
    from rampfit_numba.plot.sources import as_fit
    from rampfit_numba.simulate.roman import simulate_roman, write_roman_simulation

    monkeypatch.chdir(tmp_path)
    path = write_roman_simulation(simulate_roman(8, 16, 16, seed=1), "r_linearity.asdf")[0]
    options = as_fit(path, 10.0, 2.0).options
    assert (options.algorithm, options.readnoise_kind, options.rejection_threshold) == ("likely", "single", 4.5)


def test_an_integration_of_a_file_is_an_integer(fit, tmp_path):
    rateints = write_products(fit, tmp_path, "x_jump.fits")[1]
    for wrong in (0.9, True, "1"):
        with pytest.raises(TypeError, match=f"^integration: expected an integer; got {wrong!r}$"):
            plot.plot_rate(rateints, integration=wrong)
    with pytest.raises(ValueError, match=r"^integration: expected a number from 0 to 2; got 3"):
        plot.plot_rate(rateints, integration=3)


def test_what_is_no_rate_and_no_exposure_is_told(tmp_path, monkeypatch, capsys):
    """Before references are asked for, which would not help."""
    from rampfit_numba import fit_file
    from rampfit_numba.cli import main

    monkeypatch.chdir(tmp_path)
    assert main(["simulate", "x_jump.fits", "--shape", "1x6x16x16", "--quiet"]) == 0
    rate = fit_file("x_jump.fits", 10.0, 2.0)[0]
    assert main(["plot", "rate", "x_gain.fits", "-o", "a.png"]) == 1
    assert "x_gain.fits: is a GAIN reference file; give a rate" in capsys.readouterr().err
    assert main(["plot", "jumps", str(rate), "-o", "b.png"]) == 1
    assert "its ramps are gone" in capsys.readouterr().err
    assert not list(tmp_path.glob("*.png"))


def test_a_rate_takes_no_options_of_a_fit(tmp_path, monkeypatch, capsys):
    from rampfit_numba import fit_file
    from rampfit_numba.cli import main

    monkeypatch.chdir(tmp_path)
    assert main(["simulate", "x_jump.fits", "--shape", "1x6x16x16", "--quiet"]) == 0
    rate = fit_file("x_jump.fits", 10.0, 2.0)[0]
    assert main(["plot", "dq", str(rate), "-o", "a.png"]) == 0
    assert main(["plot", "rate", str(rate), "--algorithm", "likely", "-o", "b.png"]) == 2
    assert re.search(r"--algorithm: expected none, since \S*x_rate.fits holds a rate", capsys.readouterr().err)
    assert not (tmp_path / "b.png").exists()


# ------------------------------------------------------------------------------------------------------------ command
def test_command_draws_to_png_pdf_and_svg(tmp_path, monkeypatch, capsys):
    from rampfit_numba.cli import main

    monkeypatch.chdir(tmp_path)
    assert main(["simulate", "demo_jump.fits", "--shape", "2x8x16x18", "--seed", "1"]) == 0
    references = ["--readnoise", "demo_readnoise.fits", "--gain", "demo_gain.fits"]
    for kind, numbers in (("ramp", ["3", "4"]), ("rate", []), ("dq", []), ("jumps", []), ("light-curve", [])):
        assert main(["plot", kind, "demo_jump.fits", *numbers, *references, "-o", f"{kind}.png"]) == 0
        assert (tmp_path / f"{kind}.png").read_bytes().startswith(b"\x89PNG")
    assert main(["plot", "ramp", "demo_jump.fits", "3", "4", *references, "-o", "a.pdf"]) == 0
    assert (tmp_path / "a.pdf").read_bytes().startswith(b"%PDF")
    assert main(["plot", "ramp", "demo_jump.fits", "3", "4", *references, "-o", "a.svg"]) == 0
    assert "<svg" in (tmp_path / "a.svg").read_text(encoding="utf-8")
    assert main(["plot", "jumps", "demo_jump.fits", *references]) == 0
    assert (tmp_path / "demo_jump_jumps.png").exists()
    capsys.readouterr()
    for words, complaint in (
        (["ramp", "demo_jump.fits", "3", *references], "ramp: expected X and Y"),
        (
            ["ramp", "demo_jump.fits", "99", "4", *references, "-o", "b.png"],
            "x: expected a column from 0 to 17; got 99",
        ),
        (["ramp", "demo_jump.fits", "3", "4", "-o", "b.png"], "readnoise: expected"),
        (["rate", "demo_jump.fits", *references, "-o", "b.gif"], "--output: expected a file ending in"),
        (["rate", "demo_jump.fits", *references, "-o", "rate.png"], "exists"),
        (["rate", "demo_jump.fits", *references, "-o", "b.png", "--dpi", "inf"], "--dpi: expected a finite number"),
    ):
        assert main(["plot", *words]) == 2
        assert complaint in capsys.readouterr().err
    assert main(["plot", "rate", "absent.fits", *references, "-o", "b.png"]) == 1
    assert main(["plot", "rate", "demo_jump.fits", *references, "-o", "no/such/b.png"]) == 1
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


def test_missing_matplotlib_is_one_sentence(monkeypatch, fit):
    import sys

    for name in [name for name in sys.modules if name.startswith("matplotlib")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ImportError, match=r"pip install '\.\[plot\]'"):
        plot.plot_jumps(fit)
