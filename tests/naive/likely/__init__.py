"""Twins of the kernels of the likelihood fits."""
