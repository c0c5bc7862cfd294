"""Compiled code: arrays and scalars only. Nothing here knows files, instruments or options, and nothing raises."""
