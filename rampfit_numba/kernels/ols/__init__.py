"""Optimally weighted least squares: segments between flagged jumps, fitted and combined.

Fixsen et al. 2000 (PASP 112, 1350), Robberto 2008 (JWST-STScI-0001490), Regan 2007 (JWST-STScI-001212).
"""
