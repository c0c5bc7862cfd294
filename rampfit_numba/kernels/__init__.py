"""Compiled code: arrays and scalars only. Nothing here knows files, instruments or options, and nothing raises."""

from rampfit_numba.address_space import check_for_loading

check_for_loading("Numba")  # any module here imports it
