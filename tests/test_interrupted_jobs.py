"""A job that is interrupted again and again, and continued, ends with the products of one that was not."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from rampfit_numba.cli import main
from rampfit_numba.files.processes import _mark
from tests.make_files import listing, ramp_hdulist, save
from tests.scripts import PACKAGE_FOLDER

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")

_DATE = re.compile(rb"DATE    = '[0-9T:.-]{23}'")
SCRIPT = Path(__file__).resolve().parents[1] / "bench" / "faults" / "interrupts.py"


@pytest.mark.parametrize("words", [[], ["--", "--maximum-cores", "2", "--executor", "processes"]])
def test_nothing_is_lost(words):
    command = [sys.executable, str(SCRIPT), "--files", "24", "--interrupts", "2", *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=240)
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.match("48 of 48 products right after 2 interrupts in [0-9]+ runs; .* status 0", done.stdout)


#: The first interrupt comes when the run has done all, as on a busy computer.
LATE = """
import sys
import interrupts

waits = [lambda job, output, process: process.wait(), interrupts._Job.wait_for_more]
interrupts._Job.wait_for_more = lambda *given: waits.pop(0)(*given) if len(waits) > 1 else waits[0](*given)
sys.exit(interrupts.main())
"""


def test_a_job_that_was_done_before_its_interrupt_is_begun_anew():
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([PACKAGE_FOLDER, str(SCRIPT.parent)])}
    command = [sys.executable, "-c", LATE, "--files", "24", "--interrupts", "1"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=240)
    assert done.returncode == 0, done.stdout + done.stderr
    runs = re.match("48 of 48 products right after 1 interrupts in ([0-9]+) runs; .* status 0", done.stdout)
    assert int(runs[1]) >= 3  # one that was done, one that was interrupted, one that did the rest


#: Ends a run without a chance to clean up, when the products of one file have their names, and one of another.
KILLED = """
import os, signal, sys, threading
from collections import Counter
from rampfit_numba.cli import main
from rampfit_numba.io.whole_files import WholeFile

placed, placing, place = Counter(), threading.Lock(), WholeFile.place

def place_or_die(file, **options):
    with placing:  # several files are written at once
        place(file, **options)
        placed[file.path.name[0]] += 1
        if set(placed.values()) == {1, 2}:
            os.kill(os.getpid(), signal.SIGKILL)

WholeFile.place = place_or_die
main(sys.argv[1:])
"""


def test_what_a_killed_run_has_left_is_removed_and_completed(tmp_path, monkeypatch):
    """Half a set, and temporary files: the same command with --skip-existing makes all of it good."""
    monkeypatch.chdir(tmp_path)
    for seed, name in enumerate("abc"):
        save(ramp_hdulist(seed=seed), tmp_path / f"{name}_jump.fits")
    command = ["a_jump.fits", "b_jump.fits", "c_jump.fits", "--readnoise", "10", "--gain", "2", "--skip-existing"]
    assert main([*command, "--output-dir", "whole"]) == 0
    wanted = {path.name: _DATE.sub(b"", path.read_bytes()) for path in Path("whole").iterdir()}

    words = [sys.executable, "-c", KILLED, *command, "--output-dir", "out"]
    environment = os.environ | {"PYTHONPATH": PACKAGE_FOLDER}
    done = subprocess.run(words, env=environment, capture_output=True, text=True, check=False, timeout=240)
    assert done.returncode == -signal.SIGKILL, done.stderr
    left = {path.name: path for path in Path("out").iterdir()}
    products = {name for name in left if not name.startswith(".")}
    (whole,) = (name for name in "abc" if {f"{name}_rate.fits", f"{name}_rateints.fits"} <= products)
    assert len(products) > 2  # and one or two of others
    assert left.keys() - products
    assert all(re.fullmatch(r"\.rampfit-.*\.(tmp|old)", name) for name in left.keys() - products)
    for name in products:
        assert _DATE.sub(b"", left[name].read_bytes()) == wanted[name]

    times = {name: left[name].stat().st_mtime_ns for name in products}
    assert main([*command, "--output-dir", "out"]) == 0
    assert {path.name: _DATE.sub(b"", path.read_bytes()) for path in Path("out").iterdir()} == wanted
    kept = {name for name in products if Path("out", name).stat().st_mtime_ns == times[name]}
    assert kept == {f"{whole}_rate.fits", f"{whole}_rateints.fits"}


def test_the_mark_of_a_killed_run_is_removed_by_the_next_one(tmp_path, monkeypatch):
    """Its workers go on as long as it is there, and end with their parent."""
    code = (
        "import os, signal\nfrom rampfit_numba.files.processes import _mark\n"
        "with _mark():\n    os.kill(os.getpid(), signal.SIGKILL)"
    )
    environment = os.environ | {"PYTHONPATH": PACKAGE_FOLDER, "TMPDIR": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, check=False, timeout=240)
    assert done.returncode == -signal.SIGKILL
    (left,) = listing(tmp_path)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with _mark() as mark:
        assert listing(tmp_path) == [mark.path.name]
        assert mark.path.name != left
    assert listing(tmp_path) == []
