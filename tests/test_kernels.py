"""Kernel functions one by one, against the formulas of `docs/algorithm.md` and against NumPy."""

from __future__ import annotations

import itertools
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rampfit_numba.algorithms.median_network import middle_network
from rampfit_numba.algorithms.ols.weights import segment_weights
from rampfit_numba.kernels import selection
from rampfit_numba.kernels._jit import LANES
from rampfit_numba.kernels.bits import BITS
from rampfit_numba.kernels.ols import combine, fitopt, means, median_rate, pixels, segment_fit, short_median, slopes
from rampfit_numba.kernels.ols import segments as segment_kernels
from rampfit_numba.kernels.ols.arrays import BlockFitOpt
from rampfit_numba.kernels.ols.fitopt import YINT
from rampfit_numba.kernels.ols.pixels import CONSTANTS, GAIN, POISSON, READ, READNOISE
from rampfit_numba.kernels.ols.segments import empty_runs, empty_segments
from rampfit_numba.kernels.ols.settings import Settings
from rampfit_numba.kernels.ols.short_median import LONGEST
from rampfit_numba.kernels.ols.weighting import BOUNDS, POWERS
from tests.compiled import from_python
from tests.naive.ols.block import Detector, Ramp, find_segments, fit_segment, weight_power
from tests.sizes import fewer

pytestmark = pytest.mark.kernel

bounded = from_python(combine.bounded)
combine_clean = from_python(combine.combine_clean)
combine_integrations = from_python(combine.combine_integrations)
combine_segments = from_python(combine.combine_segments)
store_clean = from_python(fitopt.store_clean)
store_segments = from_python(fitopt.store_segments)
add_clean_step = from_python(median_rate.add_clean_step)
add_flagged_step = from_python(median_rate.add_flagged_step)
bring_to_middle = from_python(selection.bring_to_middle)
fit_clean = from_python(slopes.fit_clean)
fit_segments = from_python(slopes.fit_segments)
signal_class = from_python(segment_fit.signal_class)
fit_gathered = from_python(slopes.fit_gathered)
rank_segments = from_python(means.rank_segments)
gather_means = from_python(means.gather_means)
list_means = from_python(means.list_means)
fit_listed = from_python(slopes.fit_listed)
middle_of_steps = from_python(short_median.middle_of_steps)
middle_of_usable_steps = from_python(short_median.middle_of_usable_steps)
sum_clean = from_python(segment_fit.sum_clean)
sum_segments = from_python(segment_fit.sum_segments)
weigh_clean = from_python(segment_fit.weigh_clean)
find_constants = from_python(pixels.find_constants)
count_segments = from_python(segment_kernels.count_segments)
find_runs = from_python(segment_kernels.find_runs)
find_single_group = from_python(segment_kernels.find_single_group)
list_segments = from_python(segment_kernels.list_segments)

D, S, J, P, AD_FLOOR, C = 1, 2, 4, 32, 64, 128
GROUP_TIME = 2.75
SETTINGS = Settings(GROUP_TIME, 1.25, 1.75, 2.0, 1.0, suppress_one_group=False, clear_first_jump=False)
CLASSES = range(len(POWERS))


# ------------------------------------------------------------------------------------------------------ median network
def through(network, values):
    """Return values of shape (length, number) after the exchanges, made as `middle_network` describes them."""
    values = values.copy()
    for low, high, needed in network:
        smaller, larger = np.minimum(values[low], values[high]), np.maximum(values[low], values[high])
        if needed != 2:
            values[low] = smaller
        if needed != 1:
            values[high] = larger
    return values


