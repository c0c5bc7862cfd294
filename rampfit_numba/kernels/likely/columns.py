"""Columns of the tables that say what a read pattern does to differences and to lone groups."""

from __future__ import annotations

#: Columns. The couplings of a row are those with the difference before it; PAIR tells whether the difference and the
#: next one may be left out together: their common group is the mean of several frames, so a jump inside touches both.
ALPHA_PHOTON, ALPHA_READ, BETA_PHOTON, BETA_READ, DELTA_T, PAIR = range(6)
COLUMNS = 6
#: Columns of the table for ramps with one good group: factors of photon and read noise, variance due to the pedestal,
#: time since the reset, and level at the reset.
SINGLE_GROUP_PHOTON, SINGLE_GROUP_READ, SINGLE_GROUP_PEDESTAL, SINGLE_GROUP_TIME, SINGLE_GROUP_LEVEL = range(5)
SINGLE_GROUP_COLUMNS = 5
