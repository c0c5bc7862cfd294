"""Numbers of whole exposures: jumps, pulls, light curves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from rampfit_numba.jumps import count_kinds, find_jumps
from rampfit_numba.plot.sources import as_fit, check_integration, is_number, matplotlib_module, name_of, new_ax
from rampfit_numba.plot.style import BLACK, BLUE, GREEN, GREY, ORANGE, VERMILION

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from numpy.typing import ArrayLike

    from rampfit_numba.jumps import JumpKinds
    from rampfit_numba.plot.sources import Source
    from rampfit_numba.result import RampFit

_BINS = 40
_BY_NUMBER = "integration"
_FEW = 10  # in every bin: a logarithm of them has no ticks that one could read
_WIDEST_PULL = 6.0
_MICRONS_PER_CM = 1e4
_PLAIN = 100  # from here on, a rate needs no digits behind the point


def plot_jumps(
    source: Source,
    *,
    readnoise: Any = None,  # noqa: ANN401  (path, number or array)
    gain: Any = None,  # noqa: ANN401
    pixel_size: float | None = None,
    ax: Axes | None = None,
    **options: Any,  # noqa: ANN401
) -> Axes:
    """Draw how many jumps there are of which size.

    Parameters
    ----------
    source : RampFit, Exposure or path-like
        A fit that still has its `inputs`, or what is fitted at once.
    readnoise, gain : path-like, number or array_like, optional
        For an exposure or its file, as :func:`rampfit_numba.fit_file` takes them.
    pixel_size : float, optional
        Width of a pixel in micrometres; the title has the rate per cm^2 then, else per pixel.
    ax : matplotlib.axes.Axes, optional
        Where to draw; None: a new figure.
    **options
        For an exposure or its file, as for :func:`rampfit_numba.fit_ramps`.

    Returns
    -------
    matplotlib.axes.Axes
        A histogram of the sizes in electrons: jumps that the flags had, those that the fit found, and falls; the title
        has their rate.

    Raises
    ------
    TypeError, ValueError
        An argument is unusable.
    ImportError
        matplotlib is not installed.
    RampFileError
        A file cannot be read.

    Notes
    -----
    The rate counts groups with a jump, so a hit that spreads over several pixels or groups counts several times.

    Examples
    --------
    >>> ax = plot_jumps("demo_jump.fits", readnoise=14.0, gain=1.8, pixel_size=18.0)
    """
    if pixel_size is not None and not (is_number(pixel_size) and pixel_size > 0):
        raise ValueError(f"pixel_size: expected a width above 0, in micrometres; got {pixel_size!r}")
    fit = as_fit(source, readnoise, gain, **options)
    table = find_jumps(fit)
    size, found = table["size_e"].value.astype(np.float64), np.asarray(table["found"])
    ax = new_ax(ax)
    draw_jump_sizes(fit, size, found, ax, numbers=count_kinds(size, found), pixel_size=pixel_size)
    return ax


def draw_jump_sizes(
    fit: RampFit,
    size: np.ndarray,
    found: np.ndarray,
    ax: Axes,
    *,
    numbers: JumpKinds,
    pixel_size: float | None = None,
) -> None:
    """Draw what :func:`plot_jumps` draws of sizes in electrons: those of a sample, or of all; `numbers` are of all."""
    total = sum(numbers)
    amount = np.abs(size)
    sized = amount > 0
    if sized.any():
        low, high = np.log10(amount[sized].min()), np.log10(amount[sized].max())
        bins = np.logspace(low - 0.01, high + 0.01, _BINS).tolist()
        kinds: tuple[tuple[str, int, np.ndarray, dict[str, Any]], ...] = (
            ("flagged", numbers.flagged, ~found & (size > 0), {"facecolor": ORANGE, "edgecolor": ORANGE}),
            (
                "found by the fit",
                numbers.found,
                found & (size > 0),
                {"facecolor": "none", "edgecolor": VERMILION, "hatch": "////"},
            ),
            ("falls (size below 0)", numbers.falls, size < 0, {"facecolor": "none", "edgecolor": BLACK, "ls": "--"}),
        )
        most = 0
        for label, number, which, style in kinds:
            if number:
                drawn = int(which.sum())
                weights = np.full(drawn, number / max(drawn, 1))  # a sample may have none of a few
                text = f"{label}: {number:,}"
                counts, *_ = ax.hist(amount[which], bins, weights=weights, histtype="stepfilled", label=text, **style)
                most = max(most, int(np.max(counts)))
        ax.set_xscale("log")
        if most > _FEW:
            ax.set_yscale("log")
        else:
            ax.locator_params(axis="y", integer=True)
        ax.legend(fontsize=8, loc="upper left", bbox_to_anchor=(0, -0.16), ncols=3, frameon=False, borderaxespad=0)
    else:
        text = "no jump with a size" if numbers.unsized == total else "no jump of the sample has a size"
        ax.text(0.5, 0.5, text, transform=ax.transAxes, ha="center", va="center", color=GREY)
    ax.set_xlabel("size (e$^-$)")
    ax.set_ylabel("jumps per bin")
    notes = [name_of(fit)] if name_of(fit) else []
    notes.append(_hit_rate(fit, total, pixel_size))
    if numbers.unsized:
        notes.append(f"{numbers.unsized:,} without a size")
    if size.size < total:
        notes.append(f"heights from a random sample of {size.size:,}")
    ax.set_title("\n".join(notes), fontsize=9)


def _hit_rate(fit: RampFit, jumps: int, pixel_size: float | None) -> str:
    """Return the rate of jumps as a sentence."""
    assert fit.inputs is not None  # noqa: S101  (find_jumps has looked)
    exposure = fit.inputs.exposure
    nints, ngroups, nrows, ncols = exposure.shape
    if exposure.read_times is None:
        seconds = nints * (ngroups - 1) * exposure.group_time
    else:
        times = [float(np.mean(group)) for group in exposure.read_times]
        seconds = nints * (times[-1] - times[0])
    counted = f"{jumps:,} jump" if jumps == 1 else f"{jumps:,} jumps"
    if not seconds > 0:
        return counted
    rate = jumps / seconds / (nrows * ncols)
    if pixel_size is None:
        return f"{counted}: {rate:.3g} per pixel and s"
    rate /= (pixel_size / _MICRONS_PER_CM) ** 2
    return f"{counted}: {rate:,.0f} per cm² and s" if rate >= _PLAIN else f"{counted}: {rate:.3g} per cm² and s"


def plot_pulls(fit: RampFit, truth: ArrayLike, *, integration: int | None = None, ax: Axes | None = None) -> Axes:
    """Draw the distribution of (rate - truth) / err beside the normal one that it should be.

    Parameters
    ----------
    fit : RampFit
        Result of a fit.
    truth : float or array_like, shape (nrows, ncols)
        The true rate in DN/s, as of a simulation.
    integration : int, optional
        Of this integration, from 0; None: of the exposure.
    ax : matplotlib.axes.Axes, optional
        Where to draw; None: a new figure.

    Returns
    -------
    matplotlib.axes.Axes
        The title has mean and standard deviation; pulls beyond 6 are counted in the outermost bins.

    Raises
    ------
    TypeError, ValueError
        An argument is unusable.
    ImportError
        matplotlib is not installed.

    Examples
    --------
    >>> from rampfit_numba import fit_ramps, simulate_exposure
    >>> simulation = simulate_exposure(1, 6, 8, 8)
    >>> fit = fit_ramps(simulation.exposure, simulation.readnoise, simulation.gain)
    >>> ax = plot_pulls(fit, simulation.true_rate)
    """
    fit = as_fit(fit)
    nints, *image = fit.rateints.data.shape
    check_integration(integration, nints)
    planes = fit.rate if integration is None else fit.rateints
    at = () if integration is None else (integration,)
    expected = np.asarray(truth, np.float64)
    if expected.shape not in ((), tuple(image)):
        raise ValueError(f"truth: expected a number or shape {tuple(image)}, that of the rate; got {expected.shape}")
    with np.errstate(all="ignore"):
        pulls = (planes.data[at].astype(np.float64) - expected) / planes.err[at]
    pulls = pulls[np.isfinite(pulls)]
    ax = new_ax(ax)
    bins = np.linspace(-_WIDEST_PULL, _WIDEST_PULL, 6 * int(_WIDEST_PULL) + 1)
    width = float(bins[1] - bins[0])
    if pulls.size:
        clipped = np.clip(pulls, -_WIDEST_PULL + width / 2, _WIDEST_PULL - width / 2)
        ax.hist(
            clipped, bins.tolist(), weights=np.full(pulls.size, 1 / (pulls.size * width)), color=ORANGE, label="rates"
        )
        far = int(np.count_nonzero(np.abs(pulls) > _WIDEST_PULL))
        ax.set_title(
            f"mean {pulls.mean():+.3f}, standard deviation {pulls.std():.3f}, {pulls.size:,} pixels"
            + (f"\n{far:,} beyond ±{_WIDEST_PULL:.0f}" if far else ""),
            fontsize=9,
        )
    else:
        ax.set_title("no pixel has a rate and an error", fontsize=9)
    x = np.linspace(-_WIDEST_PULL, _WIDEST_PULL, 241)
    ax.plot(x, np.exp(-(x**2) / 2) / np.sqrt(2 * np.pi), color=BLUE, lw=1.6, label="normal distribution")
    ax.set_yscale("log")
    ax.set_ylim(max(0.3 / max(pulls.size, 1), 1e-6), 1.0)
    ax.set_xlim(-_WIDEST_PULL, _WIDEST_PULL)
    ax.set_xlabel("(rate - truth) / err")
    ax.set_ylabel("density")
    ax.legend(fontsize=8, loc="upper left", bbox_to_anchor=(0, -0.16), ncols=2, frameon=False, borderaxespad=0)
    return ax


def plot_light_curve(
    source: Source,
    region: Sequence[int] | ArrayLike | None = None,
    *,
    readnoise: Any = None,  # noqa: ANN401  (path, number or array)
    gain: Any = None,  # noqa: ANN401
    ax: Axes | None = None,
    **options: Any,  # noqa: ANN401
) -> Axes:
    """Draw the rate of a region against the integration, or its time.

    Parameters
    ----------
    source : RampFit, Exposure or path-like
        A fit, or what is fitted at once.
    region : (x0, x1, y0, y1) or array_like of bool, shape (nrows, ncols), optional
        Columns x0 to x1 - 1 and rows y0 to y1 - 1, or a mask; None: all pixels.
    readnoise, gain : path-like, number or array_like, optional
        For an exposure or its file, as :func:`rampfit_numba.fit_file` takes them.
    ax : matplotlib.axes.Axes, optional
        Where to draw; None: a new figure.
    **options
        For an exposure or its file, as for :func:`rampfit_numba.fit_ramps`.

    Returns
    -------
    matplotlib.axes.Axes
        The sum over the pixels that have a rate in every integration, with its error. Times are those of INT_TIMES
        (mid-integration, BJD_TDB or else MJD_UTC) where the header has them.

    Raises
    ------
    TypeError, ValueError
        An argument is unusable.
    ImportError
        matplotlib is not installed.
    RampFileError
        A file cannot be read.

    Examples
    --------
    >>> ax = plot_light_curve("demo_jump.fits", (4, 12, 2, 8), readnoise=14.0, gain=1.8)
    """
    fit = as_fit(source, readnoise, gain, **options)
    nints, *image = fit.rateints.data.shape
    inside = _region(region, (image[0], image[1]))
    rates = fit.rateints.data[:, inside].astype(np.float64)
    errors = fit.rateints.err[:, inside].astype(np.float64)
    kept = np.isfinite(rates).all(axis=0) & np.isfinite(errors).all(axis=0)
    ax = new_ax(ax)
    if not kept.any():
        ax.text(
            0.5, 0.5, "no pixel has a rate throughout", transform=ax.transAxes, ha="center", va="center", color=GREY
        )
    else:
        flux, err = rates[:, kept].sum(axis=1), np.sqrt((errors[:, kept] ** 2).sum(axis=1))
        times, label = _integration_times(fit, nints)
        ax.errorbar(times, flux, err, fmt="o", ms=4, color=BLACK, ecolor=GREY, capsize=2, gid="light-curve")
        ax.axhline(np.average(flux), color=GREEN, ls="--", lw=1, label="mean of the integrations")
        ax.legend(fontsize=8, loc="upper left", bbox_to_anchor=(0, -0.16), frameon=False, borderaxespad=0)
        ax.set_xlabel(label)
        if label == _BY_NUMBER:
            ax.xaxis.set_major_locator(matplotlib_module("ticker").MaxNLocator(integer=True, steps=[1, 2, 5, 10]))
            margin = max(0.5, 0.03 * nints)
            ax.set_xlim(-margin, nints - 1 + margin)
    ax.set_ylabel("sum of the rates (DN/s)")
    ax.ticklabel_format(axis="y", useOffset=False)
    left = int(inside.sum()) - int(kept.sum())
    name = name_of(fit)
    title = f"{int(kept.sum()):,} pixels" + (f"; {left:,} without a rate left out" if left else "")
    where = _where(region)
    ax.set_title("\n".join(filter(None, [name, f"{where}: {title}" if where else title])), fontsize=9)
    return ax


def _region(region: Any, image: tuple[int, int]) -> np.ndarray:  # noqa: ANN401
    """Return a mask of the region's pixels."""
    if region is None:
        return np.ones(image, np.bool_)
    given = np.asarray(region)
    if given.dtype == np.bool_:
        if given.shape != image:
            raise ValueError(f"region: expected a mask of shape {image}, that of the rate; got shape {given.shape}")
        return given
    nrows, ncols = image
    if given.shape != (4,) or given.dtype.kind not in "iu":
        raise ValueError(f"region: expected four integers (x0, x1, y0, y1) or a mask; got {region!r}")
    x0, x1, y0, y1 = (int(edge) for edge in given)
    if not (0 <= x0 < x1 <= ncols and 0 <= y0 < y1 <= nrows):
        raise ValueError(f"region: expected 0 <= x0 < x1 <= {ncols} and 0 <= y0 < y1 <= {nrows}; got {region!r}")
    inside = np.zeros(image, np.bool_)
    inside[y0:y1, x0:x1] = True
    return inside


def _where(region: Any) -> str:  # noqa: ANN401
    """Say which pixels a region has, if four numbers tell."""
    given = np.asarray(region)
    if region is None or given.dtype == np.bool_:
        return ""
    x0, x1, y0, y1 = (int(edge) for edge in given)
    return f"columns {x0} to {x1 - 1}, rows {y0} to {y1 - 1}"


def _integration_times(fit: RampFit, nints: int) -> tuple[np.ndarray, str]:
    """Return where the integrations stand on the axis of time, and what it is called."""
    table = fit.header.int_times if fit.header is not None else None
    if table is not None and len(table) == nints:
        names = {name.lower(): name for name in table.names or ()}
        for key, label in (("int_mid_bjd_tdb", "BJD (TDB)"), ("int_mid_mjd_utc", "MJD (UTC)")):
            if key in names:
                times = np.asarray(table[names[key]], np.float64)
                if np.isfinite(times).all() and np.ptp(times) > 0:
                    start = np.floor(times.min())
                    return times - start, f"mid-integration time, {label} - {start:.0f} (d)"
    return np.arange(nints), _BY_NUMBER
