"""Ordinary least squares as an algorithm: see :class:`rampfit_numba.algorithms.method.Method`."""

from __future__ import annotations

from functools import partial
from itertools import product
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from rampfit_numba.algorithms.method import Kernels, Method, Plan, Results
from rampfit_numba.algorithms.ols.general import (
    GeneralRules,
    fit_general_rows,
    is_general,
    make_general_rules,
)
from rampfit_numba.algorithms.ols.plan import drops_edges, make_plan, make_survey
from rampfit_numba.algorithms.ols.rows import count_rows, expect_rows, fit_rows
from rampfit_numba.algorithms.ols.rules import OlsOutputs, OlsRules
from rampfit_numba.algorithms.ols.scan import merge_surveys
from rampfit_numba.algorithms.ols.weighting import find_exponents
from rampfit_numba.algorithms.rows import one_pixel
from rampfit_numba.kernels.ols.general_settings import GeneralSettings, GeneralTimes
from rampfit_numba.kernels.ols.segments import MOST_IN_BYTES
from rampfit_numba.kernels.ols.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rampfit_numba.algorithms.ols.scan import Survey
    from rampfit_numba.algorithms.rows import RowInputs
    from rampfit_numba.exposure import Exposure
    from rampfit_numba.options import FitOptions

#: Variants of the kernels: for ramps of more than `MOST_IN_BYTES` groups, with the fits of the segments, with the
#: chi-squares, and for what the pipeline does not know.
_LONG, _FITOPT, _CHISQ, _GENERAL = "long", "fitopt", "chisq", "general"


class _Ols:
    def plan(self, exposure: Exposure, options: FitOptions, inputs: RowInputs, surveys: Sequence[Survey] = ()) -> Plan:
        survey = merge_surveys(surveys) if surveys else None
        found = make_plan(exposure, options, inputs.data, inputs.groupdq, survey)
        rules = found.rules
        if is_general(exposure, options):
            general = make_general_rules(exposure, options, rules)
            return Plan(
                inputs if found.use_zeroframe else inputs._replace(zeroframe=None),
                partial(fit_general_rows, rules=general),
                Kernels(options.algorithm, (_GENERAL,)),
                None,
                found.nothing_to_fit,
            )
        long = rules.stop_kept - rules.first_kept > MOST_IN_BYTES
        # Raw reads have no flags of their own yet, zeroframes and dropped groups decide about ramps, and a single group
        # is treated apart.
        told_by_flags = rules.reads is None and not found.use_zeroframe and not rules.dropped_good
        told_by_flags &= rules.stop_kept - rules.first_kept > 1
        variant = (_LONG,) * long + (_FITOPT,) * options.save_opt + (_CHISQ,) * options.chisq
        return Plan(
            inputs if found.use_zeroframe else inputs._replace(zeroframe=None),
            partial(fit_rows, rules=rules),
            Kernels(options.algorithm, variant),
            partial(count_rows, rules=rules) if options.save_opt else None,
            found.nothing_to_fit,
            partial(expect_rows, rules=rules) if options.save_opt and told_by_flags else None,
        )

    def survey(self, exposure: Exposure, options: FitOptions) -> Survey:
        return make_survey(exposure, options)

    def surveyed(self, exposure: Exposure) -> tuple[str, ...]:
        return ("groupdq", "data") if drops_edges(exposure) else ("groupdq",)

    def outputs(self, results: Results) -> OlsOutputs:
        fits = (results.rate, results.rateints)
        planes = [plane for fit in fits for plane in (fit.data, fit.err, fit.var_poisson, fit.var_rnoise, fit.dq)]
        opt = results.fitopt
        if opt is not None:
            planes += [opt.slope, opt.sigslope, opt.var_poisson, opt.var_rnoise, opt.yint, opt.sigyint]
            planes += [opt.weights, opt.pedestal, opt.crmag]
        rate, rateints = fits
        return OlsOutputs(*planes)._replace(
            chisq=rate.chisq, chisq_ints=rateints.chisq, dof=rate.dof, dof_ints=rateints.dof
        )

    def finish(self, plan: Plan, returned: list[Any], results: Results) -> str:
        if not all(fitted.whole for fitted in returned):
            raise ValueError(
                "groupdq: expected flags that stay as they are during the fit; they changed after its segments were "
                "counted: another thread or program wrote into them"
            )
        if plan.nothing_to_fit:
            # CHARGELOSS leaves a read-noise variance on pixels without a slope; where there is no slope at all, it
            # would mislead.
            for plane in (results.rate.var_rnoise, results.rateints.var_rnoise):
                plane[...] = 0
        return plan.nothing_to_fit

    def tell(self, returned: list[Any]) -> None:
        """Say nothing: OLS searches for nothing."""

    def kernels(self, algorithm: str) -> list[Kernels]:
        choices = product(*(((), (name,)) for name in (_LONG, _FITOPT, _CHISQ)))
        variants = [long + fitopt + chisq for long, fitopt, chisq in choices]
        return [Kernels(algorithm, variant) for variant in (*variants, (_GENERAL,))]

    def fit_smallest(self, kernels: Kernels) -> None:
        if _GENERAL in kernels.variant:
            _fit_general()
            return
        ngroups = MOST_IN_BYTES + 1 if _LONG in kernels.variant else 3
        settings = Settings(1.0, 1.0, 1.0, 1.0, 1.0, suppress_one_group=True, clear_first_jump=False)
        rules = OlsRules(settings, 0, ngroups, 0, ngroups - 1, dropped_good=False)
        inputs, plane, cube = one_pixel(ngroups)
        outputs = [np.empty_like(like) for like in [*[plane] * 5, *[cube] * 5]]
        if _FITOPT in kernels.variant:
            count_rows(inputs, None, rules)
            expect_rows(inputs, None, rules)
            segments = [np.zeros((1, 1, 1, 1), np.float32) for _ in range(7)]
            outputs += [*segments, np.zeros((1, 1, 1), np.float32), np.zeros((1, 0, 1, 1), np.float32)]
        wanted = OlsOutputs(*outputs)
        if _CHISQ in kernels.variant:
            degrees = [np.empty_like(like, np.int32) for like in (plane, cube)]
            wanted = wanted._replace(chisq=plane.copy(), chisq_ints=cube.copy(), dof=degrees[0], dof_ints=degrees[1])
        fit_rows(inputs, wanted, rules)


def _fit_general() -> None:
    inputs, plane, cube = one_pixel(3)
    times = np.array([1.0, 2.0, 3.0])
    settings = GeneralSettings(
        0,
        3,
        1.0,
        suppress_one_group=True,
        clear_first_jump=False,
        interpolated=False,
        reference_errors=False,
    )
    rules = GeneralRules(settings, GeneralTimes(times, times, times, times, 1.0, 1.0), find_exponents("uniform"), 0, 2)
    planes = [np.empty_like(like) for like in [*[plane] * 4, *[cube] * 4]]
    dq, dq_ints = np.empty(plane.shape, np.uint32), np.empty(cube.shape, np.uint32)
    outputs = [*planes[:4], dq, *planes[4:], dq_ints]
    fit_general_rows(inputs, OlsOutputs(*outputs), rules)


METHOD: Final[Method] = _Ols()
