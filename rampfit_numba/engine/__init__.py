"""Rows and workers. Nothing here knows what a ramp is."""
