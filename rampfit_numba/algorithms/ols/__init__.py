"""Optimally weighted least squares between the flagged jumps, as the pipeline's OLS_C."""
