"""The command: what may be typed, what is printed, what is written, and the exit status."""

from __future__ import annotations

import logging
import os
import re
import signal
import subprocess
import sys
import time
import warnings
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from astropy.io import fits

from rampfit_numba import fit_ramps, read_exposure
from rampfit_numba.cli import commands, main, simulate
from rampfit_numba.messages import RampFileError, RampFitWarning
from rampfit_numba.simulate import SimulationOptions, simulate_exposure, write_simulation

LOG_LINE = re.compile(r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} - rampfit_numba\S* - [A-Z]+ - .+$")


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Paths of a small exposure and its gain and readnoise files."""
    folder = tmp_path_factory.mktemp("simulated")
    simulation = simulate_exposure(2, 6, 9, 11, seed=1, hit_rate=0.1, bad_pixels=0.1, saturated_fraction=0.1)
    return write_simulation(simulation, folder / "star_jump.fits")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Empty working folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def references(files):
    return ["--readnoise", str(files[2]), "--gain", str(files[1])]


@pytest.fixture
def recorded(monkeypatch):
    """Replace fit_files by a list of its calls."""
    calls = []
    monkeypatch.setattr("rampfit_numba.files.fit_files", lambda *args, **kwargs: calls.append((args, kwargs)) or [])
    return calls


def run(*words, **options):
    return subprocess.run(
        [sys.executable, "-W", "error", *words], capture_output=True, text=True, timeout=250, check=False, **options
    )


# ------------------------------------------------------------------------------------------------------------- the fit
def test_fit_writes_what_the_function_computes(files, folder):
    assert main(["fit", str(files[0]), *references(files), "--save-opt"]) == 0
    assert names(folder) == ["star_fitopt.fits", "star_rate.fits", "star_rateints.fits"]
    fit = fit_ramps(read_exposure(files[0]), fits.getdata(files[2]), fits.getdata(files[1]), save_opt=True)
    np.testing.assert_array_equal(fits.getdata("star_rate.fits", "SCI"), fit.rate.data)
    np.testing.assert_array_equal(fits.getdata("star_rate.fits", "DQ"), fit.rate.dq)
    np.testing.assert_array_equal(fits.getdata("star_rateints.fits", "ERR"), fit.rateints.err)
    np.testing.assert_array_equal(fits.getdata("star_fitopt.fits", "SLOPE"), fit.fitopt.slope)


def test_log_tells_what_happens_on_standard_error(files, folder, capsys):
    assert main([str(files[0]), *references(files)]) == 0
    printed = capsys.readouterr()
    assert not printed.out
    lines = printed.err.splitlines()
    assert all(LOG_LINE.match(line) for line in lines)
    for word in ("star_readnoise.fits", "star_gain.fits", "ols", "star_rate.fits", "star_rateints.fits"):
        assert word in printed.err
    assert str(folder) in printed.err


def test_shorthand_dashes_and_underscores_mean_the_same(files, recorded):
    first, *rest = [
        str(files[0]),
        *references(files),
        "--maximum-cores",
        "half",
        "--save-opt",
        "--no-suppress-one-group",
    ]
    second = [word.replace("--maximum-cores", "--maximum_cores").replace("--save-opt", "--save_opt") for word in rest]
    second = [word.replace("--no-suppress-one-group", "--no_suppress_one_group") for word in second]
    for words in (["fit", first, *rest], [first, *rest], [*rest, first], [first, *second], ["fit", *second, first]):
        assert main(words) == 0
    assert len(recorded) == 5
    assert all(call == recorded[0] for call in recorded)
    (args, options) = recorded[0]
    assert args == ([files[0]], files[2], files[1])
    assert options["maximum_cores"] == "half"
    assert options["save_opt"] is True
    assert options["suppress_one_group"] is False


def test_values_keep_their_underscores(files, folder, recorded):
    words = ["--readnoise=5.5", "--gain=2", "--output_dir=my_out", "--opt_name", "a_b", "--int-name=c_d", "--save_opt"]
    assert main([str(files[0]), *words]) == 0
    (_, readnoise, gain), options = recorded[0]
    assert (readnoise, gain) == (5.5, 2.0)
    assert (options["output_dir"].name, options["opt_name"], options["int_name"]) == ("my_out", "a_b", "c_d")
    assert not names(folder)


def test_defaults_are_those_of_the_function(files, recorded):
    assert main([str(files[0]), *references(files)]) == 0
    options = recorded[0][1]
    assert callable(options.pop("on_error"))
    assert options == {  # what the kind of file decides is not there
        "output_dir": None,
        "overwrite": False,
        "skip_existing": False,
        "summary": None,
        "max_memory": None,
        "on_fit": None,
        "int_name": "",
        "opt_name": "",
        "maximum_cores": "none",
        "progress": False,
        "suppress_one_group": True,
        "save_opt": False,
        "save_jumps": False,
        "chisq": False,
        "weighting": "optimal",
    }


def test_every_option_reaches_the_fit(files, recorded):
    words = ["--algorithm", "OLS_C", "--firstgroup", "1", "--lastgroup", "4", "--executor", "threads", "--overwrite"]
    assert main([str(files[0]), *references(files), *words, "--maximum-cores", "3"]) == 0
    options = recorded[0][1]
    expected = {"algorithm": "OLS_C", "firstgroup": 1, "lastgroup": 4, "executor": "threads", "overwrite": True}
    assert {name: options[name] for name in expected} == expected
    assert options["maximum_cores"] == "3"


def test_workers_change_nothing(files, folder):
    for name, words in (("one", []), ("two", ["--maximum-cores", "2", "--executor", "threads"])):
        assert main([str(files[0]), *references(files), "--output-dir", name, "--save-opt", *words]) == 0
    for product, planes in (("rate", 5), ("rateints", 5), ("fitopt", 9)):
        with fits.open(f"one/star_{product}.fits") as one, fits.open(f"two/star_{product}.fits") as two:
            compared = [hdu.name for hdu in one if isinstance(hdu, fits.ImageHDU)]
            assert len(compared) >= planes
            for plane in compared:
                np.testing.assert_array_equal(one[plane].data, two[plane].data)
    assert names(folder) == ["one", "two"]


@pytest.mark.parametrize("terminal", [True, False])
def test_progress_is_for_terminals(files, recorded, monkeypatch, terminal):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: terminal, raising=False)
    assert main([str(files[0]), *references(files)]) == 0
    assert main([str(files[0]), *references(files), "--quiet"]) == 0
    assert [options["progress"] for _, options in recorded] == [terminal, False]


# ------------------------------------------------------------------------------------------------------ wrong usage: 2
@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "expected a FILE or a command: fit, reads, plot"),
        (["simulat"], "'simulat' is neither a file nor a command"),
        (["fit"], "the following arguments are required: FILE"),
        (["x.fits"], "x.fits: no such file; give the name of a FITS file"),
        (["x.fits", "--gain", "2"], "x.fits: no such file"),
        (["."], ".: is a directory; give the name of a FITS file (there is none in it)"),
        ([".", "--readnoise", "5", "--gain", "2"], ".: is a directory"),
        (["../", "x.fits", "--readnoise", "5", "--gain", "2"], "..: is a directory"),
        (["x.fits", "--readnoise", "0", "--gain", "2"], "--readnoise: expected a finite number > 0; got 0"),
        (["x.fits", "--readnoise", "nan", "--gain", "2"], "--readnoise: expected a finite number > 0; got nan"),
        (["x.fits", "--readnoise", "1e-50", "--gain", "2"], "expected a number that single precision can hold"),
        (["x.fits", "--readnoise", "5", "--gain", "no.fits"], "--gain: no.fits: no such file, and no number"),
        (["x.fits", "--readnoise", "5", "--gain", "."], "--gain: .: is a directory, and no number"),
        (["x.fits", "--readnoise", "5", "--gain", ""], "--gain: '': is a directory, and no number"),
        (["x.fits", "--readnoise", "5", "--gain", "x" * 400], "--gain: " + "x" * 300 + "...: cannot be the name"),
        (
            ["x.fits", "--maximum-cores", "0"],
            "--maximum-cores: expected 'none', 'quarter', 'half', 'all' or a positive",
        ),
        (["x.fits", "--maximum_cores", "most"], "--maximum-cores: expected 'none'"),
        (["x.fits", "--maximum-cores=-2"], "--maximum-cores: expected 'none'"),
        (["x.fits", "--maximum-cores", "1.5"], "--maximum-cores: expected 'none'"),
        (["x.fits", "--maximum-cores", "\uff13"], "--maximum-cores: expected 'none'"),  # a full-width 3
        (["demo", "--maximum-cores", "\uff13"], "--maximum-cores: expected 'none'"),
        (["x.fits", "--executor", "gpu"], "--executor: invalid choice: 'gpu'"),
        (["x.fits", "--firstgroup", "two"], "--firstgroup: invalid int value: 'two'"),
        (["x.fits", "--quiet", "--verbose"], "--verbose: not allowed with argument --quiet"),
        (["x.fits", "--readnoise", "5", "--gain", "2", "--speed", "9"], "unrecognized arguments: --speed 9"),
        (["x.fits", "--readnoise", "5", "--gain", "2", "--max", "half"], "unrecognized arguments: --max half"),
        (["x.fits", "--readnoise", "5", "--gain", "2", "--algorithm", "magic"], "algorithm: expected one of"),
        (
            ["a.fits", "b.fits", "--readnoise", "5", "--gain", "2", "--int-name", "c"],
            "--int-name: can name the products",
        ),
        (
            ["a.fits", "b.fits", "--readnoise", "5", "--gain", "2", "--opt_name", "c"],
            "--opt-name: can name the products",
        ),
        (["x.fits", "--readnoise", "5", "--gain", "2", "--int-name", "a/b"], "expected a file name without a folder"),
        (
            ["a/x_jump.fits", "b/x_jump.fits", "--readnoise", "5", "--gain", "2"],
            "a/x_jump.fits and b/x_jump.fits would both be written to x_rate.fits",
        ),
        (["x_ramp.fits", "x_jump.fits", "--readnoise", "5", "--gain", "2"], "would both be written to x_rate.fits"),
        (["simulate"], "the following arguments are required: OUT_jump.fits"),
        (["simulate", "x.fits", "--shape", "2x3x4"], "--shape: expected four numbers above 0 like 2x20x1024x1032"),
        (["simulate", "x.fits", "--shape", "2x0x4x4"], "--shape: expected four numbers above 0"),
        (["simulate", "x.fits", "--seed", "-1"], "--seed: expected"),
        (["simulate", "x.fits", "--hit-rate", "2"], "hit_rate: expected a number between 0 and 1; got 2.0"),
        (["simulate", "x.fits", "--source_flux", "3"], "--source-flux: expected 2 arguments"),
        (["simulate", "x.fits", "--source_flux", "3", "2"], "source_flux: expected two numbers"),
        (["demo", "one", "two"], "unrecognized arguments: two"),
    ],
)
def test_wrong_usage_is_one_line(words, message, folder, capsys):
    assert main(words) == 2
    printed = capsys.readouterr()
    assert not printed.out
    (line,) = printed.err.splitlines()
    assert line.startswith("rampfit")
    assert message in line
    assert "--help)" in line
    assert not names(folder)


def test_references_are_asked_for_when_all_files_are_there(files, capsys):
    name = str(files[0])
    message = f"expected a reference file or a number, since JWST files like {name} do not"
    for words, option in ((["--gain", "2"], "--readnoise"), (["--readnoise", "2"], "--gain"), ([], "--readnoise")):
        assert main([name, *words]) == 2
        assert f"{option}: {message}" in capsys.readouterr().err
    assert main([name, "gone.fits"]) == 2
    assert "gone.fits: no such file" in capsys.readouterr().err


def test_folder_is_told_with_a_file_in_it(folder, capsys):
    (folder / "in_it.fits").touch()
    assert main([".", "--readnoise", "5", "--gain", "2"]) == 2
    assert ".: is a directory; give the name of a file in it, such as in_it.fits" in capsys.readouterr().err


def test_output_folder_that_is_a_file_is_wrong_usage(files, folder, capsys):
    (folder / "out").write_text("here first")
    assert main([str(files[0]), *references(files), "--output-dir", "out"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "--output-dir: out is no folder" in line


def test_file_that_is_called_like_a_number_is_a_file(files, folder, recorded):
    (folder / "14").symlink_to(files[2])
    (folder / "2").mkdir()
    assert main([str(files[0]), "--readnoise", "14", "--gain", "2"]) == 0
    assert recorded[0][0][1:] == (Path("14"), 2.0)


def test_no_input_is_overwritten_by_the_product_of_another(folder, capsys):
    simulation = simulate_exposure(1, 4, 5, 6)
    first, gain, readnoise = write_simulation(simulation, folder / "a_jump.fits")
    second = write_simulation(simulation, folder / "b_jump.fits")[0].rename(folder / "a_rate.fits")
    before = second.read_bytes()
    words = [str(first), str(second), "--readnoise", str(readnoise), "--gain", str(gain), "--overwrite"]
    assert main([*words, "--int-name", "c"]) == 2  # one file only
    assert main([*words, "--output-dir", "."]) == 2  # both would be a_rate.fits
    second = second.rename(folder / "c_jump.fits")
    (folder / "a_rate.fits").symlink_to(second)
    words[1] = str(second)
    assert main(words) == 1
    assert "a_rate.fits: would overwrite the input" in capsys.readouterr().err
    assert second.read_bytes() == before
    assert (folder / "c_rate.fits").exists()


# -------------------------------------------------------------------------------------------------- what goes wrong: 1
def test_failed_files_do_not_stop_the_others(files, folder, capsys):
    (folder / "noise_jump.fits").write_text("no FITS")
    assert main(["noise_jump.fits", "missing_jump.fits", str(files[0]), *references(files)]) == 1
    assert names(folder) == ["noise_jump.fits", "star_rate.fits", "star_rateints.fits"]
    printed = capsys.readouterr().err
    errors = [line for line in printed.splitlines() if " - ERROR - " in line]
    assert len(errors) == 3
    assert "noise_jump.fits: " in errors[0]
    assert "missing_jump.fits: " in errors[1]
    assert errors[2].endswith("2 of 3 files failed: noise_jump.fits, missing_jump.fits")
    assert "Traceback" not in printed
    assert all(LOG_LINE.match(line) for line in printed.splitlines())


def test_quiet_prints_errors_only(files, folder, capsys):
    assert main([str(files[0]), *references(files), "--quiet"]) == 0
    assert capsys.readouterr() == ("", "")
    assert main(["missing_jump.fits", *references(files), "--quiet"]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "missing_jump.fits" in line
    assert len(names(folder)) == 2


def test_verbose_shows_the_traceback_of_a_failure(files, folder, capsys):
    assert main(["missing_jump.fits", *references(files), "--verbose"]) == 1
    assert "Traceback (most recent call last)" in capsys.readouterr().err
    assert not names(folder)


def test_existing_products_are_kept_unless_asked(files, folder, capsys):
    (folder / "star_rateints.fits").write_text("precious")
    assert main([str(files[0]), *references(files)]) == 1
    assert "star_rateints.fits" in capsys.readouterr().err
    assert names(folder) == ["star_rateints.fits"]
    assert (folder / "star_rateints.fits").read_text() == "precious"
    assert main([str(files[0]), *references(files), "--overwrite"]) == 0
    assert fits.getdata("star_rateints.fits", "SCI").shape == (2, 9, 11)


@pytest.mark.parametrize(
    ("error", "reported", "message"),
    [
        (RampFileError("x_jump.fits: is\n broken"), False, "x_jump.fits: is broken"),
        (ValueError("gain: expected\nanother shape"), False, "x_jump.fits: gain: expected another shape"),
        (OSError(28, "No space left on device"), False, "x_jump.fits: [Errno 28] No space left on device"),
        (MemoryError(), False, "x_jump.fits: not enough memory"),
        (RuntimeError("a worker process was killed"), False, "x_jump.fits: a worker process was killed"),
        (TypeError("oops"), True, "x_jump.fits: internal error, TypeError: oops; please report it"),
        (RecursionError("deep"), True, "x_jump.fits: internal error, RecursionError: deep; please report it"),
    ],
)
def test_failures_are_one_line_and_mistakes_are_to_be_reported(monkeypatch, capsys, error, reported, message):
    def fail(*_args, **_kwargs):
        raise error

    monkeypatch.setattr("rampfit_numba.io.jwst_files.exposure_in", fail)
    words = ["x_jump.fits", "--readnoise", "5", "--gain", "2"]
    assert main([*words, "--quiet"]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert f" - ERROR - {message}" in line
    assert ("please report it" in line) is reported
    assert main([*words, "--verbose"]) == 1
    assert f"{type(error).__name__}" in capsys.readouterr().err.split("Traceback (most recent call last)")[1]


def test_mistakes_outside_of_a_file_are_one_line_too(monkeypatch, folder, capsys):
    def fail(*_args, **_kwargs):
        raise KeyError("oops")

    monkeypatch.setattr("rampfit_numba.simulate.simulate_exposure", fail)
    assert main(["simulate", "x_jump.fits", "--quiet"]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "internal error, KeyError: 'oops'; please report it" in line
    assert not names(folder)


def test_nothing_to_fit_is_a_warning(folder, capsys):
    simulation = simulate_exposure(1, 4, 6, 7, saturation=1.0, true_rate=5000.0)
    jump, gain, readnoise = write_simulation(simulation, folder / "full_jump.fits")
    assert main([str(jump), "--readnoise", str(readnoise), "--gain", str(gain)]) == 0
    printed = capsys.readouterr().err
    assert len([line for line in printed.splitlines() if " - WARNING - " in line]) == 1
    assert all(LOG_LINE.match(line) for line in printed.splitlines())
    assert np.isnan(fits.getdata("full_rate.fits", "SCI")).all()


def test_warnings_of_others_are_for_developers(monkeypatch, capsys):
    def warn(*_args, **_kwargs):
        with warnings.catch_warnings():
            warnings.simplefilter("always")
            warnings.warn("of interest\nto many", RampFitWarning, stacklevel=1)
            warnings.warn("of interest to few", DeprecationWarning, stacklevel=1)
        return []

    monkeypatch.setattr("rampfit_numba.files.fit_files", warn)
    words = ["x_jump.fits", "--readnoise", "5", "--gain", "2"]
    assert main(words) == 0
    printed = capsys.readouterr().err
    assert " - WARNING - of interest to many\n" in printed
    assert "of interest to few" not in printed
    assert main([*words, "--verbose"]) == 0
    assert "DeprecationWarning: of interest to few" in capsys.readouterr().err


def test_fitopt_name_without_fitopt_is_a_warning(files, folder, capsys):
    assert main([str(files[0]), *references(files), "--opt-name", "segments"]) == 0
    assert "WARNING - opt_name has no effect without save_opt" in capsys.readouterr().err
    assert names(folder) == ["star_rate.fits", "star_rateints.fits"]


def test_log_is_left_as_it_was(files, recorded):
    package = logging.getLogger("rampfit_numba")
    before = (package.level, list(package.handlers), warnings.showwarning)
    assert main([str(files[0]), *references(files), "--verbose"]) == 0
    assert (package.level, list(package.handlers), warnings.showwarning) == before
    assert len(recorded) == 1


# -------------------------------------------------------------------------------------------- interruptions, pipes
def test_interruption_has_its_status(files, folder, monkeypatch, capsys):
    def interrupt(*_args, **_kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr("rampfit_numba.files.fitting.fit_ramps", interrupt)
    assert main([str(files[0]), *references(files)]) == 130
    assert capsys.readouterr().err.splitlines()[-1] == "rampfit: interrupted; files are whole or absent"
    assert not names(folder)


@pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")
@pytest.mark.parametrize(
    ("delay", "words"), [(0.1, []), (0.1, ["--maximum-cores", "2"]), (1.5, ["--maximum-cores", "2"])]
)
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_control_c_and_termination_end_everything(tmp_path, delay, words, number):
    # 72 million samples a file: the first delay meets the kernels' or the workers' start, the second the workers' fits.
    # However late the signal comes, half of the files are still to be done: these are read when the job is stopped.
    code = """
