"""Where a process may have little, and names that no file should have: a result by another way, or one sentence."""

from __future__ import annotations

import logging

import numpy as np
import pytest

from rampfit_numba import Exposure, RampFileError, fit_ramps
from rampfit_numba.engine import processes
from rampfit_numba.io.outputs import check_outputs, product_paths
from tests.scripts import LINUX, PREAMBLE, finished, started


@LINUX
@pytest.mark.parametrize("descriptors", [12, 16])
def test_few_descriptors_are_enough_for_a_fit(tmp_path, descriptors):
    """What processes need is more than that: the slices are fitted in threads."""
    code = f"""
        import logging, resource
        logging.basicConfig(stream=sys.stdout, level=logging.WARNING, format="%(message)s")
        alone = bits(fit_ramps(exposure, 12.0, 2.0))
        resource.setrlimit(resource.RLIMIT_NOFILE, ({descriptors}, {descriptors}))
        print("equal", bits(fit_ramps(exposure, 12.0, 2.0, maximum_cores=2, executor="processes")) == alone)
    """
    output = finished(started(tmp_path, PREAMBLE, code))
    assert "equal True" in output
    assert "No worker processes can be started (" in output


@pytest.mark.parametrize("error", [OSError(24, "Too many open files"), RuntimeError("can't start new thread")])
@pytest.mark.parametrize("place", ["take", "submit"])
def test_whatever_keeps_workers_from_starting_is_named(monkeypatch, caplog, error, place):
    class Full:
        def submit(self, *_):
            raise error

        def shutdown(self, **_):
            pass

    def take(_):
        if place == "take":
            raise OSError(24, "Too many open files")
        return Full(), 2

    monkeypatch.setattr(processes.pool, "take", take)
    caplog.set_level(logging.WARNING, "rampfit_numba")
    ramps = np.cumsum(np.ones((1, 5, 8, 8), np.float32), axis=1)
    fit = fit_ramps(Exposure(ramps, None, 1.0), 12.0, 2.0, maximum_cores=2, executor="processes")
    assert fit.rate.data[0, 0] == pytest.approx(1.0)
    assert "No worker processes can be started (" in caplog.text


@pytest.mark.parametrize("argument", ["int_name", "opt_name"])
@pytest.mark.parametrize("name", ["a\nb_jump.fits", "\x1b[31mred", "bell\a.fits"])
def test_names_with_control_characters_are_refused(argument, name):
    with pytest.raises(ValueError, match=f"{argument}: expected a file name without control characters"):
        product_paths("x_jump.fits", "", save_opt=True, **{argument: name})


def test_a_link_to_nothing_is_refused_before_the_fit(tmp_path):
    (tmp_path / "x_rate.fits").symlink_to(tmp_path / "gone" / "y.fits")
    for overwrite in (False, True):
        with pytest.raises(RampFileError, match=r"x_rate\.fits: is a link to .*y\.fits, which does not"):
            check_outputs([tmp_path / "x_rate.fits"], overwrite=overwrite)
