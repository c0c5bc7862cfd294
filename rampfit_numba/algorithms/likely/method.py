"""The likelihood fits as an algorithm: see :class:`rampfit_numba.algorithms.method.Method`."""

from __future__ import annotations

import logging
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from rampfit_numba.algorithms.likely.plan import make_likely_rules
from rampfit_numba.algorithms.likely.rows import fit_likely_rows
from rampfit_numba.algorithms.likely.rules import LikelyOutputs, LikelyRules
from rampfit_numba.algorithms.likely.thresholds import thresholds
from rampfit_numba.algorithms.method import Kernels, Method, Plan, Results
from rampfit_numba.algorithms.read_pattern import even_read_times, read_pattern
from rampfit_numba.algorithms.rows import one_pixel
from rampfit_numba.registry import ALGORITHMS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rampfit_numba.algorithms.rows import RowInputs
    from rampfit_numba.exposure import Exposure
    from rampfit_numba.options import FitOptions

log = logging.getLogger(__name__)

_JOINT = "likely_joint"
#: What the kernels call the planes of a rate, where that differs.
_PLANES = {"data": "slope"}


class _Likely:
    def plan(self, exposure: Exposure, options: FitOptions, inputs: RowInputs, _surveys: Sequence[None] = ()) -> Plan:
        rules = make_likely_rules(exposure, options, joint=options.algorithm == _JOINT)
        if not rules.split_zeroframe:
            inputs = inputs._replace(zeroframe=None)
        return Plan(inputs, partial(fit_likely_rows, rules=rules), Kernels(options.algorithm))

    def survey(self, _exposure: Exposure, _options: FitOptions) -> None:
        return None

    def surveyed(self, _exposure: Exposure) -> tuple[str, ...]:
        return ()

    def outputs(self, results: Results) -> LikelyOutputs:
        planes: dict[str, Any] = {}
        for fit, suffix in ((results.rate, ""), (results.rateints, "_ints")):
            planes |= {_PLANES.get(name, name) + suffix: plane for name, plane in vars(fit).items() if name != "header"}
        return LikelyOutputs(groupdq=results.groupdq, **planes)  # type: ignore[arg-type]  # these algorithms have it

    def finish(self, plan: Plan, _returned: list[Any], _results: Results) -> str:
        return plan.nothing_to_fit

    def tell(self, returned: list[Any]) -> None:
        log.info("Jumps found: %d", sum(returned))

    def kernels(self, algorithm: str) -> list[Kernels]:
        return [Kernels(algorithm)]

    def fit_smallest(self, kernels: Kernels) -> None:
        one, two = thresholds(None)
        ngroups = ALGORITHMS[kernels.algorithm].fewest_groups
        rules = LikelyRules(
            pattern=read_pattern(even_read_times(ngroups, 1.0)),
            threshold_one=one,
            threshold_two=two,
            joint=kernels.algorithm == _JOINT,
            split_zeroframe=False,
            nframes=1,
            first_used=0,
            last_used=ngroups - 1,
        )
        inputs, plane, cube = one_pixel(ngroups)
        outputs = [np.empty_like(like) for like in [*[plane] * 5, *[cube] * 5, *[plane, cube] * 2, inputs.groupdq]]
        fit_likely_rows(inputs, LikelyOutputs(*outputs), rules)


METHOD: Final[Method] = _Likely()
