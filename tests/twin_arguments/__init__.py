"""Random arguments of every kernel that has a twin with the same parameters."""

from tests.twin_arguments import likely, ols_fitopt, ols_fits, ols_ramps, shared
from tests.twin_arguments.making import EXAMPLES

__all__ = ["EXAMPLES", "likely", "ols_fitopt", "ols_fits", "ols_ramps", "shared"]