def check_middle(length, values):
    found, expected = through(middle_network(length), values), np.sort(values, axis=0)
    for rank in {max(length // 2 - 1, 0), length // 2}:
        np.testing.assert_array_equal(found[rank], expected[rank], err_msg=f"length {length}, rank {rank}")


@pytest.mark.parametrize("length", range(1, 71))
def test_network_by_the_zero_one_principle(length):
    """What puts sequences of 0 and 1 in order does so with all numbers (Knuth 3, 5.3.4 Z).

    Minima and maxima never fall when a value rises: rank r is right for all sequences if it is for those of r zeros and
    of r + 1. These are tried all where the rows are short; of the others random ones, and runs turned round anywhere.
    """
    ones = range(length - length // 2 - 1, length - length // 2 + 2)
    if length <= fewer(15, 10):
        values = (np.arange(2**length)[np.newaxis] >> np.arange(length)[:, np.newaxis]) & 1
        values = values[:, np.isin(values.sum(axis=0), ones)]
    else:
        counts = np.repeat(ones, fewer(2000, 200))
        values = (np.random.default_rng(length).random((length, counts.size)).argsort(axis=0) < counts).astype(int)
        rolled = (np.arange(length)[:, np.newaxis] + np.arange(length)) % length
        values = np.hstack([values, *((rolled < count).astype(int) for count in ones)])
    check_middle(length, values)


def check_short_median(values):
    """Compare the middle ones of values of shape (length, number), and of steps of that size, with sorted ones."""
    length, number = values.shape
    ranks = sorted({max(length // 2 - 1, 0), length // 2})
    expected = np.sort(values, axis=0)[ranks]
    for start in range(0, number, LANES):
        columns = (start + np.arange(LANES)) % number
        block = np.ascontiguousarray(values[:, columns], np.float32)
        samples = np.concatenate([np.full((1, LANES), 5, np.float32), block]).cumsum(axis=0, dtype=np.float32)
        found = np.full_like(block, np.nan)
        middle_of_steps(samples=samples, found=found)
        np.testing.assert_array_equal(found[ranks], expected[:, columns])
        found[:] = np.nan
        all_bits = np.full((max(LANES // BITS, 1), length), 2**64 - 1, np.uint64)
        middle_of_usable_steps(samples=samples, usable=all_bits, found=found)
        np.testing.assert_array_equal(found[ranks], expected[:, columns])


@pytest.mark.parametrize("length", range(1, LONGEST + 1))
def test_short_medians_by_the_zero_one_principle(length):
    """As above: all sequences of two runs of eight, and behind the first two runs all that sorted runs can be."""
    if length <= fewer(16, 9):
        values = (np.arange(2**length)[np.newaxis] >> np.arange(length)[:, np.newaxis]) & 1
        ones = range(length - length // 2 - 1, length - length // 2 + 2)
        check_short_median(values[:, np.isin(values.sum(axis=0), ones)])
        return
    rng = np.random.default_rng(length)
    sizes = [min(8, length - begin) for begin in range(0, length, 8)]
    counts = np.array(list(itertools.product(*(range(size + 1) for size in sizes))))
    counts = counts[:: fewer(1, 20)]
    runs = [rng.random((size, len(counts))).argsort(axis=0) < counts[:, k] for k, size in enumerate(sizes)]
    check_short_median(np.concatenate(runs).astype(int))


@pytest.mark.parametrize("length", [1, 2, 3, 7, 8, 9, 15, 16, 17, 19, 20, 23, 24])
def test_short_medians_of_numbers(length):
    rng = np.random.default_rng(length)
    check_short_median(rng.integers(-3, 4, (length, 2 * LANES)).astype(float))  # many are equal
    check_short_median(rng.integers(-1000, 1000, (length, 2 * LANES)).astype(float))


@pytest.mark.parametrize("length", [1, 2, 3, 7, 8, 19, 20, 63, 64, 65, 128, 129, 299, 300])
def test_network_with_numbers(length):
    rng = np.random.default_rng(length)
    check_middle(length, rng.integers(-3, 4, (length, 200)).astype(float))  # many are equal
    check_middle(length, rng.normal(size=(length, 200)))
    block = rng.normal(size=(length, LANES))
    block[rng.random(block.shape) < 0.2] = np.inf
    block[rng.random(block.shape) < 0.2] = -np.inf
    expected = through(middle_network(length), block)
    bring_to_middle(values=block, network=middle_network(length))
    np.testing.assert_array_equal(block, expected)


def test_network_is_shared_and_so_cannot_be_changed():
    assert middle_network(9) is middle_network(9)
    assert not middle_network(9).flags.writeable
    assert middle_network(1).shape == (0, 3)


# -------------------------------------------------------------------------------------------------------------- weights
LENGTHS = [*range(2, 13), 65, 300]


def weights_of(power_class, length):
    """Return w_k = |(k - c) / c|^P with c = (n - 1) / 2, the power taken in single precision (section 5)."""
    centre = (length - 1) / 2
    distance = np.abs((np.arange(length) - centre) / centre).astype(np.float32)
    return (distance.astype(float) ** float(np.float32(POWERS[power_class]))).astype(np.float32).astype(float)


def factors_of(tables, power_class, length):
    """Return the factors of one segment length."""
    start = power_class * (tables.factors.size // len(POWERS)) + length * (length - 1) // 2
    return tables.factors[start : start + length]


@pytest.mark.parametrize("power_class", CLASSES)
def test_factors_solve_the_weighted_least_squares(power_class):
    """The factors are the slope's row of the solution of min sum w (y - a - b x)^2, times n^3 - n, for each sample."""
    for length in LENGTHS:
        tables, weights = segment_weights(max(length, 5)), weights_of(power_class, length)
        x = np.arange(length) - (length - 1) / 2
        root = np.sqrt(weights)
        solution = np.linalg.lstsq(root[:, np.newaxis] * np.stack([np.ones(length), x], axis=1), np.diag(root))[0]
        slope, scale = solution[1], np.abs(solution[1]).max()
        found = factors_of(tables, power_class, length) / (float(length) ** 3 - length)
        # The power of a quotient that is rounded differently: one unit of single precision, P times.
        np.testing.assert_allclose(found, slope, rtol=2e-6, atol=1e-12 * scale, err_msg=f"length {length}")
        np.testing.assert_allclose(1 / tables.per_total[power_class, length], weights.sum(), rtol=2e-6)
        np.testing.assert_allclose(tables.spread[power_class, length], (weights * x**2).sum(), rtol=2e-6)


def some_constants(rate=10.0, readnoise=14.0, gain=1.5):
    """Return the constants of a block of pixels; the arguments are numbers or one for each pixel."""
    constants = np.empty((CONSTANTS, LANES))
    constants[READNOISE], constants[GAIN] = readnoise, gain
    find_constants(settings=SETTINGS, rate=np.broadcast_to(np.asarray(rate, float), LANES).copy(), constants=constants)
    return constants


def some_fitopt():
    """Return buffers for the optional results of a block: one integration, one segment, no jump."""
    return BlockFitOpt(
        segments=np.zeros((7, 1, LANES), np.float32),
        pedestal=np.zeros(LANES, np.float32),
        crmag=np.zeros((0, LANES), np.float32),
        nothing=np.zeros(LANES, np.float32),
        depth=np.zeros(2, np.int64),
        whole=np.ones(1, bool),
    )


@pytest.mark.parametrize("power_class", CLASSES)
def test_lines_are_those_of_polyfit(power_class):
    """Slope and intercept of a segment somewhere in a ramp, and of a whole ramp, by NumPy's weighted fit."""
    tables = segment_weights(303)
    # A step that has the class: far above the read noise, the ratio is the root of the electrons.
    total = 4.0 if power_class == 0 else 1.5 * BOUNDS[power_class - 1] ** 2
    constants = some_constants(readnoise=0.1, gain=1.0)
    for length in LENGTHS:
        rng = np.random.default_rng(length)
        x = np.arange(length) - (length - 1) / 2
        samples = np.full((length + 3, LANES), np.nan, np.float32)
        samples[2:-1] = 1000 + total / (length - 1) * x[:, np.newaxis]
        samples[3:-2] += rng.normal(0, 0.3, (max(length - 2, 0), LANES))
        flags = np.full(samples.shape, D, np.uint8)
        flags[2:-1] = 0
        runs, segments = empty_runs(length + 3), empty_segments(length + 3)
        find_runs(flags=flags, clear_jump=False, left_out=np.zeros(LANES, bool), runs=runs)
        number = list_segments(runs=runs, segments=segments)
        assert number == LANES
        fit_segments(samples=samples, constants=constants, weights=tables, segments=segments, number=number)
        fitopt, whole_fitopt = some_fitopt(), some_fitopt()
        stored = np.zeros(LANES, np.int32)
        store_segments(
            fitopt=fitopt,
            samples=samples,
            segments=segments,
            number=number,
            settings=SETTINGS,
            constants=constants,
            weights=tables,
            stored=stored,
        )
        assert (stored == 1).all()
        assert fitopt.depth[0] == 1
        whole = np.ascontiguousarray(samples[2:-1])
        classes, slope = np.zeros((2, LANES))
        unflagged = np.arange(LANES) != 1
        fit_clean(
            samples=whole,
            constants=constants,
            weights=segment_weights(length),
            unflagged=unflagged,
            classes=classes,
            slope=slope,
        )
        assert classes[1] == -1
        if length > 2:
            assert (classes[unflagged] == power_class).all()
        store_clean(
            fitopt=whole_fitopt,
            samples=whole,
            classes=classes,
            slope=slope,
            settings=SETTINGS,
            constants=constants,
            weights=segment_weights(length),
            wanted=True,
        )
        assert not whole_fitopt.segments[..., 1].any()
        weights, scale = weights_of(power_class, length), float(length) ** 3 - length
        for k in (0, LANES - 1):
            here = whole[:, k].astype(float)
            expected = np.polyfit(x, here, 1, w=np.sqrt(weights))  # mean and slope, where x is that from the mean
            assert segments.lane[k] == k
            found = [
                segments.slope[k] / scale,
                slope[k] / scale,
                factors_of(tables, power_class, length) @ here / scale,
            ]
            np.testing.assert_allclose(found, expected[0], rtol=1e-7, err_msg=f"length {length}")
            middle = (length - 1) / 2
            for stored_fit, first in ((fitopt, 2), (whole_fitopt, 0)):
                found = stored_fit.segments[YINT, 0, k]
                np.testing.assert_allclose(found, expected[1] - expected[0] * (first + middle), rtol=2e-7)


def test_tables_do_not_depend_on_the_longest_length():
    short, long = segment_weights(12), segment_weights(65)
    for power_class in CLASSES:
        for length in range(2, 13):
            one, other = (factors_of(tables, power_class, length) for tables in (short, long))
            assert one.tobytes() == other.tobytes()
        assert short.spread[power_class].tobytes() == long.spread[power_class, :13].tobytes()


# --------------------------------------------------------------------------------------------- signal-to-noise classes
# With k = p^2 / (p^2 - q^2), m = p q / (p^2 - q^2), k b^2 electrons over the read noise m b have the ratio b exactly.
EXACT = [(25 / 16, 15 / 16), (9 / 8, 3 / 8)]


def exact_class(step, readnoise, gain):
    """Return the class of step G / sqrt(R^2 + step G), found without rounding."""
    signal = Fraction(step) * Fraction(gain)
    variance = Fraction(readnoise) ** 2 + signal
    if signal <= 0 or variance <= 0:
        return 0
    return sum(signal**2 >= Fraction(bound) ** 2 * variance for bound in BOUNDS)


@pytest.mark.parametrize("gain", [0.5, 1.0, 4.0])
@pytest.mark.parametrize(("k", "m"), EXACT)
@pytest.mark.parametrize(("power_class", "bound"), [*enumerate(BOUNDS, start=1)])
def test_lower_bounds_of_classes_are_inclusive(power_class, bound, k, m, gain):
    step, readnoise = k * bound * bound / gain, m * bound
    assert exact_class(step, readnoise, gain) == power_class
    assert signal_class(step=step, readnoise=readnoise, gain=gain) == power_class
    below, above = (float(np.nextafter(np.float32(step), np.float32(end))) for end in (0, np.inf))
    assert signal_class(step=below, readnoise=readnoise, gain=gain) == power_class - 1
    assert signal_class(step=above, readnoise=readnoise, gain=gain) == power_class
    assert (
        signal_class(step=step, readnoise=float(np.nextafter(np.float32(readnoise), np.float32(np.inf))), gain=gain)
        == power_class - 1
    )
    assert (
        signal_class(step=step, readnoise=float(np.nextafter(np.float32(readnoise), np.float32(0))), gain=gain)
        == power_class
    )
    assert POWERS[int(signal_class(step=step, readnoise=readnoise, gain=gain))] == weight_power(np.float64(bound))
    # The next double itself may round onto the bound from below, but never from above, and no two away.
    assert signal_class(step=np.nextafter(step, np.inf), readnoise=readnoise, gain=gain) == power_class
    assert signal_class(step=step * (1 - 2**-50), readnoise=readnoise, gain=gain) == power_class - 1


@given(
    step=st.floats(-1e5, 1e5, width=32),
    readnoise=st.floats(0.125, 1000, width=32),
    gain=st.floats(0.0625, 100, width=32),
)
def test_classes_of_any_numbers(step, readnoise, gain):
    low, high = (exact_class(step * scale, readnoise, gain) for scale in (1 - 2**-49, 1 + 2**-49))
    assert min(low, high) <= signal_class(step=step, readnoise=readnoise, gain=gain) <= max(low, high)


@pytest.mark.parametrize(
    ("step", "readnoise", "gain", "expected"),
    [
        (np.nan, 1.0, 1.0, 5),
        (50.0, np.nan, 1.0, 5),
        (50.0, 1.0, np.nan, 5),
        (0.0, 1.0, 1.0, 0),
        (0.0, 0.0, 1.0, 0),
        (-50.0, 1.0, 1.0, 0),  # no positive variance
        (-50.0, 1000.0, 1.0, 0),  # a positive one
        (50.0, 1.0, 0.0, 0),
        (-50.0, 1.0, -1.0, 1),
        (1e30, 1.0, 1.0, 5),
    ],
)
def test_classes_of_odd_numbers(step, readnoise, gain, expected):
    assert signal_class(step=step, readnoise=readnoise, gain=gain) == expected


# ------------------------------------------------------------------------------------------------------------- segments
def find_runs_of(flags, *, clear_jump=False, left_out=None):
    """Return `find_runs` of ramps of flags, shape (ngroups, LANES)."""
    runs = empty_runs(len(flags))
    runs.length[:] = 77
    find_runs(
        flags=flags, clear_jump=clear_jump, left_out=np.zeros(LANES, bool) if left_out is None else left_out, runs=runs
    )
    assert not runs.length[-1].any()
    return runs


def runs_of(groups):
    """Return the runs (first group, length) of one lane, single groups included, as `RunLengths` describes them."""
    runs = []
    for g in range(len(groups) - 1):
        if groups[g] > 0 and groups[g + 1] < 2:
            runs.append((g + 1 - int(groups[g]), int(groups[g])))
            np.testing.assert_array_equal(groups[g + 1 - int(groups[g]) : g + 1], 1 + np.arange(int(groups[g])))
    return runs


def fitted(runs):
    """Return the runs that are fitted and their number as the reference reports it (section 3)."""
    long = [run for run in runs if run[1] > 1]
    return (long, len(long)) if long else (runs[:1], len(runs))


def listed(runs, ngroups):
    """Return, for each lane, the segments that `list_segments` finds in it, and let their cubes be added up."""
    segments = empty_segments(ngroups)
    number = list_segments(runs=runs, segments=segments)
    segments.slope[:] = segments.weight[:] = 0
    sum_segments(segments=segments, number=number, runs=runs, constants=some_constants(), sums=np.empty((4, LANES)))
    found = [[] for _ in range(LANES)]
    for lane, last, length in zip(*(array[:number].tolist() for array in segments[:3]), strict=True):
        found[lane].append((last + 1 - length, length))
    return found


def check_segments(flags):
    """Check that segments, their numbers and sums are those of the slow way to find them."""
    runs = find_runs_of(flags)
    several, single = np.full((2, LANES), -1, np.int32)
    count_segments(runs=runs, several=several, single=single)
    for lane, segments in enumerate(listed(runs, len(flags))):
        bits = [int(f) for f in flags[:, lane]]
        expected, reported = find_segments(bits)
        assert fitted(runs_of(runs.length[:, lane])) == (expected, reported), bits
        long = [segment for segment in expected if segment[1] > 1]
        assert segments == long, bits
        assert (several[lane] or single[lane]) == reported, bits
        assert runs.nsegments[lane] == len(long)
        assert runs.sum_steps[lane] == sum(length - 1 for _, length in long)
        assert runs.sum_cubes[lane] == sum(length**3 - length for _, length in long)
        if not long:
            assert find_single_group(runs=runs, k=lane) == (expected[0][0] if expected else -1), bits


FLAGS = st.sampled_from([0, 0, 0, J, P, J | P, D, S, AD_FLOOR, C, J | D, J | AD_FLOOR, 8, 16])


@given(data=st.data())
def test_segments_of_short_ramps(data):
    ngroups = data.draw(st.integers(1, 12), "ngroups")
    ramps = data.draw(
        st.lists(st.lists(FLAGS, min_size=ngroups, max_size=ngroups), min_size=LANES, max_size=LANES), "flags"
    )
    check_segments(np.array(ramps, np.uint8).T.copy())


@given(
    ngroups=st.sampled_from([1, 2, 3, 62, 63, 64, 65, 66, 127, 128, 129, 130, 192, 193, 300]),
    seed=st.integers(0, 2**32 - 1),
    share=st.sampled_from([0.0, 0.03, 0.3, 0.7]),
)
def test_segments_of_long_ramps(ngroups, seed, share):
    """A word holds 64 groups: what happens at its edges must not show."""
    rng = np.random.default_rng(seed)
    flags = rng.choice(np.array([J, J, P, J | P, D, S, AD_FLOOR, C], np.uint8), (ngroups, LANES))
    flags[rng.random(flags.shape) >= share] = 0
    check_segments(flags)


@pytest.mark.parametrize("edge", [63, 64, 65, 127, 128, 129])
@pytest.mark.parametrize(
    "bits", [[J, 0], [0, J], [J, J], [D, J, 0], [J, D], [0, D, 0], [J, P], [0, 0], [D, 0, D]], ids=str
)
def test_segments_across_words(edge, bits):
    for before, after in ((0, 0), (D, D), (D, 0), (0, D)):
        for shift in (-2, -1, 0):
            ramp = np.full(edge + 4, after, np.uint8)
            ramp[: edge + shift] = before
            ramp[edge + shift : edge + shift + len(bits)] = bits
            check_segments(np.repeat(ramp[:, np.newaxis], LANES, axis=1))


@pytest.mark.parametrize("bits", [[J, 0, 0], [J, J, 0], [J | P, 0, 0], [J, D, 0], [J | D, 0], [J], [J, P]], ids=str)
def test_void_jump_of_the_first_group(bits):
    """Without its jump, group 0 is what its other flags make it."""
    flags = np.repeat(np.array(bits, np.uint8)[:, np.newaxis], LANES, axis=1)
    cleared = flags.copy()
    cleared[0] &= 0xFF ^ J
    np.testing.assert_array_equal(find_runs_of(flags, clear_jump=True).length, find_runs_of(cleared).length)


def test_ramps_that_are_left_out_have_no_segments():
    flags = np.random.default_rng(1).choice(np.array([0, 0, J, D], np.uint8), (9, LANES))
    left_out = np.arange(LANES) % 3 == 0
    runs = find_runs_of(flags, left_out=left_out)
    assert not runs.length[:, left_out].any()
    np.testing.assert_array_equal(runs.length[:, ~left_out], find_runs_of(flags).length[:, ~left_out])
    assert not any(segments for segments, out in zip(listed(runs, 9), left_out, strict=True) if out)


@pytest.mark.parametrize("ngroups", [253, 254, 255, 256, 1700])
def test_long_ramps_are_counted_in_full(ngroups):
    """Bytes count to 255, and n^3 passes 2^32 at 1626 groups."""
    flags = np.zeros((ngroups, LANES), np.uint8)
    flags[:-1, 1] = flags[0, 2] = D
    flags[: ngroups // 2, 3] = D
    check_segments(flags)


# ----------------------------------------------------------------------------------------------------------- their fits
@pytest.mark.parametrize("ngroups", [2, 3, 4, 5, 9, 20, 66])
def test_both_ways_to_fit_segments_give_the_same_bits(ngroups):
    """A processor takes the one that is quicker for it."""
    rng = np.random.default_rng(ngroups)
    flags = rng.choice(np.array([0, 0, 0, 0, 0, 0, J, D], np.uint8), (ngroups, LANES))
    signal = 10 ** rng.uniform(0, 4, LANES)
    samples = (np.cumsum(rng.normal(signal, np.sqrt(signal), flags.shape), axis=0) + 500).astype(np.float32)
    readnoise, gain = rng.uniform(5, 30, LANES).astype(np.float32).astype(float), rng.uniform(0.7, 5, LANES)
    constants = some_constants(rng.uniform(0.1, 100, LANES), readnoise, gain)
    runs, segments, weights = find_runs_of(flags), empty_segments(ngroups), segment_weights(ngroups)
    number = list_segments(runs=runs, segments=segments)
    found = []
    for fit in (fit_gathered, fit_listed):
        segments.slope[:], segments.weight[:], segments.row[:] = np.nan, np.nan, 0
        fit(samples=samples, constants=constants, weights=weights, segments=segments, number=number)
        results = segments.slope, segments.weight, segments.row
        found.append([result[:number].tobytes() for result in results])
    assert number > 0
    assert found[0] == found[1]
    ranked = rank_segments(longest=weights.longest, segments=segments, number=number)
    found = []
    for find in (gather_means, list_means):
        segments.step[:] = np.nan
        find(samples=samples, weights=weights, segments=segments, ranked=ranked)
        found.append(segments.step[:ranked].tobytes())
    assert ranked == number
    assert found[0] == found[1]


@pytest.mark.parametrize("ngroups", [2, 3, 4, 9, 20, 66])
def test_sums_of_segments(ngroups):
    """The sums over segments of two or more groups are those of the slow implementation's fits."""
    rng = np.random.default_rng(ngroups)
    flags = rng.choice(np.array([0, 0, 0, 0, 0, 0, J, D], np.uint8), (ngroups, LANES))
    flags[:, 0] = 0
    signal = 10 ** rng.uniform(0, 4, LANES)
    samples = (np.cumsum(rng.normal(signal, np.sqrt(signal), flags.shape), axis=0) + 500).astype(np.float32)
    readnoise, gain = rng.uniform(5, 30, LANES).astype(np.float32).astype(float), rng.uniform(0.7, 5, LANES)
    rate = rng.uniform(0.1, 100, LANES)
    constants = some_constants(rate, readnoise, gain)
    runs, segments = find_runs_of(flags), empty_segments(ngroups)
    number = list_segments(runs=runs, segments=segments)
    sums, weights = np.empty((4, LANES)), segment_weights(ngroups)
    fit_segments(samples=samples, constants=constants, weights=weights, segments=segments, number=number)
    sum_segments(segments=segments, number=number, runs=runs, constants=constants, sums=sums)
    clean, slope = np.zeros((3, LANES)), np.zeros(LANES)
    fit_clean(
        samples=samples,
        constants=constants,
        weights=weights,
        unflagged=np.ones(LANES, bool),
        classes=np.empty(LANES),
        slope=slope,
    )
    sum_clean(slope=slope, ngroups=ngroups, constants=constants, sums=clean)
    weigh_clean(ngroups=ngroups, constants=constants, sums=clean)
    unflagged = ~flags.any(axis=0)
    assert clean[:, unflagged].tobytes() == sums[:3, unflagged].tobytes()  # the same to the bit
    for k in range(LANES):
        ramp = Ramp([np.float64(y) for y in samples[:, k]], flags[:, k].tolist(), None)
        detector = Detector(gain[k], readnoise[k], np.float64(0), np.float64(GROUP_TIME), *[np.float64(1)] * 2, lead=1)
        fits = [fit_segment(ramp, s, n, rate[k], detector) for s, n in find_segments(ramp.flags)[0] if n > 1]
        assert runs.nsegments[k] == len(fits)
        expected = [
            sum(fit.slope / fit.var_rnoise for fit in fits),
            sum(1 / fit.var_poisson for fit in fits),
            sum(1 / fit.var_rnoise for fit in fits),
            sum(1 / (fit.var_poisson + fit.var_rnoise) for fit in fits),
        ]
        size = sum(abs(fit.slope) / fit.var_rnoise for fit in fits)
        np.testing.assert_allclose(sums[0, k], expected[0], rtol=1e-9, atol=1e-9 * size)
        np.testing.assert_allclose(sums[1:, k], expected[1:], rtol=1e-12)


# ---------------------------------------------------------------------------------------------------------- combination
def test_bound_of_variances():
    assert bounded(variance=1e6, largest=1e6) == 0
    assert bounded(variance=np.nextafter(1e6, 0), largest=1e6) == np.nextafter(1e6, 0)
    assert bounded(variance=0.0, largest=1e6) == 0
    assert bounded(variance=np.inf, largest=1e6) == 0
    assert bounded(variance=-2.0, largest=1e6) == -2
    assert np.isnan(bounded(variance=np.nan, largest=1e6))


def first_lanes(*columns):
    """Return an array of shape (rows, LANES) with `columns` in its first lanes and ones in the others."""
    array = np.ones((len(columns[0]), LANES))
    array[:, : len(columns)] = np.array(columns).T
    return array


def test_combination_of_segments():
    """Section 6: 1 / I_p, 1 / I_r, N / I_r and sqrt(1 / I_e), each with its limit of 1e6."""
    sums = first_lanes(
        (30.0, 4.0, 10.0, 2.0),
        (30.0, 0.0, 10.0, 2.0),  # no positive Poisson variance
        (30.0, 1e-6, 1e-6, 1e-6),  # on the limits: inclusive for variances, exclusive for err
        (30.0, 1.1e-6, 1.1e-6, 0.9e-6),  # one on either side
        (np.nan, 4.0, 10.0, -2.0),  # a slope that is NaN, a negative variance
        (30.0, 4.0, np.inf, np.inf),  # a variance of zero
    )
    fitted, invalid = np.ones(LANES, bool), np.zeros(LANES, bool)
    combined = np.empty((4, LANES))
    with np.errstate(all="ignore"):
        combine_segments(sums=sums, fitted=fitted, invalid=invalid, number=LANES, largest=1e6, combined=combined)
    slope, err, var_poisson, var_rnoise = combined[:, :6]
    np.testing.assert_allclose(slope, [3, 3, 0, 30 / 1.1e-6, np.nan, 0], rtol=1e-15)
    np.testing.assert_allclose(err, [np.sqrt(0.5), np.sqrt(0.5), 1000, 0, np.nan, 0], rtol=1e-15)
    np.testing.assert_allclose(var_poisson, [0.25, 0, 0, 1 / 1.1e-6, 0.25, 0.25], rtol=1e-15)
    np.testing.assert_allclose(var_rnoise, [0.1, 0.1, 0, 1 / 1.1e-6, 0.1, 0], rtol=1e-15)

    fitted[0], invalid[1], fitted[2], invalid[2] = False, True, False, True
    with np.errstate(all="ignore"):
        combine_segments(sums=sums, fitted=fitted, invalid=invalid, number=LANES, largest=1e6, combined=combined)
    np.testing.assert_array_equal(combined[:, :3], [[0, np.nan, np.nan], [0] * 3, [0] * 3, [0] * 3])


@pytest.mark.parametrize("ngroups", [2, 3, 20])
def test_combination_of_ramps_without_flags(ngroups):
    """What they share is what the combination of a single segment makes of them, at the bounds of variances, too."""
    n = float(ngroups)
    steps, cubic = n - 1, n**3 - n
    constants = some_constants(np.ones(LANES), np.ones(LANES), np.ones(LANES))
    poisson = np.resize([4.0, 0.0, -1.0, 2e6, np.inf, 0.1, 3.0, 1e-3], LANES) * steps
    read = np.resize([10.0, 1.0, 3.0, 1.0, 1.0, 2e6, np.nan, np.inf], LANES) * cubic
    constants[POISSON], constants[READ] = poisson, read
    invalid = np.arange(LANES) % 16 == 8
    found, expected = np.zeros((4, LANES)), np.zeros((4, LANES))
    with np.errstate(all="ignore"):
        weights = np.where(poisson > 0, steps / poisson, 0)
        sums = np.array([np.ones(LANES), weights, cubic / read, 1 / (poisson / steps + read / cubic)])
        fitted = np.ones(LANES, bool)
        combine_segments(sums=sums, fitted=fitted, invalid=invalid, number=LANES, largest=1e6, combined=expected)
        combine_clean(ngroups=ngroups, constants=constants, invalid=invalid, largest=1e6, combined=found)
    np.testing.assert_allclose(found[1:], expected[1:], rtol=1e-15)


def test_combination_of_integrations():
    """Section 6: as for segments, but err is sqrt(V_p + V_r), and a sum that is not positive counts itself."""
    totals = first_lanes(
        (30.0, 4.0, 10.0),
        (30.0, 0.0, 10.0),
        (30.0, 1e-6, 1e-6),
        (0.0, 0.0, 0.0),  # nothing fitted
        (np.nan, 4.0, np.nan),
        (30.0, 4.0, 10.0),
        (30.0, 4.0, 10.0),
        (30.0, 4.0, 10.0),
    )
    flags = np.zeros(LANES, np.uint32)
    flags[5:8] = [D, S, J | P | 1 << 19]
    combined = np.empty((4, LANES))
    with np.errstate(all="ignore"):
        combine_integrations(totals=totals, flags=flags, largest=1e6, combined=combined)
    slope, err, var_poisson, var_rnoise = combined[:, :8]
    np.testing.assert_allclose(slope, [3, 3, 0, 0, np.nan, np.nan, np.nan, 3], rtol=1e-15)
    np.testing.assert_allclose(var_poisson, [0.25, 0, 0, 0, 0.25, 0, 0, 0.25], rtol=1e-15)
    np.testing.assert_allclose(var_rnoise, [0.1, 0.1, 0, 0, np.nan, 0, 0, 0.1], rtol=1e-15)
    np.testing.assert_allclose(err, np.sqrt([0.35, 0.1, 0, 0, np.nan, 0, 0, 0.35]), rtol=1e-15)


# -------------------------------------------------------------------------------------------------------------- medians
def median_steps(samples, flags):
    """Return section 4 for ramps of shape (ngroups, number), by NumPy, in DN: rates times the group time."""
    values = np.where(flags & (D | S), np.float32(np.nan), samples)
    differences = np.where(flags[1:] & J, np.nan, np.diff(values, axis=0))
    some = np.isfinite(differences).any(axis=0)
    steps = np.where(np.isnan(values[0]), 0.0, values[0]).astype(float)
    steps[some] = np.nanmedian(differences[:, some].astype(float), axis=0)
    return steps


def added_steps(samples, flags):
    """Return what `add_flagged_step` adds for a block of ramps."""
    step, size = np.zeros((2, LANES))
    differences = np.empty((max(len(samples) - 1, 1), LANES), np.float32)
    add_flagged_step(
        samples=samples,
        flags=flags,
        status=np.zeros(LANES, np.uint16),
        lanes=np.empty(0, np.uint32),
        number=0,
        zeroframe=np.empty(0, np.float32),
        settings=SETTINGS,
        network=middle_network(len(differences)),
        differences=differences,
        step=step,
        size=size,
        work=np.empty((3, LANES), np.uint8),
        usable_bits=np.empty((max(LANES // BITS, 1), len(differences)), np.uint64),
        filler=np.empty(LANES, np.float32),
        sums=np.empty((2, LANES)),
    )
    assert (size >= np.abs(step)).all()
    return step


@pytest.mark.parametrize("ngroups", [*range(2, 14), 20, 21, 64, 65, 66])
def test_median_of_clean_ramps(ngroups):
    rng = np.random.default_rng(ngroups)
    samples = np.cumsum(rng.normal(100, 50, (ngroups, LANES)), axis=0).astype(np.float32)
    flags = np.zeros(samples.shape, np.uint8)
    step, size = np.zeros((2, LANES))
    differences = np.empty((ngroups - 1, LANES), np.float32)
    for _ in range(2):  # it adds
        add_clean_step(
            samples=samples, network=middle_network(ngroups - 1), differences=differences, step=step, size=size
        )
    np.testing.assert_allclose(step, 2 * median_steps(samples, flags), rtol=1e-14)
    np.testing.assert_allclose(added_steps(samples, flags), median_steps(samples, flags), rtol=1e-14)


@pytest.mark.parametrize("usable", range(9))
@pytest.mark.parametrize("ngroups", [2, 3, 4, 5, 8, 9])
def test_median_of_every_number_of_differences(ngroups, usable):
    """Odd and even numbers of usable differences, in an odd and an even number of places, wherever those are."""
    differences = ngroups - 1
    if usable > differences:
        return
    rng = np.random.default_rng(100 * ngroups + usable)
    for _ in range(fewer(20, 5)):
        samples = rng.integers(-1000, 1000, (ngroups, LANES)).astype(np.float32)
        flags = np.zeros(samples.shape, np.uint8)
        for k in range(LANES):
            flags[1 + rng.permutation(differences)[: differences - usable], k] = J
        np.testing.assert_allclose(added_steps(samples, flags), median_steps(samples, flags), rtol=1e-14, atol=1e-12)


@given(data=st.data())
def test_median_of_flagged_ramps(data):
    ngroups = data.draw(st.integers(2, 70), "ngroups")
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1), "seed"))
    share = data.draw(st.sampled_from([0.05, 0.3, 0.9]), "share")
    flags = rng.choice(np.array([D, S, J, J, P, AD_FLOOR, C, J | D], np.uint8), (ngroups, LANES))
    flags[rng.random(flags.shape) >= share] = 0
    samples = rng.integers(-1000, 1000, flags.shape).astype(np.float32)
    np.testing.assert_allclose(added_steps(samples, flags), median_steps(samples, flags), rtol=1e-14, atol=1e-12)
