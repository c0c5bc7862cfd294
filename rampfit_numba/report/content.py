"""What a report says, as numbers and texts: nothing here draws or writes."""

from __future__ import annotations

import sys
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

import numpy as np

from rampfit_numba import dq
from rampfit_numba._version import __version__
from rampfit_numba.mapped_arrays import let_go
from rampfit_numba.pixel_ramps import inputs_of, sample_times
from rampfit_numba.plot.ramp_panel import with_error
from rampfit_numba.registry import ALGORITHMS
from rampfit_numba.report.jump_counts import count_jumps
from rampfit_numba.segments import find_segments

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rampfit_numba.report.jump_counts import JumpCounts
    from rampfit_numba.result import RampFit

#: Pixels in each list of notable ones.
NOTABLE = 3
_KEYWORDS = (
    ("Telescope", "TELESCOP"),
    ("Instrument", "INSTRUME"),
    ("Detector", "DETECTOR"),
    ("Filter", "FILTER"),
    ("Target", "TARGNAME"),
    ("Target as proposed", "TARGPROP"),
    ("Program", "PROGRAM"),
    ("Observation", "OBSERVTN"),
    ("Exposure type", "EXP_TYPE"),
    ("Read pattern", "READPATT"),
    ("Subarray", "SUBARRAY"),
    ("Date", "DATE-OBS"),
    ("Time", "TIME-OBS"),
)
_VERSIONED = ("numpy", "numba", "astropy")


@dataclass(frozen=True)
class RunFacts:
    """What a fit itself does not know about how it was made.

    Attributes
    ----------
    name : str
        Of the exposure: its file's name.
    readnoise, gain : str
        Where they came from.
    command : str
        What was typed.
    seconds : float or None
        That reading and fitting took.
    messages : sequence of str
        Warnings.
    products : sequence of str
        Names of the files written.
    """

    name: str = ""
    readnoise: str = ""
    gain: str = ""
    command: str = ""
    seconds: float | None = None
    messages: Sequence[str] = ()
    products: Sequence[str] = ()


@dataclass(frozen=True)
class FlagCount:
    """How many pixels have a flag.

    Attributes
    ----------
    name : str
    pixels : int
    share : float
        Of all pixels.
    """

    name: str
    pixels: int
    share: float


@dataclass(frozen=True)
class NotablePixel:
    """A pixel worth a look.

    Attributes
    ----------
    x, y, integration : int
    reason : str
    rate : str
        With its error; or that there is none.
    flags : str
    segments : int
        Of the integration.
    """

    x: int
    y: int
    integration: int
    reason: str
    rate: str
    flags: str
    segments: int


@dataclass(frozen=True)
class Content:
    """All of a report but its pictures.

    Attributes
    ----------
    title : str
    command : str
        What was typed, or nothing.
    observation, run, versions : list of (str, str)
        Names and values.
    summary : list of (str, str)
        The few numbers that matter most.
    flags : list of FlagCount
    jumps : JumpCounts
    jump_facts : list of (str, str)
    notable : dict of str to list of NotablePixel
        By what they are notable for.
    messages : list of str
    """

    title: str
    command: str
    observation: list[tuple[str, str]]
    run: list[tuple[str, str]]
    versions: list[tuple[str, str]]
    summary: list[tuple[str, str]]
    flags: list[FlagCount]
    jumps: JumpCounts
    jump_facts: list[tuple[str, str]]
    notable: dict[str, list[NotablePixel]]
    messages: list[str]


def collect(fit: RampFit, facts: RunFacts) -> Content:
    """Return what a report says about a fit."""
    exposure = inputs_of(fit).exposure
    jumps = count_jumps(fit, 4 * NOTABLE)
    name = facts.name or (exposure.header.filename if exposure.header is not None else "") or "Exposure"
    messages = list(facts.messages)
    if fit.nothing_to_fit and not any(fit.nothing_to_fit in message for message in messages):
        messages.append(f"no ramp can be fitted: {fit.nothing_to_fit}; all rates are NaN")
    return Content(
        title=name,
        command=facts.command,
        observation=_observation(fit),
        run=_run(fit, facts),
        versions=[("rampfit_numba", __version__), ("Python", sys.version.split()[0]), *_versions()],
        summary=_summary(fit, jumps, facts),
        flags=count_flags(fit.rate.dq),
        jumps=jumps,
        jump_facts=_jump_facts(fit, jumps),
        notable=_notable(fit, jumps),
        messages=messages,
    )


