"""Colours and marks that all pictures share (Okabe & Ito 2008: colour-blind people tell them apart)."""

from __future__ import annotations

from typing import Any, Final

from rampfit_numba import dq

BLACK, ORANGE, SKY, GREEN, YELLOW, BLUE, VERMILION, PURPLE = (
    "#000000",
    "#E69F00",
    "#56B4E9",
    "#009E73",
    "#F0E442",
    "#0072B2",
    "#D55E00",
    "#CC79A7",
)
GREY: Final = "#7F7F7F"
#: Size of the letters beside a panel.
FONT: Final = 7.5

#: How samples are drawn, by kind: label, and keywords of ``Axes.plot``. Shapes differ, so that grey prints tell them
#: apart; the kinds follow each other in the order in which one hides another.
SAMPLES: Final[dict[str, tuple[str, dict[str, Any]]]] = {
    "unused": ("not used", {"marker": "o", "mfc": "none", "mec": GREY, "ms": 4.5}),
    "good": ("fitted", {"marker": "o", "mfc": BLACK, "mec": BLACK, "ms": 3.5}),
    "zeroframe": ("zeroframe", {"marker": "s", "mfc": SKY, "mec": BLACK, "ms": 6}),
    "jump": ("jump, flagged", {"marker": "D", "mfc": ORANGE, "mec": BLACK, "ms": 6}),
    "found": ("jump, found by the fit", {"marker": "D", "mfc": "white", "mec": VERMILION, "mew": 1.6, "ms": 6}),
    "saturated": ("saturated", {"marker": "^", "mfc": "none", "mec": PURPLE, "mew": 1.4, "ms": 7}),
    "bad": ("do not use", {"marker": "x", "mec": VERMILION, "mew": 1.4, "ms": 6}),
    "lost": ("not finite", {"marker": "x", "mec": GREY, "mew": 1.4, "ms": 6}),
}
SATURATED, DO_NOT_USE, JUMP_DET = dq.SATURATED, dq.DO_NOT_USE, dq.JUMP_DET
#: Flags with a colour of their own in images: that of the samples that have them.
FLAGS: Final[dict[int, str]] = {
    DO_NOT_USE: VERMILION,
    SATURATED: PURPLE,
    JUMP_DET: ORANGE,
    dq.REFERENCE_PIXEL: "#B3B3B3",
}
