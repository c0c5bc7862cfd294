"""Generalised least squares on the differences of groups, with a search for jumps: the pipeline's LIKELY, and joint."""