def _observation(fit: RampFit) -> list[tuple[str, str]]:
    exposure = inputs_of(fit).exposure
    found = []
    if exposure.header is not None:
        for name, keyword in _KEYWORDS:
            value = _header_text(exposure.header.primary, keyword)
            if value:
                found.append((name, value))
    nints, ngroups, nrows, ncols = exposure.shape
    times = exposure.read_times
    if times is None:
        groups = f"{ngroups} of {exposure.group_time:.6g} s"
        frames = f"{exposure.nframes} a group, {exposure.groupgap} skipped, {exposure.frame_time:.6g} s each"
    else:
        counts = [np.size(group) for group in times]
        groups = f"{ngroups}, from {np.mean(times[0]):.6g} to {np.mean(times[-1]):.6g} s"
        frames = f"{min(counts)} to {max(counts)} a group" if min(counts) < max(counts) else f"{counts[0]} a group"
    found += [
        ("Integrations", str(nints)),
        ("Groups", groups),
        ("Frames", frames),
        ("Rows and columns", f"{nrows} by {ncols}"),
    ]
    return found


def _header_text(header: Any, keyword: str) -> str:  # noqa: ANN401
    try:
        return str(header.get(keyword, "")).strip()
    except Exception:  # noqa: BLE001  (a card that breaks the standard says nothing)
        return ""


def _run(fit: RampFit, facts: RunFacts) -> list[tuple[str, str]]:
    found = [("Read noise", facts.readnoise or "an array"), ("Gain", facts.gain or "an array")]
    void = {name for algorithm in ALGORITHMS.values() for name in algorithm.own_options}
    void -= set(ALGORITHMS[fit.options.algorithm].own_options)  # options of other algorithms
    found += [
        (option.name, _shown(getattr(fit.options, option.name)))
        for option in fields(fit.options)
        if option.name not in void
    ]
    if facts.seconds is not None:
        found.append(("Time of reading and fitting", f"{facts.seconds:.2f} s"))
    found.append(("Peak memory of the process", f"{_peak_memory() / 2**20:.0f} MiB"))
    if facts.products:
        found.append(("Products", ", ".join(facts.products)))
    return found


def _shown(value: object) -> str:
    return "the default" if value is None else str(value)


def _versions() -> list[tuple[str, str]]:
    from importlib.metadata import version

    return [(name, version(name)) for name in _VERSIONED]


def _peak_memory() -> int:
    """Return the largest memory that the process has had, in bytes."""
    try:
        import resource
    except ImportError:  # Windows
        import psutil

        return int(psutil.Process().memory_info().peak_wset)
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024


def _summary(fit: RampFit, jumps: JumpCounts, facts: RunFacts) -> list[tuple[str, str]]:
    rate = fit.rate
    finite = np.isfinite(rate.data)
    usable = finite & ((rate.dq & dq.DO_NOT_USE) == 0)
    found = [("pixels with a rate", f"{100 * finite.mean():.2f} %")]
    if usable.any():
        found.append(("median rate", f"{np.median(rate.data[usable]):.4g} DN/s"))
        found.append(("median error", f"{np.median(rate.err[usable]):.3g} DN/s"))
    found.append(("jumps", f"{jumps.total}"))
    if rate.chisq is not None and rate.dof is not None:
        counted = usable & (rate.dof > 0) & np.isfinite(rate.chisq)
        if counted.any():
            found.append(("median χ² / dof", f"{np.median(rate.chisq[counted] / rate.dof[counted]):.3f}"))
    if facts.seconds is not None:
        found.append(("read and fitted in", f"{facts.seconds:.2f} s"))
    return found


def count_flags(flags: np.ndarray) -> list[FlagCount]:
    """Return how many pixels have each flag, those that none has left out, the most frequent first."""
    counts = [(name, int(np.count_nonzero(flags & np.uint32(1 << bit)))) for bit, name in enumerate(dq.NAMES)]
    found = [FlagCount(name, count, count / flags.size) for name, count in counts if count]
    return sorted(found, key=lambda flag: -flag.pixels)


