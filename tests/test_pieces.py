"""Arrays in files, read in pieces: rows, columns, many small planes; and how much of them at a time."""

from __future__ import annotations

import os
from typing import Any, NamedTuple

import numpy as np
import pytest

from rampfit_numba import checked_files, file_arrays
from rampfit_numba.checked_files import Stamp
from rampfit_numba.engine import memory, transfer
from rampfit_numba.engine.chunks import CHUNK_BYTES, PIECE_BYTES, chunk_height, run_chunks
from rampfit_numba.file_arrays import FileArray
from rampfit_numba.mapped_arrays import as_file_array, map_file
from rampfit_numba.messages import RampFileError

OFFSET = 2880


def in_file(path, shape, dtype=">f4"):
    """Write an array of this shape behind a header's block, as the last thing in the file; return it and its place."""
    values = np.arange(np.prod(shape)).reshape(shape).astype(dtype)
    path.write_bytes(bytes(OFFSET) + values.tobytes())
    mapped = map_file(path, Stamp.of(path.stat()), dtype, shape, OFFSET)
    place = as_file_array(mapped)
    assert isinstance(place, FileArray)
    return values, place


@pytest.mark.parametrize("shape", [(3, 4, 6, 10), (2, 3, 7, 700), (2, 2, 40, 3000), (5, 6, 1, 1), (9, 11)])
@pytest.mark.parametrize(
    ("rows", "columns"),
    [
        (slice(None), None),
        (slice(0, 1), None),
        (slice(2, 5), None),
        (slice(-1, None), None),
        (slice(None), slice(3, 7)),
        (slice(1, 2), slice(0, 1)),
        (slice(1, 4), slice(-2, None)),
    ],
)
def test_a_part_of_an_array_in_a_file_is_read_as_numpy_cuts_it(tmp_path, shape, rows, columns):
    values, place = in_file(tmp_path / "a.bin", shape)
    part, wanted = place.rows(rows), values[..., rows, :]
    if columns is not None:
        part, wanted = part.cut(columns), wanted[..., columns]
    if not wanted.size:
        return
    room = np.empty(part.nbytes + 16, np.uint8)
    for read in (part.read(), part.read(room)):
        assert read.dtype == values.dtype
        assert np.array_equal(read, wanted)
    assert part.shape == wanted.shape
    with file_arrays.mapped([part]) as (mapped,):
        assert np.array_equal(mapped, wanted)


def test_a_part_of_a_part_counts_from_the_part(tmp_path):
    values, place = in_file(tmp_path / "a.bin", (2, 3, 8, 9))
    part = place.rows(slice(2, 7)).cut(slice(1, 8)).rows(slice(1, 3)).cut(slice(2, 4))
    assert np.array_equal(part.read(), values[..., 3:5, 3:5])


def test_small_planes_are_read_in_pieces_of_megabytes(tmp_path, monkeypatch):
    """70,000 planes of a few pixels were as many calls; what lies between their rows is rather read and left."""
    values, place = in_file(tmp_path / "a.bin", (700, 10, 8, 16))
    calls = []
    read = checked_files.read_into
    monkeypatch.setattr(checked_files, "read_into", lambda *args: (calls.append(len(args[1])), read(*args)))
    assert np.array_equal(place.read(), values)
    assert calls == [values.nbytes]
    del calls[:]
    assert np.array_equal(place.rows(slice(3, 5)).read(), values[..., 3:5, :])
    assert len(calls) == 1


def test_a_file_that_ends_in_the_last_gap_is_read(tmp_path):
    """The gap behind the last piece may be beyond the end of the file."""
    values, place = in_file(tmp_path / "a.bin", (5, 4, 30))
    assert np.array_equal(place.rows(slice(0, 2)).read(), values[:, :2])


def test_whatever_is_read_of_a_file_that_was_cut_is_an_error(tmp_path):
    _, place = in_file(tmp_path / "a.bin", (50, 4, 30))
    os.truncate(tmp_path / "a.bin", OFFSET + 1000)
    with pytest.raises(RampFileError, match=r"a\.bin: ended early"):
        place.rows(slice(0, 2)).read()
    with pytest.raises(RampFileError, match=r"a\.bin: ended early"):
        place.expect()


class Planes(NamedTuple):
    data: Any
    readnoise: Any


