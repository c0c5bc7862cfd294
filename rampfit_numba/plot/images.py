"""Images: the rate beside the end of the ramp, and the flags."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from rampfit_numba import dq
from rampfit_numba.exposure_header import ExposureHeader
from rampfit_numba.file_arrays import take_plane
from rampfit_numba.io import hdus
from rampfit_numba.io.formats import find_format
from rampfit_numba.io.nddata import celestial_wcs
from rampfit_numba.io.roman import is_asdf, read_rate_image
from rampfit_numba.mapped_arrays import as_file_array
from rampfit_numba.messages import RampFileError
from rampfit_numba.plot.sources import (
    as_fit,
    check_integration,
    is_number,
    matplotlib_module,
    name_of,
    new_ax,
    new_figure,
    plain,
)
from rampfit_numba.plot.style import VERMILION

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from rampfit_numba.exposure import Exposure
    from rampfit_numba.plot.sources import Source

STRETCHES = ("linear", "sqrt", "log", "asinh", "squared")
_STRETCH_CLASSES = {
    "linear": "LinearStretch",
    "sqrt": "SqrtStretch",
    "log": "LogStretch",
    "asinh": "AsinhStretch",
    "squared": "SquaredStretch",
}
_MOST_NAMES = 12


class _Image(NamedTuple):
    """What is drawn as an image; flags are None where there are none, and `cover` says whether to show DO_NOT_USE."""

    title: str
    values: np.ndarray
    unit: str
    flags: np.ndarray | None
    cover: bool = True


def plot_rate(
    source: Source,
    *,
    readnoise: Any = None,  # noqa: ANN401  (path, number or array)
    gain: Any = None,  # noqa: ANN401
    integration: int | None = None,
    stretch: str = "asinh",
    percent: float = 99.5,
    wcs: bool = True,
    figure: Figure | None = None,
    **options: Any,  # noqa: ANN401
) -> Figure:
    """Draw the last group of the ramp beside the rate.

    Parameters
    ----------
    source : RampFit, Exposure or path-like
        A fit, or what is fitted at once; or a file with a rate, as the pipeline or this package writes it, Roman's
        images too, whose rate is drawn alone.
    readnoise, gain : path-like, number or array_like, optional
        For an exposure or its file, as :func:`rampfit_numba.fit_file` takes them.
    integration : int, optional
        Draw the rate of this integration, from 0; None: of the exposure, beside the end of its first integration.
    stretch : {"linear", "sqrt", "log", "asinh", "squared"}
        How values become shades, as in :mod:`astropy.visualization`.
    percent : float
        Share of the pixels whose values lie within the limits of the shades.
    wcs : bool
        Sky coordinates on the axes where the header has them.
    figure : matplotlib.figure.Figure, optional
        Where to draw; None: a new one.
    **options
        For an exposure or its file, as for :func:`rampfit_numba.fit_ramps`.

    Returns
    -------
    matplotlib.figure.Figure
        With colour bars in DN and DN/s. Pixels with DO_NOT_USE have a colour of their own in the rate, as the legend
        says.

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
    >>> figure = plot_rate("demo_jump.fits", readnoise=14.0, gain=1.8)
    """
    if stretch not in STRETCHES:
        raise ValueError(f"stretch: expected one of {', '.join(map(repr, STRETCHES))}; got {stretch!r}")
    if not (is_number(percent) and 0 < percent <= 100):  # noqa: PLR2004
        raise ValueError(f"percent: expected a number above 0, up to 100; got {percent!r}")
    images, header, name = _images(source, readnoise, gain, integration, options)
    nrows, ncols = images[0].values.shape
    coordinates = celestial_wcs(header, (nrows, ncols)) if wcs else None
    width = min(max(3.9 * ncols / nrows, 2.6), 7.0)
    figure = new_figure(figure, ((width + 1.6) * len(images), 4.9), layout="compressed")
    for number, image in enumerate(images, 1):
        ax = figure.add_subplot(1, len(images), number, projection=coordinates)
        _draw(ax, image, stretch, percent)
        ax.set_title(image.title, fontsize=10)
        _label(ax, sky=coordinates is not None)
    figure.suptitle(name, fontsize=10)
    return figure


def _images(
    source: Any,  # noqa: ANN401
    readnoise: Any,  # noqa: ANN401
    gain: Any,  # noqa: ANN401
    integration: int | None,
    options: dict[str, Any],
) -> tuple[list[_Image], Any, str]:
    """Return the images to draw, the header with their coordinates, and a name."""
    is_path = isinstance(source, str | os.PathLike) and readnoise is None and gain is None
    if is_path and not find_format(Path(source)).brings_references:
        rate = _read_rate(os.fspath(source), integration)
        if rate is not None and options:
            raise TypeError(f"{next(iter(options))}: expected none, since {source} holds a rate, which is not fitted")
        if rate is not None:
            return rate
    fit = as_fit(source, readnoise, gain, **options)
    nints = fit.rateints.data.shape[0]
    check_integration(integration, nints)
    chosen = fit.rate if integration is None else fit.rateints
    at = () if integration is None else (integration,)
    title = "rate" if integration is None else f"rate of integration {integration}"
    images = [_Image(f"{title} ({fit.options.algorithm})", chosen.data[at], "DN/s", chosen.dq[at])]
    if fit.inputs is not None:
        values, group = _last_group(fit.inputs.exposure, integration or 0)
        title = f"group {group} of integration {integration or 0}"
        images.insert(0, _Image(title, values, "DN", chosen.dq[at], cover=False))
    return images, fit.header, name_of(fit)


def _last_group(exposure: Exposure, integration: int) -> tuple[np.ndarray, int]:
    """Return the last group that is not DO_NOT_USE everywhere, as that of MIRI is."""
    data, flags = as_file_array(exposure.data), as_file_array(exposure.groupdq)
    rows = slice(0, exposure.nrows)
    for group in range(exposure.ngroups - 1, -1, -1):
        if group == 0 or not (take_plane(flags, integration, group, rows=rows) & dq.DO_NOT_USE).all():
            break
    return np.asarray(take_plane(data, integration, group, rows=rows), np.float32), group


def _read_rate(path: str, integration: int | None) -> tuple[list[_Image], Any, str] | None:
    """Return the rate in a file; None if there is none, but perhaps an exposure."""
    from astropy.io import fits

    if is_asdf(path):
        return _read_roman_rate(path, integration)
    if not os.path.isfile(path):  # noqa: PTH113  (of a name as it was given)
        find_format(Path(path)).read(Path(path))  # says what it is; a pipe would be waited for
    try:
        with fits.open(path, memmap=False) as opened:
            if "SCI" not in opened or "GROUPDQ" in opened:
                return None
            if kind := hdus.text(opened[0].header, "REFTYPE"):
                raise RampFileError(
                    f"{path}: is a {kind} reference file; give a rate, or an exposure after the jump step"
                )
            sci = opened["SCI"]
            values = np.asarray(sci.data, np.float32)
            flags = np.asarray(opened["DQ"].data, np.uint32) if "DQ" in opened else None
            header, name = ExposureHeader(opened[0].header, sci.header), os.path.basename(path)  # noqa: PTH119  (of a name as it was given)
            unit = str(sci.header.get("BUNIT", "DN/s"))
    except OSError:  # no FITS file: perhaps an exposure; what is none, reading it says as a fit does
        find_format(Path(path)).read(Path(path))
        return None
    title = "rate"
    if values.ndim == 3:  # noqa: PLR2004  (rateints)
        check_integration(integration, len(values))
        i = integration or 0
        values, flags, title = values[i], None if flags is None else flags[i], f"rate of integration {i}"
    if values.ndim != 2:  # noqa: PLR2004
        return None
    return [_Image(title, values, plain(unit), flags)], header, plain(name)


def _read_roman_rate(path: str, integration: int | None) -> tuple[list[_Image], Any, str] | None:
    """Do the same for a file of Roman, whose coordinates are for other packages to read."""
    found = read_rate_image(Path(path))
    if found is None:
        return None
    if integration is not None:
        raise ValueError(f"integration: expected none, for a rate image of Roman; got {integration}")
    rate, flags = found
    return [_Image("rate", rate, "DN/s", flags)], None, plain(os.path.basename(path))  # noqa: PTH119  (as above)


def _draw(ax: Axes, image_of: _Image, stretch: str, percent: float) -> None:
    from astropy import visualization

    values, unit, flags = image_of.values, image_of.unit, image_of.flags

    finite = np.isfinite(values)
    good = finite if flags is None else finite & ((flags & dq.DO_NOT_USE) == 0)
    shown = values[good] if good.any() else values[finite]
    low, high = _limits(shown, percent) if shown.size else (0.0, 1.0)
    high = high if high > low else low + 1.0
    norm = visualization.ImageNormalize(
        vmin=low, vmax=high, stretch=getattr(visualization, _STRETCH_CLASSES[stretch])(), clip=False
    )
    colours = matplotlib_module("pyplot").get_cmap("viridis").with_extremes(bad="white")
    image = ax.imshow(
        np.ma.masked_invalid(values), origin="lower", cmap=colours, norm=norm, interpolation="nearest", gid="image"
    )
    bar = ax.figure.colorbar(image, ax=ax, extend=_extend(shown, low, high), shrink=0.9)
    bar.set_label(unit)
    if flags is not None and image_of.cover:
        _show_unusable(ax, (flags & dq.DO_NOT_USE) != 0)


def _limits(shown: np.ndarray, percent: float) -> tuple[float, float]:
    """Return the limits of the shades: what is left out at the bright end is a quarter of it, as stars are few."""
    low, high = np.percentile(shown, [0.75 * (100 - percent), 100 - 0.25 * (100 - percent)])
    return float(low), float(high)


def _extend(shown: np.ndarray, low: float, high: float) -> str:
    below, above = (shown < low).any(), (shown > high).any()
    return {(True, True): "both", (True, False): "min", (False, True): "max"}.get((bool(below), bool(above)), "neither")


def _show_unusable(ax: Axes, bad: np.ndarray) -> None:
    """Cover the pixels with DO_NOT_USE with a colour that the scale does not have, and say so."""
    count = int(bad.sum())
    if not count:
        return
    colors = matplotlib_module("colors")
    cover = np.ma.masked_where(~bad, np.ones(bad.shape))
    ax.imshow(
        cover,
        origin="lower",
        cmap=colors.ListedColormap([VERMILION]),
        vmin=0,
        vmax=1,
        interpolation="nearest",
        gid="bad",
    )
    patch = matplotlib_module("patches").Patch(color=VERMILION, label=f"DO_NOT_USE ({100 * count / bad.size:.2g} %)")
    ax.legend(
        handles=[patch], loc="upper center", bbox_to_anchor=(0.5, -0.14), fontsize=8, frameon=False, borderaxespad=0.0
    )


def _label(ax: Any, *, sky: bool) -> None:  # noqa: ANN401  (Axes, or WCSAxes with more)
    if not sky:
        ax.set_xlabel("column x")
        ax.set_ylabel("row y")
        return
    for axis, text in zip(ax.coords, ("right ascension", "declination"), strict=False):
        axis.set_axislabel(text)
        axis.set_ticklabel(exclude_overlapping=True, size=8)


def plot_dq(
    source: Source,
    *,
    readnoise: Any = None,  # noqa: ANN401  (path, number or array)
    gain: Any = None,  # noqa: ANN401
    integration: int | None = None,
    ax: Axes | None = None,
    **options: Any,  # noqa: ANN401
) -> Axes:
    """Draw the data-quality flags of the rate: in each pixel the rarest of its flags.

    Parameters
    ----------
    source : RampFit, Exposure or path-like
        A fit, or what is fitted at once; or a file with a rate.
    readnoise, gain : path-like, number or array_like, optional
        For an exposure or its file, as :func:`rampfit_numba.fit_file` takes them.
    integration : int, optional
        Draw the flags of this integration, from 0; None: those of the exposure.
    ax : matplotlib.axes.Axes, optional
        Where to draw; None: a new figure.
    **options
        For an exposure or its file, as for :func:`rampfit_numba.fit_ramps`.

    Returns
    -------
    matplotlib.axes.Axes
        The legend has the name of each flag and the number of pixels with it, whether or not a rarer one hides it.
        DO_NOT_USE, SATURATED, JUMP_DET and REFERENCE_PIXEL have the same colours in every picture.

    Raises
    ------
    TypeError, ValueError
        An argument is unusable, or the file has no flags.
    ImportError
        matplotlib is not installed.
    RampFileError
        A file cannot be read.

    Examples
    --------
    >>> ax = plot_dq("demo_jump.fits", readnoise=14.0, gain=1.8)
    """
    images, _, name = _images(source, readnoise, gain, integration, options)
    flags = images[-1].flags
    if flags is None:
        raise ValueError(
            f"source: expected a file with flags (an extension DQ, or dq in Roman's images); {name} has none"
        )
    ax = new_ax(ax, (7.6, 4.4))
    counts = [(int(np.count_nonzero(flags >> bit & 1)), bit) for bit in range(len(dq.NAMES))]
    present = sorted((count, bit) for count, bit in counts if count)
    colours = _colours([bit for _, bit in present])
    shown = np.zeros(flags.shape, np.int64)
    for number in range(len(present), 0, -1):  # rare flags last, over the others
        shown[flags >> present[number - 1][1] & 1 != 0] = number
    colors, patches = matplotlib_module("colors"), matplotlib_module("patches")
    ax.imshow(
        shown,
        origin="lower",
        cmap=colors.ListedColormap(["#F2F2F2", *colours]),
        vmin=-0.5,
        vmax=len(present) + 0.5,
        interpolation="nearest",
        gid="flags",
    )
    none = int(np.count_nonzero(flags == 0))
    handles = [patches.Patch(facecolor="#F2F2F2", edgecolor="#7F7F7F", label=f"none: {none:,}")]
    for (count, bit), colour in list(zip(present, colours, strict=True))[:_MOST_NAMES]:
        handles.append(patches.Patch(facecolor=colour, edgecolor="#7F7F7F", label=f"{dq.NAMES[bit]}: {count:,}"))
    if len(present) > _MOST_NAMES:
        handles.append(patches.Patch(alpha=0, label=f"and {len(present) - _MOST_NAMES} more"))
    ax.legend(handles=handles, loc="center left", bbox_to_anchor=(1.02, 0.5), fontsize=8, frameon=False)
    ax.set_title(f"flags of the rate{f': {name}' if name else ''}", fontsize=10)
    _label(ax, sky=False)
    return ax


def _colours(bits: list[int]) -> list[Any]:
    """Return the colours of flags: those that most exposures have keep theirs, so that pictures can be compared."""
    from rampfit_numba.plot import style

    own = {flag.bit_length() - 1: colour for flag, colour in style.FLAGS.items()}
    rest = [bit for bit in sorted(bits) if bit not in own]
    spare: list[Any] = [style.BLACK, style.BLUE, style.GREEN, style.SKY, style.YELLOW]
    if len(rest) > len(spare):
        more = matplotlib_module("pyplot").get_cmap("cividis")(np.linspace(0.05, 0.95, len(rest) - len(spare)))
        spare += [tuple(colour) for colour in more]
    found = own | dict(zip(rest, spare, strict=False))
    return [found[bit] for bit in bits]