import sys, threading
import numpy as np
from rampfit_numba import Exposure
from rampfit_numba.io import jwst_files
from rampfit_numba.cli import main
from rampfit_numba.progress import Job
data = np.broadcast_to(np.float32(1), (30, 60, 200, 200))
flags = np.broadcast_to(np.uint8(0), data.shape)
stopped, stop = threading.Event(), Job.stop

def read(path, *_):
    print("reading\\n", end="", flush=True)
    if int(path.name.partition("_")[0]) >= 45:
        stopped.wait(100)
    return Exposure(data, flags, 3.0)

jwst_files.exposure_in = read
Job.stop = lambda *arguments, **options: stopped.set() or stop(*arguments, **options)
sys.exit(main(sys.argv[1:]))
"""
    many = [f"{i}_jump.fits" for i in range(100)]
    command = [sys.executable, "-c", code, *many, "--readnoise", "5", "--gain", "2", *words]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=tmp_path, start_new_session=True
    )
    assert process.stdout.readline().startswith("reading")
    time.sleep(delay)
    if number == signal.SIGINT:
        os.killpg(process.pid, number)  # as a terminal does: to the workers too
    else:
        process.send_signal(number)  # as a batch system does, and a terminal that is closed
    _, printed = process.communicate(timeout=120)
    assert process.returncode == 128 + number, printed
    assert "Traceback" not in printed
    # One file or the other may have been done before; what there is, is whole.
    done = {name.partition("_")[0] for name in names(tmp_path)}
    assert len(done) < 50
    assert names(tmp_path) == sorted(f"{number}_{kind}.fits" for number in done for kind in ("rate", "rateints"))
    assert f"Interrupted: {len(done)} of 100 files are done; go on with skip_existing=True (--skip-existing)" in printed
    # The whole session is gone, workers included, at once or as soon as they have noticed.
    for _ in range(600):
        try:
            os.killpg(process.pid, 0)
        except ProcessLookupError:
            break
        time.sleep(0.1)
    else:
        pytest.fail("a worker outlived the command")


@pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("command", ["fit", "simulate"])
def test_termination_while_writing_leaves_no_temporary_file(files, tmp_path, command, number):
    code = """
