"""Twins of the kernels of ordinary least squares."""
