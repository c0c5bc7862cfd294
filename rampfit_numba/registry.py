"""The algorithms: what each is called, needs, returns and knows.

This is the one list of them. What they do is in ``algorithms/<package>/method.py``, which is imported when a fit needs
it: nothing here takes time to import, and everything may ask.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable


@dataclass(frozen=True)
class Algorithm:
    """An algorithm, as seen from outside.

    Attributes
    ----------
    name : str
        As :class:`rampfit_numba.FitOptions` has it.
    package : str
        Its folder in ``algorithms/``; several may share one.
    pipeline_name : str
        Its name in the JWST pipeline, or empty.
    fewest_groups : int
        Exposures of fewer groups are fitted with `SHORT_RAMPS`.
    own_options : tuple of str
        Those of the options that not every algorithm knows.
    own_planes : tuple of str
        Planes of the rate that not every algorithm returns.
    chisq_planes : tuple of str
        Those that it returns only where the option chisq asks for them.
    finds_jumps : bool
        It returns the flags of the groups with the jumps that it found.
    small_blocks : bool
        Its kernels' blocks have no more pixels than there are, and few of tens of thousands of integrations.
    needs_dark_unit : bool
        The unit of a dark current matters to its rate, so one that is not known is worth a warning.
    optional_product : str
        Suffix of the file that ``save_opt`` asks for.
    """

    name: str
    package: str
    pipeline_name: str = ""
    fewest_groups: int = 1
    own_options: tuple[str, ...] = ()
    own_planes: tuple[str, ...] = ()
    chisq_planes: tuple[str, ...] = ()
    finds_jumps: bool = False
    small_blocks: bool = False
    needs_dark_unit: bool = False
    optional_product: str = ""


_CHISQ: Final = ("chisq", "dof")

#: By name, in the order in which they are offered.
ALGORITHMS: Final = {
    algorithm.name: algorithm
    for algorithm in (
        Algorithm(
            "ols",
            "ols",
            "OLS_C",
            own_options=("weighting", "errors"),
            chisq_planes=_CHISQ,
            optional_product="fitopt",
        ),
        Algorithm(
            "likely",
            "likely",
            "LIKELY",
            fewest_groups=4,
            own_options=("rejection_threshold",),
            own_planes=_CHISQ,
            finds_jumps=True,
            small_blocks=True,
            optional_product="likely_chisq",
        ),
        Algorithm(
            "likely_joint",
            "likely",
            fewest_groups=4,
            own_options=("rejection_threshold", "pedestal"),
            own_planes=_CHISQ,
            finds_jumps=True,
            small_blocks=True,
            needs_dark_unit=True,
            optional_product="likely_chisq",
        ),
    )
}
#: What errors of a least-squares fit can follow: the weights that were used, or the pipeline's formulas.
ERRORS: Final = ("weights", "reference")
#: What steps in where an algorithm needs more groups than there are.
SHORT_RAMPS: Final = "ols"


def find_algorithm(name: str) -> Algorithm | None:
    """Return the algorithm that has this name here or in the pipeline, in any case; None: there is none.

    Examples
    --------
    >>> find_algorithm("ols_c").name
    'ols'
    """
    wanted = name.lower()
    for algorithm in ALGORITHMS.values():
        if wanted in {algorithm.name, algorithm.pipeline_name.lower()} - {""}:
            return algorithm
    return None


def describe_names() -> str:
    """Return what may be given as an algorithm, for messages.

    Examples
    --------
    >>> describe_names()
    "one of 'ols', 'likely' and 'likely_joint' (in the pipeline 'OLS_C' and 'LIKELY')"
    """
    names = join_names(ALGORITHMS)
    pipeline = join_names(algorithm.pipeline_name for algorithm in ALGORITHMS.values() if algorithm.pipeline_name)
    return f"one of {names} (in the pipeline {pipeline})"


def join_names(names: Iterable[str]) -> str:
    """Return names in quotes as a list within a sentence.

    Examples
    --------
    >>> join_names(["ols", "likely", "likely_joint"])
    "'ols', 'likely' and 'likely_joint'"
    """
    *others, last = map(repr, names)
    return f"{', '.join(others)} and {last}" if others else last