@pytest.mark.parametrize(
    ("shape", "budget", "expected"),
    [
        ((2, 20, 1024, 1032), 1 << 30, CHUNK_BYTES // (2 * 20 * 1032 * 4)),  # as high as the cache allows
        ((500, 6, 64, 512), 1 << 30, PIECE_BYTES // (512 * 4)),  # pieces of some size
        ((500, 6, 64, 512), 13 << 20, 2),  # two rows are all that the budget allows
        ((500, 6, 64, 512), 1, 1),  # one row in any case
        ((1, 2, 3, 16), 1 << 30, 3),
    ],
)
def test_bands_are_as_high_as_cache_pieces_and_budget_allow(shape, budget, expected):
    place = FileArray("x", Stamp(0, None), np.dtype(">f4"), 0, shape, 0, shape[-2])
    assert chunk_height(Planes(place, None), budget) == expected


def test_bands_read_no_more_at_once_than_their_budget(tmp_path):
    values, place = in_file(tmp_path / "a.bin", (6, 5, 12, 4))
    row = values.nbytes // 12
    seen = []
    run_chunks(lambda inputs, _: seen.append(inputs.data.copy()), Planes(place, None), None, 5 * row)
    assert [part.shape[-2] for part in seen] == [5, 5, 2]
    assert np.array_equal(np.concatenate(seen, axis=-2), values)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (1, 1),
        ("1000", 1000),
        ("512 MiB", 512 << 20),
        ("512mib", 512 << 20),
        ("2GB", 2 * 10**9),
        ("2G", 2 << 30),
        (" 1.5 GiB ", 3 << 29),
        (".5kB", 500),
        (np.int64(77), 77),
    ],
)
def test_a_budget_is_a_number_of_bytes_or_one_with_a_unit(text, expected):
    assert memory.memory_budget(text) == expected


@pytest.mark.parametrize("wrong", ["", "many", "12 parsec", "-1", 0, -5, "0 GiB", "1e9", "0.1", "nan"])
def test_another_budget_is_refused_with_what_was_expected(wrong):
    with pytest.raises(ValueError, match=r"max_memory: expected a number of bytes above 0.*got"):
        memory.memory_budget(wrong)


@pytest.mark.parametrize("wrong", [True, 1.5, [1], b"1"])
def test_a_budget_of_another_type_is_refused(wrong):
    with pytest.raises(TypeError, match=r"max_memory: expected a number of bytes above 0.*got"):
        memory.memory_budget(wrong)


def test_the_usual_budget_is_a_quarter_of_the_smallest_limit(monkeypatch):
    monkeypatch.setattr(memory, "_physical", lambda: 8 << 30)
    monkeypatch.setattr(memory, "_group_limits", lambda: [6 << 30, 4 << 30])
    monkeypatch.setattr(memory, "address_space_limit", lambda: None)
    assert memory.memory_budget(None) == 1 << 30
    monkeypatch.setattr(memory, "address_space_limit", lambda: 2 << 30)
    assert memory.memory_budget(None) == 1 << 29


@pytest.mark.parametrize(
    ("lines", "limits", "expected"),
    [
        ("0::/job/step\n", {"memory.max": "900", "job/memory.max": "max", "job/step/memory.max": "500"}, [500, 900]),
        ("4:cpu:/\n3:memory,hugetlb:/a\n", {"memory/a/memory.limit_in_bytes": "700"}, [700]),
        ("0::/elsewhere\n", {}, []),
    ],
)
def test_the_limits_of_control_groups_are_those_of_all_around(tmp_path, monkeypatch, lines, limits, expected):
    for name, value in limits.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(value + "\n")
    (tmp_path / "self").write_text(lines)

    class Paths(type(tmp_path)):
        def __new__(cls, *parts):
            return type(tmp_path)(tmp_path / "self" if parts == ("/proc/self/cgroup",) else type(tmp_path)(*parts))

    monkeypatch.setattr(memory, "_GROUPS", tmp_path)
    monkeypatch.setattr(memory, "Path", Paths)
    assert memory._group_limits() == expected


def test_a_worker_reads_what_is_scattered_in_a_file(tmp_path, monkeypatch):
    """To map it were a page fault for every piece of some KB, and a map of the whole file for each slice."""
    values, place = in_file(tmp_path / "a.bin", (6, 5, 12, 4))
    monkeypatch.setattr(transfer, "CHUNK_BYTES", 100)
    monkeypatch.setattr(transfer, "mapped", None)
    task = transfer.SharedTask(frozenset(), Planes, [place.rows(slice(2, 9)), None], None, [])
    parts = transfer.run_shared(lambda inputs, _: inputs.data.copy(), task, 3 * values.nbytes // 12)
    assert [part.shape[-2] for part in parts] == [3, 3, 1]
    assert np.array_equal(np.concatenate(parts, axis=-2), values[..., 2:9, :])
