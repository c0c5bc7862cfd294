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
