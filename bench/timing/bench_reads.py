"""What do corrections of raw reads cost? In the load of the fit, as here, and as passes over the whole array before it.

Timed are whole ``fit_ramps`` calls on a stack of uint16, with one worker; of the passes, flags made with NumPy and the
fit of them. The results of the two ways are compared bit by bit before.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from common import Contender, Times, check_same, interleave, parse_arguments, shape_text, warm_up
from reporting import Report
from shared import SEED, Table

SHAPE = (16, 512, 2048)
READ_TIME, READNOISE, GAIN, BIAS, LEVEL = 5.24, 6.0, 2.0, 1000.0, 45000.0
SATURATED = 2
NOTHING, NUMBER, IMAGE, ALL, PASSES = (
    "nothing",
    "saturation level",
    "its image",
    "image, bias, linearity",
    "NumPy flags",
)
ALGORITHMS = ("ols", "likely")


def make_reads(shape: tuple[int, int, int]) -> np.ndarray:
    """Return counts of uint16 of faint to bright pixels, some of which saturate, with hits."""
    generator = np.random.default_rng(SEED)
    rate = 10 ** generator.uniform(0, 3.4, shape[1:])
    total, reads = np.zeros(shape[1:]), np.empty(shape, np.uint16)
    for read in reads:
        total += generator.poisson(rate) + 2000 * (generator.random(shape[1:]) < 0.002)  # noqa: PLR2004
        read[...] = np.clip(BIAS + total + generator.normal(0, READNOISE, shape[1:]), 0, 65535)
    return reads


def compare(algorithm: str, reads: np.ndarray, repeats: int) -> dict[str, Times]:
    """Time the contenders."""
    from rampfit_numba import Exposure, fit_ramps

    image = reads.shape[1:]
    level = np.full(image, LEVEL, np.float32)
    curve = np.broadcast_to(np.float32([0, 1, 2e-6, 1e-12])[:, None, None], (4, *image)).copy()
    corrections: dict[str, dict[str, Any]] = {
        NOTHING: {},
        NUMBER: {"saturation": LEVEL},
        IMAGE: {"saturation": level},
        ALL: {"saturation": level, "pedestal": np.full(image, BIAS, np.float32), "linearity": curve},
    }

    def fit(exposure: Any) -> Any:  # noqa: ANN401
        return fit_ramps(exposure, READNOISE, GAIN, algorithm=algorithm, readnoise_kind="single")

    def passes() -> Any:  # noqa: ANN401
        over = np.logical_or.accumulate(reads >= LEVEL, axis=0)
        return fit(Exposure(reads[None], over.view(np.uint8)[None] * np.uint8(SATURATED), READ_TIME))

    contenders = [
        Contender(name, lambda options=options: fit(Exposure.from_reads(reads, frame_time=READ_TIME, **options)))
        for name, options in corrections.items()
    ]
    contenders.append(Contender(PASSES, passes))
    warm = warm_up(contenders)
    check_same(warm[NUMBER], warm[PASSES])
    del warm
    return interleave(contenders, repeats)


def main() -> None:
    """Compare for both kinds of fits."""
    arguments = parse_arguments(__doc__ or "", 5, quick_repeats=1)
    report = Report("reads", arguments)
    shape = (16, 18, 41) if arguments.quick else SHAPE
    reads = make_reads(shape)
    names = [NOTHING, NUMBER, IMAGE, ALL, PASSES]
    table = Table(
        f"Raw reads, {shape_text(shape)}: us a ramp, minimum (median)",
        ["algorithm", *names],
        note="The last column: flags of the saturation level made by a pass over the whole array, and the fit of them. "
        "Its results are equal in every bit to those of the second one, as is checked before.",
    )
    report.tables.append(table)
    ramps = shape[1] * shape[2]
    for algorithm in ALGORITHMS:
        times = compare(algorithm, reads, arguments.repeats)
        each = [Times([1e3 * seconds / ramps for seconds in times[name].seconds]) for name in names]
        table.rows.append([algorithm, *(t.text() for t in each)])
        report.keep(algorithm, times)
        print(f"{table.rows[-1]}", flush=True)
    print()
    report.finish()


if __name__ == "__main__":
    main()
