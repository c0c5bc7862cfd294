"""The likelihood algorithm: generalised least squares on the differences of groups, and its search for jumps.

Brandt 2024a (PASP 136, 045004) and 2024b (PASP 136, 045005).
"""
