"""The model of many workers: its limits, and the simulation beside it. The benchmark runs, on a tiny exposure."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

TIMING = Path(__file__).resolve().parents[1] / "bench" / "timing"
COSTS = {"read_bytes": 2e8, "written_bytes": 6e7, "read": 0.06, "fit": 0.1, "write": 0.09, "schedule": 1e-3}


@pytest.fixture(scope="module")
def model():
    sys.path.append(str(TIMING))
    try:
        import scaling_model
    finally:
        sys.path.remove(str(TIMING))
    return scaling_model


def test_the_slowest_of_workers_file_system_and_scheduler_decides(model):
    costs = model.Costs(**COSTS)
    assert model.files_per_second(costs, 1, 1e15) == pytest.approx(1 / 0.251)
    assert model.files_per_second(costs, 1000, 2.6e9) == pytest.approx(10)
    assert model.files_per_second(costs, 10_000, 1e15) == pytest.approx(1000)
    assert model.saturating_workers(costs, 2.6e9) == pytest.approx(10 * (0.2 / 2.6 + 0.1 + 0.09 + 0.001))
    assert model.saturating_workers(costs, 1e15) == pytest.approx(251)


@pytest.mark.parametrize("bandwidth", [2e9, 1e10])
def test_the_simulation_reaches_the_models_limits_and_never_exceeds_them(model, bandwidth):
    costs = model.Costs(**COSTS)
    enough = model.saturating_workers(costs, bandwidth)
    for multiple, share in ((0.2, 0.95), (1.0, 0.6), (3.0, 0.9)):
        workers = max(round(multiple * enough), 1)
        expected = model.files_per_second(costs, workers, bandwidth)
        found = model.simulate(costs, workers, bandwidth, files_per_worker=20)
        assert share * expected < found < 1.03 * expected, (multiple, workers)


@pytest.mark.slow
@pytest.mark.dask
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the benchmarks read /proc")
def test_the_benchmark_runs(tmp_path):
    pytest.importorskip("distributed", reason="needs the extra dask")
    command = [sys.executable, str(TIMING / "bench_scaling.py"), "--quick", "--repeats", "1", "--json", "found.json"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads((tmp_path / "found.json").read_text(encoding="utf-8"))
    assert [len(table["rows"]) for table in found["tables"]] == [7, 4, 4, 4]
    assert all(len(row) == len(table["headings"]) for table in found["tables"] for row in table["rows"])
    assert [path.name for path in tmp_path.iterdir()] == ["found.json"]