import os, sys, time
from rampfit_numba.cli import main

def write(descriptor):
    print("writing", flush=True)
    for _ in range(600):  # between two calls of C functions alone, Python 3.14 may look for no signal
        time.sleep(0.1)

os.fsync = write
sys.exit(main(sys.argv[1:]))
"""
    words = {"fit": [str(files[0]), *references(files)], "simulate": ["x_jump.fits", "--shape", "1x3x4x5"]}
    process = subprocess.Popen(
        [sys.executable, "-c", code, command, *words[command]],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
    )
    assert process.stdout.readline() == "writing\n"
    assert names(tmp_path)
    process.send_signal(number)
    _, printed = process.communicate(timeout=60)
    assert process.returncode == 128 + number
    assert printed.splitlines()[-1] == "rampfit: terminated; files are whole or absent"
    assert "Traceback" not in printed
    assert not names(tmp_path)


@pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_second_signal_does_not_keep_the_first_from_cleaning_up(files, tmp_path, number):
    code = """
import os, sys, time
from rampfit_numba.cli import main
from rampfit_numba.engine import interrupts
from rampfit_numba.io.temporary_files import TemporaryFile
interrupts.PATIENCE = 600.0  # however late the second one is sent
remove = TemporaryFile.remove

def write(_):
    # What is read is there when the second signal was sent.
    TemporaryFile.remove = lambda file: print("cleaning", flush=True) or (sys.stdin.read(), remove(file))
    print("writing", flush=True)
    for _ in range(600):
        time.sleep(0.1)

