"""Compiled code: arrays and scalars only. Nothing here knows files, instruments or options, and nothing raises."""

from rampfit_numba.address_space import check_for_numba

check_for_numba()  # any module here imports it
