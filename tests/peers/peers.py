"""A pytest plugin: the pipeline's and stcal's own ramp-fitting tests, with this package's fitter in theirs' place.

Every test must call it, but for those of ``WITHOUT_A_FIT``; and must pass, but for those of ``EXCEPTIONS``, which must
fail, and by that error. ``docs/jwst.md`` has the same list.
"""

from __future__ import annotations

import pytest
from crds.core.exceptions import CrdsError
from stcal.ramp_fitting import ramp_fit as stcal

from rampfit_numba.jwst import calls, fitting, install

#: Test: its error, and why it is right that it fails.
EXCEPTIONS = {
    "test_nocrs_noflux_firstrows_are_nan": (AssertionError, "a missing sample is no measurement of 0 DN"),
    "test_error_when_frame_time_not_set": (ValueError, "a ValueError that names the keyword, not a SystemError"),
    "test_photon_noise_with_unweighted_fit": (ValueError, "a ValueError that names the argument, not a SystemError"),
    "test_uneven_sampling": (CrdsError, "fetches references from CRDS"),
} | dict.fromkeys(
    (
        "test_one_group_ramp_suppressed_one_integration[LIKELY]",
        "test_one_group_ramp_not_suppressed_one_integration[LIKELY]",
        "test_one_group_ramp_suppressed_two_integrations[LIKELY]",
        "test_one_group_ramp_not_suppressed_two_integrations[LIKELY]",
        "test_only_good_0th_group[LIKELY]",
        "test_invalid_integrations[LIKELY]",
    ),
    (AssertionError, "a pixel without a rate has DO_NOT_USE"),
)
#: Tests of other functions of the same files.
WITHOUT_A_FIT = {
    "test_set_group_warnings",  # the step's own function
    "test_too_few_group_ramp",  # likely_ramp_fit, called directly
    "test_refcounter",  # stcal's compiled function, called directly
    "test_flag_large_events_withsnowball",  # the same, with a search for snowballs, which is not offered
}
_fits = 0


def _counted(fit_exposure):
    def count(*arguments, **others):
        global _fits  # noqa: PLW0603  (a plugin is a module)
        _fits += 1
        return fit_exposure(*arguments, **others)

    return count


def pytest_configure() -> None:
    from rampfit_numba.jwst import ramp_fit_step

    calls.fit_exposure = ramp_fit_step.fit_exposure = _counted(fitting.fit_exposure)
    stcal.ramp_fit, stcal.ramp_fit_data = calls.ramp_fit, calls.ramp_fit_data
    install()


def pytest_collection_modifyitems(items) -> None:
    for item in items:
        for name in EXCEPTIONS.keys() & {item.originalname, item.name}:
            error, reason = EXCEPTIONS[name]
            item.add_marker(pytest.mark.xfail(raises=error, reason=reason, strict=True))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item):
    before = _fits
    result = yield
    if _fits == before and item.originalname not in WITHOUT_A_FIT:
        pytest.fail("the test passed without a call of this package's fitter")
    return result
