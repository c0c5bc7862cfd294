"""The oracle: every kernel once more, as slow and as obvious as possible, in the place that the kernel has in kernels/.

A twin has the name of its kernel. Where it has its parameters too, `tests/test_twins.py` compares the two on random
numbers; the others are parts of the oracles of whole exposures, of which every plane is compared.
"""

from tests.naive.likely.exposure import naive_likely
from tests.naive.ols.tile import fit_tile as naive_fit

__all__ = ["naive_fit", "naive_likely"]