os.fsync = write
sys.exit(main(sys.argv[1:]))
"""
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(files[0]), *references(files)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
    )
    for word in ("writing", "cleaning"):
        assert process.stdout.readline() == f"{word}\n"
        process.send_signal(number)
    _, printed = process.communicate(timeout=60)
    assert process.returncode == 128 + number
    assert "files are whole or absent" in printed.splitlines()[-1]
    assert "Traceback" not in printed
    assert not names(tmp_path)


@pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")
def test_control_c_is_not_heard_when_all_is_done(files, tmp_path):
    """Python would show a traceback of the end of the workers, and of a run that has succeeded."""
    code = """
import atexit, sys
from rampfit_numba.cli import main
atexit.register(lambda: print("ending", flush=True) or sys.stdin.read())  # until the signal was sent
sys.exit(main())
"""
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(files[0]), *references(files), "--quiet"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
    )
    assert process.stdout.readline() == "ending\n"
    process.send_signal(signal.SIGINT)
    assert process.communicate(timeout=60) == ("", "")
    assert process.returncode == 0


@pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_interrupts_that_python_drops_come_again(tmp_path, number):
    code = """
import ctypes, os, sys, time
from rampfit_numba.io import jwst_files
from rampfit_numba.cli import main
number = int(sys.argv.pop(1))
callback = ctypes.CFUNCTYPE(None)(lambda: os.kill(os.getpid(), number))
jwst_files.exposure_in = lambda path, *_: callback() or time.sleep(60)
sys.exit(main(sys.argv[1:]))
"""
    words = ["x_jump.fits", "--readnoise", "5", "--gain", "2", "--quiet"]
    result = run("-c", code, str(int(number)), *words, cwd=tmp_path)
    said = "interrupted" if number == signal.SIGINT else "terminated"
    assert result.stderr == f"\nrampfit: {said}; files are whole or absent\n"
    assert result.returncode == 128 + number
    assert not names(tmp_path)


@pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")
def test_handlers_of_a_caller_are_left_alone(recorded):
    words = ["x_jump.fits", "--readnoise", "5", "--gain", "2"]
    before = signal.getsignal(signal.SIGTERM)
    for handler in (signal.SIG_DFL, signal.SIG_IGN, lambda *_: None):
        signal.signal(signal.SIGTERM, handler)
        try:
            assert main(words) == 0
            assert signal.getsignal(signal.SIGTERM) is handler
        finally:
            signal.signal(signal.SIGTERM, before)
    assert len(recorded) == 3


@pytest.mark.parametrize("words", [["demo", "--shape", "1x5x16x16", "--quiet"], ["--version"]])
def test_nobody_needs_to_listen(words):
    command = ["sh", "-c", 'exec "$@" >&-', "sh", sys.executable, "-W", "error", "-m", "rampfit_numba", *words]
    closed = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert (closed.returncode, closed.stderr) == (0, "")


def test_reader_that_leaves_is_no_error():
    code = "import os, sys; os.close(0); from rampfit_numba.cli import console, main\n"
    code += "import rampfit_numba.cli.demo as demo\n"
    code += "demo.run = lambda chosen: [console.say('line' * 100) for _ in range(1000)] and 0\n"
    code += "sys.exit(main(['demo']))"
    reading, writing = os.pipe()
    os.close(reading)
    process = subprocess.run(
        [sys.executable, "-c", code], stdout=writing, stderr=subprocess.PIPE, text=True, check=False
    )
    os.close(writing)
    assert (process.returncode, process.stderr) == (141, "")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs a full device")  # noqa: PTH110
def test_full_disk_under_standard_output_is_an_error():
    code = "import sys; from rampfit_numba.cli import console, main\n"
    code += "import rampfit_numba.cli.demo as demo\n"
    code += "demo.run = lambda chosen: console.say('line') or 0\n"
    code += "sys.exit(main(['demo']))"
    with open("/dev/full", "w") as full:  # noqa: PTH123
        process = subprocess.run(
            [sys.executable, "-c", code], stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    assert process.returncode == 1
    assert process.stderr.startswith("rampfit: error: standard output cannot be written")
    assert len(process.stderr.splitlines()) == 1


# ------------------------------------------------------------------------------------------------------ help, version
def test_help_is_cheap_and_complete():
    code = """
