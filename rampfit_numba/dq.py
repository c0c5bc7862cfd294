"""Data-quality bits of JWST ramps and images.

The values are those of the JWST calibration pipeline's public flag tables (``stdatamodels.dqflags``). The low eight
bits stand in GROUPDQ (uint8) and in PIXELDQ (uint32) alike; the others in PIXELDQ only.
"""

from typing import Final

DO_NOT_USE: Final = 1 << 0
SATURATED: Final = 1 << 1
JUMP_DET: Final = 1 << 2
DROPOUT: Final = 1 << 3
PERSISTENCE: Final = 1 << 5
AD_FLOOR: Final = 1 << 6
CHARGELOSS: Final = 1 << 7

DEAD: Final = 1 << 10
HOT: Final = 1 << 11
NO_FLAT_FIELD: Final = 1 << 18
NO_GAIN_VALUE: Final = 1 << 19
REFERENCE_PIXEL: Final = 1 << 31

#: Name of each bit, from the lowest on.
NAMES: Final = (
    *("DO_NOT_USE", "SATURATED", "JUMP_DET", "DROPOUT", "OUTLIER", "PERSISTENCE", "AD_FLOOR", "CHARGELOSS"),
    *("RESERVED", "NON_SCIENCE", "DEAD", "HOT", "WARM", "LOW_QE", "RC", "TELEGRAPH"),
    *("NONLINEAR", "BAD_REF_PIXEL", "NO_FLAT_FIELD", "NO_GAIN_VALUE", "NO_LIN_CORR", "NO_SAT_CHECK"),
    *("UNRELIABLE_BIAS", "UNRELIABLE_DARK", "UNRELIABLE_SLOPE", "UNRELIABLE_FLAT", "OPEN", "ADJ_OPEN"),
    *("FLUX_ESTIMATED", "MSA_FAILED_OPEN", "OTHER_BAD_PIXEL", "REFERENCE_PIXEL"),
)


def names_of(flags: int) -> tuple[str, ...]:
    """Return the names of the bits that are set in `flags`, the lowest first.

    Examples
    --------
    >>> names_of(5)
    ('DO_NOT_USE', 'JUMP_DET')
    """
    return tuple(name for bit, name in enumerate(NAMES) if flags >> bit & 1)
