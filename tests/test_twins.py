"""Every kernel has a plain twin, and does what its twin does."""

from __future__ import annotations

import importlib
import sys
from functools import cache

import numpy as np
import pytest

from tests.naive import naive_fit, naive_likely
from tests.random_exposures import random_case
from tests.random_likely import random_likely_case
from tests.sizes import fewer
from tests.twin_arguments import EXAMPLES
from tests.twins import compare_with_twin, compiled_functions, find_kernels, kernel_of, parameters_of, twin_of

#: Kernels whose twins take a pixel or an exposure, and the tests in which these meet.
WHOLE = {
    "corrections.correct_reads": "test_reads.test_in_every_plane",
    "used_reads.count_used": "test_reads.test_reads_used_are_counted",
    "ols.tile.fit_tile": "test_naive.test_engine_equals_naive",
    "ols.expected.count_flags": "test_expected.test_they_are_those_of_the_twin",
    "ols.tile.count_tile": "test_naive.test_engine_equals_naive",
    "ols.block.fit_block": "test_naive.test_engine_equals_naive",
    "ols.block_rates.find_rates": "test_naive.test_engine_equals_naive",
    "ols.chisq.find_chisq": "test_chisq.test_they_are_those_of_dense_matrices",
    "ols.general.fit_general_tile": "test_weighting.test_closed_forms",
    "likely.tile.fit_likely_tile": "test_likely_kernels.test_random_ramps_against_the_oracle",
    "likely.joint.fit_joint_tile": "test_likely_kernels.test_random_ramps_against_the_oracle",
    "likely.combine.combine_integrations": "test_likely_kernels.test_random_ramps_against_the_oracle",
    "likely.search.search": "test_likely_kernels.test_random_ramps_against_the_oracle",
    "likely.joint_search.search_hits": "test_likely_kernels.test_random_ramps_against_the_oracle",
    "likely.explain.explain": "test_likely_kernels.test_random_ramps_against_the_oracle",
    "likely.given_differences.search_given": "test_fitramp.test_naive_oracle",
    "likely.given_differences.fit_given": "test_fitramp.test_naive_oracle",
    "likely.given_differences.weigh_given": "test_fitramp.test_naive_oracle",
}
KERNELS = find_kernels()


@cache
def reached_by_oracles():
    """Return what is called where the oracles fit whole exposures."""
    found = set()
    before = sys.getprofile()
    sys.setprofile(lambda frame, event, _: found.add(frame.f_code) if event == "call" else None)
    try:
        for seed in range(4):
            naive_fit(random_case(seed, small=True).copy(save_opt=True))
        for seed in range(12, 20):
            for joint in (False, True):
                naive_likely(random_likely_case(seed, small=True), joint=joint)
    finally:
        sys.setprofile(before)
    return found


@pytest.mark.parametrize("name", KERNELS)
def test_every_kernel_has_a_twin(name):
    """A function of its own in tests/naive, in the same place and under the same name, that is compared with it."""
    twin = twin_of(name)
    assert twin is not None, f"{name} has no twin in tests/naive"
    if name in WHOLE:
        module, _, function = WHOLE[name].partition(".")
        found = importlib.import_module(f"tests.{module}")
        assert hasattr(found, function) or any(hasattr(part, function) for part in vars(found).values()), WHOLE[name]
        handed = any(twin is part or twin is getattr(part, twin.__name__, None) for part in vars(found).values())
        assert handed or twin.__code__ in reached_by_oracles(), f"no test calls the twin of {name}"
        return
    assert parameters_of(twin) == parameters_of(kernel_of(name))
    assert name in EXAMPLES, f"no arguments of {name} in tests/twin_arguments.py"


def test_no_twin_is_left_over():
    assert set(WHOLE) | set(EXAMPLES) == set(KERNELS)


def test_a_kernel_without_a_twin_is_found(tmp_path):
    (tmp_path / "ols").mkdir()
    (tmp_path / "ols" / "combine.py").write_text(
        "@jit\ndef bounded(): ...\n@jit_inline\ndef untwinned(): ...\ndef plain(): ...\n@jit\ndef _part(): ...\n",
        encoding="utf-8",
    )
    kernels = find_kernels(tmp_path)
    assert kernels == ["ols.combine.bounded", "ols.combine.untwinned"]
    assert [twin_of(name) is not None for name in kernels] == [True, False]
    assert list(compiled_functions("@jit_intrinsic(sum)\ndef made(): ...")) == ["made"]


@pytest.mark.kernel
@pytest.mark.parametrize("name", sorted(EXAMPLES))
def test_kernels_do_what_their_twins_do(name):
    for seed in range(fewer(12, 3)):
        compare_with_twin(name, EXAMPLES[name], np.random.default_rng(seed))