import sys
from rampfit_numba.cli import main
status = main(sys.argv[1:])
loaded = {"numba", "astropy", "numpy", "loky", "tqdm"} & set(sys.modules)
sys.exit(f"imported {loaded}" if loaded else status)
"""
    for words in (["--help"], ["fit", "--help"], ["simulate", "--help"], ["demo", "--help"]):
        result = run("-c", code, *words)
        assert (result.returncode, result.stderr) == (0, "")
        assert result.stdout.startswith("usage: rampfit")


def test_help_names_every_option(capsys):
    assert main(["fit", "--help"]) == 0
    printed = capsys.readouterr().out
    options = "readnoise gain save-opt opt-name int-name suppress-one-group no-suppress-one-group firstgroup lastgroup "
    options += "maximum-cores executor algorithm output-dir overwrite quiet verbose"
    for option in options.split():
        assert f"--{option} " in printed.replace(",", " ").replace("]", " ")


def test_version_and_module():
    result = run("-m", "rampfit_numba", "--version")
    assert (result.returncode, result.stderr) == (0, "")
    number = r"\d+\.\d+\S*"
    assert re.fullmatch(
        rf"rampfit {number} \(numba {number} numpy {number} astropy {number} Python {number}\n", result.stdout
    )


# ------------------------------------------------------------------------------------------------------------ simulate
def test_simulate_writes_what_the_function_makes(folder, capsys):
    words = ["--shape", "2x4X5x6", "--seed", "7", "--hit_rate", "0.2", "--nframes=2", "--source-flux", "5", "50"]
    assert main(["simulate", "x_jump.fits", *words, "--zeroframe"]) == 0
    assert names(folder) == ["x_gain.fits", "x_jump.fits", "x_readnoise.fits"]
    simulation = simulate_exposure(2, 4, 5, 6, seed=7, hit_rate=0.2, nframes=2, source_flux=(5.0, 50.0), zeroframe=True)
    np.testing.assert_array_equal(fits.getdata("x_jump.fits", "SCI"), simulation.exposure.data)
    np.testing.assert_array_equal(fits.getdata("x_jump.fits", "ZEROFRAME"), simulation.exposure.zeroframe)
    np.testing.assert_array_equal(fits.getdata("x_gain.fits", "SCI"), simulation.gain)
    printed = capsys.readouterr().err
    for name in names(folder):
        assert name in printed


def test_simulate_writes_the_truth_where_asked(folder, capsys):
    words = ["simulate", "x_jump.fits", "--shape", "2x4x5x6", "--seed", "7", "--hit-rate", "0.2", "--truth"]
    assert main(words) == 0
    assert names(folder) == ["x_gain.fits", "x_jump.fits", "x_readnoise.fits", "x_truth.fits"]
    simulation = simulate_exposure(2, 4, 5, 6, seed=7, hit_rate=0.2)
    with fits.open("x_truth.fits") as truth:
        assert [hdu.name for hdu in truth] == ["PRIMARY", "RATE", "JUMPS"]
        np.testing.assert_array_equal(truth["RATE"].data, simulation.true_rate)
        np.testing.assert_array_equal(truth["JUMPS"].data, simulation.hits)
        assert truth["RATE"].header["BUNIT"] == "DN/s"
        assert truth[0].header["FILENAME"] == "x_truth.fits"
        assert any("seed 7" in line for line in truth[0].header["HISTORY"])
    assert "x_truth.fits" in capsys.readouterr().err
    (folder / "x_jump.fits").unlink()
    assert main(words) == 1


def test_simulate_refuses_existing_files_before_the_work(folder, monkeypatch, capsys):
    monkeypatch.setattr("rampfit_numba.simulate.simulate_exposure", lambda *_args, **_kwargs: pytest.fail("worked"))
    (folder / "x_readnoise.fits").write_text("precious")
    assert main(["simulate", "x_jump.fits"]) == 1
    assert "x_readnoise.fits: exists" in capsys.readouterr().err
    assert names(folder) == ["x_readnoise.fits"]
    assert main(["simulate", "nowhere/x_jump.fits"]) == 1
    assert main(["simulate", "x_jump.txt"]) == 1


def test_simulate_offers_options_that_exist():
    offered = {name for name, _, _ in simulate.SIMULATION} | {"source_flux", "zeroframe"}
    assert offered <= set(SimulationOptions.names())
    parsed = commands.parse(["simulate", "x.fits"])
    assert simulate.simulation_settings(parsed) == {}


# ---------------------------------------------------------------------------------------------------------------- demo
def test_demo_passes_and_keeps_its_files_where_asked(folder, capsys):
    assert main(["demo", "kept", "--shape", "2x8x24x24"]) == 0
    printed = capsys.readouterr().out
    assert "Self check passed" in printed
    assert len(re.findall(r"^(?:rate|rateints), .+ \d+ ", printed, flags=re.MULTILINE)) == 8
    kept = ["demo_gain.fits", "demo_jump.fits", "demo_rate.fits", "demo_rateints.fits"]
    assert names(folder / "kept") == [*kept, "demo_readnoise.fits"]
    for name in names(folder / "kept"):
        assert name in printed
    assert main(["demo", "kept", "--shape", "2x8x24x24"]) == 1
    assert main(["demo", "kept", "--shape", "2x8x24x24", "--overwrite"]) == 0


def test_demo_leaves_nothing_in_the_temporary_folder(folder, monkeypatch, capsys):
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    assert main(["demo", "--shape", "1x5x16x16", "--quiet"]) == 0
    assert capsys.readouterr() == ("", "")
    assert not names(folder)


@pytest.mark.parametrize("wrong", ["rate", "err"])
def test_demo_fails_where_the_numbers_are_wrong(monkeypatch, capsys, wrong):
    import rampfit_numba.files

    right = rampfit_numba.files.fit_file

    def spoil(*args, **kwargs):
        products = right(*args, **kwargs)
        with fits.open(products[0], mode="update") as hdulist:
            if wrong == "rate":
                hdulist["SCI"].data += 0.5 * hdulist["ERR"].data
            else:
                hdulist["ERR"].data *= 1.7
        return products

    monkeypatch.setattr("rampfit_numba.files.fit_file", spoil)
    assert main(["demo", "--shape", "2x8x32x32", "--quiet"]) == 1
    assert "Self check FAILED: rate, all that could be fitted; rate, no flags" in capsys.readouterr().out


@pytest.mark.parametrize("shape", ["1x1x16x16", "1x2x32x32", "1x5x8x8"])
def test_demo_refuses_shapes_without_meaning(shape, folder, capsys):
    assert main(["demo", "kept", "--shape", shape]) == 2
    assert "--shape: the self check needs 3 groups and 128 pixels or more" in capsys.readouterr().err
    assert not names(folder)


def test_demo_that_fails_leaves_no_new_folder(folder, monkeypatch):
    def fail(*_, **__):
        raise OSError("broken")

    monkeypatch.setattr("rampfit_numba.simulate.simulate_exposure", fail)
    assert main(["demo", "new/kept"]) == 1
    assert not names(folder)


# ------------------------------------------------------------------------------------------- unusual names and streams
def test_names_beyond_ascii(files, folder):
    gain, ramp = folder / "ga\u00efn.fits", folder / "my file \u00fc_jump.fits"
    gain.write_bytes(files[1].read_bytes())
    ramp.write_bytes(files[0].read_bytes())
    words = ["--readnoise", str(files[2]), "--gain", str(gain), "--save-opt", "--opt-name", "b\u00e4r\u4e2d"]
    assert main([str(ramp), *words]) == 0
    assert fits.getval("my file \u00fc_rate.fits", "FILENAME") == "my file u_rate.fits"
    assert fits.getval("my file \u00fc_rate.fits", "R_GAIN") == "gain.fits"
    assert fits.getval("b\u00e4r\u4e2d_fitopt.fits", "FILENAME") == "bar?_fitopt.fits"


@pytest.mark.usefixtures("folder")
def test_simulated_names_beyond_ascii():
    assert main(["simulate", "\u00fc_jump.fits", "--shape", "1x3x4x4"]) == 0
    assert fits.getval("\u00fc_gain.fits", "FILENAME") == "u_gain.fits"


@pytest.mark.parametrize("executor", [None, "threads", "processes"])
def test_closed_standard_error(files, folder, executor):
    words = [sys.executable, "-m", "rampfit_numba", str(files[0]), *references(files)]
    words += ["--maximum-cores", "2", "--executor", executor] if executor else []
    done = subprocess.run(["/bin/sh", "-c", 'exec "$@" 2>&-', "sh", *words], timeout=120, check=False)
    assert done.returncode == 0
    assert names(folder) == ["star_rate.fits", "star_rateints.fits"]
    fits.getdata("star_rate.fits", "SCI")


@pytest.mark.usefixtures("folder")
def test_simulation_without_room_is_refused_first(monkeypatch, capsys):
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=1000))
    monkeypatch.setattr("rampfit_numba.simulate.simulate_exposure", None)
    assert main(["simulate", "x_jump.fits", "--shape", "1x3x40x40"]) == 1
    assert "x_jump.fits: needs 0.0 MB" in capsys.readouterr().err


def test_blanks_within_a_message_stay(files, folder, capsys):
    (folder / "x.fits").write_text("nothing")
    assert main(["x.fits", *references(files)]) == 1
    assert "'SIMPLE  ='" in capsys.readouterr().err


@pytest.mark.usefixtures("folder")
def test_ramp_as_a_reference_is_named(files, capsys):
    assert main([str(files[0]), "--readnoise", str(files[0]), "--gain", "5.5"]) == 1
    assert "is no readnoise reference file" in capsys.readouterr().err


@pytest.mark.parametrize("option", ["--int-name", "--opt-name"])
def test_name_of_dots_is_wrong_usage(files, folder, option, capsys):
    assert main([str(files[0]), *references(files), "--save-opt", option, ".."]) in {1, 2}
    assert f"{option.strip('-').replace('-', '_')}: expected a name" in capsys.readouterr().err.replace(
        "-name", "_name"
    )
    assert not names(folder)


@pytest.mark.usefixtures("folder")
def test_demo_compiles_what_a_first_fit_of_files_needs(monkeypatch):
    asked = []
    monkeypatch.setattr("rampfit_numba.files.fit_file", lambda *_, **options: asked.append(options) or [])
    assert main(["demo", "kept"]) == 1  # no products to compare
    assert not {name for name, value in asked[0].items() if value} - {"output_dir", "maximum_cores"}