def _jump_facts(fit: RampFit, jumps: JumpCounts) -> list[tuple[str, str]]:
    exposure = inputs_of(fit).exposure
    nints, ngroups, nrows, ncols = exposure.shape
    times = sample_times(exposure, fit.options).mean_t
    seconds = nints * (float(times[-1] - times[0]) if ngroups > 1 else exposure.group_time)
    pixels = int(np.count_nonzero((fit.rate.dq & dq.DO_NOT_USE) == 0))
    found = [("Jumps", str(jumps.total))]
    if jumps.total:
        found.append(("Found by the fit itself", str(jumps.found)))
        if pixels:
            found.append(("Rate", f"{jumps.in_usable / seconds:.4g} a second in {pixels} usable pixels"))
        sizes = jumps.sizes[np.isfinite(jumps.sizes)]
        if sizes.size:
            low, middle, high = np.percentile(sizes, [16, 50, 84])
            about, of = ("about ", f" (a random sample of {jumps.sizes.size})") if jumps.sampled else ("", "")
            text = f"median {about}{middle:.4g} e⁻; 68 % between {about}{low:.4g} and {high:.4g} e⁻{of}"
            found.append(("Size", text))
    touched = np.count_nonzero(jumps.of_pixels)
    found.append(("Pixels with a jump", f"{touched} ({100 * touched / (nrows * ncols):.2f} %)"))
    return found


def _notable(fit: RampFit, jumps: JumpCounts) -> dict[str, list[NotablePixel]]:
    """Return the pixels with most segments, the largest jumps, the worst chi-squares; each pixel once."""
    found: dict[str, list[NotablePixel]] = {}
    seen: set[tuple[int, int]] = set()

    def take(title: str, candidates: list[tuple[int, int, int, str]]) -> None:
        pixels: list[NotablePixel] = []
        for x, y, i, reason in candidates:
            if len(pixels) < NOTABLE and (x, y) not in seen:
                seen.add((x, y))
                pixels.append(_pixel(fit, x, y, i, reason))
        if pixels:
            found[title] = pixels

    take(
        "Most jumps in one ramp",
        [
            (
                ramp.column,
                ramp.row,
                ramp.integration,
                f"{ramp.jumps} jump{'s' if ramp.jumps > 1 else ''} in integration {ramp.integration}",
            )
            for ramp in jumps.crowded
        ],
    )
    take(
        "Largest jumps",
        [
            (
                jump.column,
                jump.row,
                jump.integration,
                f"{jump.size:.4g} e⁻ at group {jump.group} of integration {jump.integration}",
            )
            for jump in jumps.largest
        ],
    )
    rate = fit.rate
    if rate.chisq is not None and rate.dof is not None:
        with np.errstate(divide="ignore", invalid="ignore"):
            reduced = np.where((rate.dof > 0) & ((rate.dq & dq.DO_NOT_USE) == 0), rate.chisq / rate.dof, np.nan)
        flat = np.where(np.isfinite(reduced), reduced, -np.inf).ravel()
        count = min(4 * NOTABLE, flat.size)
        worst = np.argpartition(flat, -count)[-count:]
        worst = worst[np.argsort(-flat[worst], kind="stable")]
        candidates = []
        for pixel in worst:
            y, x = divmod(int(pixel), rate.data.shape[1])
            if np.isfinite(flat[pixel]):
                candidates.append((x, y, _worst_integration(fit, x, y), f"χ² / dof = {flat[pixel]:.4g}"))
        take("Worst chi-squares", candidates)
    return found


def _worst_integration(fit: RampFit, x: int, y: int) -> int:
    chisq = fit.rateints.chisq
    if chisq is None:
        return 0
    values = np.where(np.isfinite(chisq[:, y, x]), chisq[:, y, x], -np.inf)
    return int(values.argmax())


def _pixel(fit: RampFit, x: int, y: int, integration: int, reason: str) -> NotablePixel:
    rate = fit.rate
    value = float(rate.data[y, x])
    segments = find_segments(fit, x, y)
    let_go(fit.rateints.data)
    return NotablePixel(
        x=x,
        y=y,
        integration=integration,
        reason=reason,
        rate=f"rate {with_error(value, float(rate.err[y, x]))} DN/s" if np.isfinite(value) else "no rate",
        flags=", ".join(dq.names_of(int(rate.dq[y, x]))) or "none",
        segments=int(np.count_nonzero(segments["integration"] == integration)),
    )
