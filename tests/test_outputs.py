"""Files of products: their names, and that they are whole or absent."""

from __future__ import annotations

import errno
import os
import re
import stat
import threading
import time
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import pytest
from astropy.io import fits

from rampfit_numba import RampFileError, read_exposure, read_roman, simulate_exposure, write_products
from rampfit_numba.io import product_parts, temporary_files
from rampfit_numba.io.fits import check_outputs, product_paths
from rampfit_numba.io.temporary_files import sweep
from rampfit_numba.report import report_path, write_report
from rampfit_numba.simulate import write_simulation
from tests.make_files import PLANES, SHAPE, header_of, listing, ramp_hdulist, save, some_fit


@pytest.fixture
def folder(tmp_path):
    """Return an empty folder."""
    path = tmp_path / "out"
    path.mkdir()
    return path


class TestNames:
    @pytest.mark.parametrize(
        ("name", "base"),
        [
            ("jw01_nrca1_jump.fits", "jw01_nrca1"),
            ("jw01_nrca1_ramp.fits.gz", "jw01_nrca1"),
            ("jw01_nrca1_uncal.fits", "jw01_nrca1"),
            ("jw01_nrca1_rateints.fits", "jw01_nrca1"),
            ("jw01-seg001-jumpstep.fits", "jw01-seg001"),
            ("jw01_nrca1_0_rampfitstep.fits", "jw01_nrca1_0"),
            ("jw01_nrca1_charge_migration.fits", "jw01_nrca1"),
            ("jw01_nrca1_dark_current.fit", "jw01_nrca1"),
            ("jw01_nrca1.fits", "jw01_nrca1"),
            ("jw01_nrca1", "jw01_nrca1"),
            ("a.b_c_jump", "a.b_c"),
            ("myjump.fits", "myjump"),
            ("jump.fits", "jump"),
            ("folder/x_jump.fits", "x"),
        ],
    )
    def test_known_suffix_is_replaced(self, name, base):
        assert product_paths(name, "out")["rate"].as_posix() == f"out/{base}_rate.fits"

    def test_products(self, tmp_path):
        assert list(product_paths("x_jump.fits", tmp_path)) == ["rate", "rateints"]
        paths = product_paths("x_jump.fits", tmp_path, save_opt=True, int_name="i_ramp.fits", opt_name="o_fitopt.fits")
        assert [path.name for path in paths.values()] == ["x_rate.fits", "i_rateints.fits", "o_fitopt.fits"]
        assert product_paths("x_jump.fits", tmp_path, opt_name="o").keys() == {"rate", "rateints"}

    def test_refused(self, tmp_path):
        with pytest.raises(ValueError, match="int_name: expected a file name without a folder"):
            product_paths("x", tmp_path, int_name="a/b")
        with pytest.raises(ValueError, match="opt_name: expected a file name without a folder"):
            product_paths("x", tmp_path, opt_name="../b")
        with pytest.raises(ValueError, match="basename: expected a file name; got ''"):
            product_paths("", tmp_path)
        for folder in (".", "/"):
            with pytest.raises(ValueError, match=rf"basename: expected a file name; got the folder '{folder}'"):
                product_paths(folder, tmp_path)
        for name in (".fits", "_jump.fits", "-ramp.fits.gz", "..", "x/.."):
            with pytest.raises(ValueError, match="basename: expected a name that the products' names can begin with"):
                product_paths(name, tmp_path)
        with pytest.raises(ValueError, match=r"int_name: .* got '\.\.'"):
            product_paths("x", tmp_path, int_name="..")

    @pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="needs a file system that cannot be written")
    def test_folder_that_cannot_be_made_is_refused_before_the_fit(self):
        with pytest.raises(RampFileError, match=r"/proc/\S*x_rate\.fits: "):
            check_outputs(product_paths("x", "/proc/foo").values())
        with pytest.raises(RampFileError, match=r"^/proc/foo/x_rate\.fits: cannot be written"):
            write_products(some_fit(), "/proc/foo", "x")

    def test_check_leaves_nothing(self, tmp_path):
        check_outputs(product_paths("x", tmp_path / "new").values())
        assert not listing(tmp_path)

    def test_failure_leaves_no_new_folder(self, tmp_path, monkeypatch):
        def full(*_):
            raise OSError(errno.ENOSPC, "full")

        monkeypatch.setattr("rampfit_numba.io.product_parts.allocate", full)
        with pytest.raises(RampFileError, match=r"x_rate\.fits: cannot be written \(full\)"):
            write_products(some_fit(), tmp_path / "a" / "b", "x")
        assert not listing(tmp_path)

    def test_names_of_the_products(self, folder):
        write_products(some_fit(segments=1), folder, "x_jump.fits", int_name="i", opt_name="o")
        assert listing(folder) == ["i_rateints.fits", "o_fitopt.fits", "x_rate.fits"]
        assert header_of(folder / "i_rateints.fits")["FILENAME"] == "i_rateints.fits"

    def test_longest_name(self, folder):
        name = "x" * (255 - len("_rateints.fits"))
        assert write_products(some_fit(), folder, name)[1].exists()

    def test_name_that_is_too_long(self, folder):
        with pytest.raises(RampFileError, match=r"cannot be written \(File name too long\)"):
            write_products(some_fit(), folder, "x" * 250)


@pytest.mark.parametrize("wrong", [None, 5, b"x"], ids=str)
@pytest.mark.parametrize(
    ("argument", "function"),
    [
        ("path", read_exposure),
        ("path", read_roman),
        ("path", lambda wrong: write_simulation(simulate_exposure(1, 4, 8, 8), wrong)),
        ("path", lambda wrong: write_report(some_fit(), wrong)),
        ("source", report_path),
        ("folder", lambda wrong: report_path("x.fits", wrong)),
        ("output_dir", lambda wrong: write_products(some_fit(), wrong, "x_jump.fits")),
        ("basename", lambda wrong: write_products(some_fit(), "out", wrong)),
    ],
)
def test_what_is_no_path_is_told_by_name(tmp_path, monkeypatch, argument, function, wrong):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(TypeError, match=f"^{argument}: expected a path; got {wrong!r}$"):
        function(wrong)
    assert listing(tmp_path) == []


class TestOutputs:
    def test_folder_is_made(self, tmp_path):
        assert all(path.exists() for path in write_products(some_fit(), tmp_path / "a" / "b", "x_jump.fits"))

    def test_existing_output_is_refused(self, folder):
        (folder / "x_rateints.fits").write_text("mine")
        with pytest.raises(RampFileError, match=r"x_rateints\.fits: exists; allow overwriting"):
            write_products(some_fit(), folder, "x_jump.fits")
        assert listing(folder) == ["x_rateints.fits"]
        assert (folder / "x_rateints.fits").read_text() == "mine"
        write_products(some_fit(), folder, "x_jump.fits", overwrite=True)
        assert header_of(folder / "x_rateints.fits")["DATAMODL"] == "CubeModel"
        assert listing(folder) == ["x_rate.fits", "x_rateints.fits"]

    def test_input_is_never_overwritten(self, folder):
        source = save(ramp_hdulist(), folder / "x_rate.fits")
        for path in (source, folder / "." / "x_rate.fits", folder.parent / "hard.fits", folder.parent / "soft.fits"):
            if path.name == "hard.fits":
                os.link(source, path)
            if path.name == "soft.fits":
                path.symlink_to(source)
            with pytest.raises(RampFileError, match="would overwrite the input"):
                write_products(some_fit(), folder, "x_ramp.fits", overwrite=True, inputs=[path])
        assert read_exposure(source).shape == SHAPE

    def test_folder_in_place_of_a_file_and_the_reverse(self, folder):
        (folder / "x_rate.fits").mkdir()
        with pytest.raises(RampFileError, match=r"x_rate\.fits: is a directory"):
            check_outputs([folder / "x_rate.fits"], overwrite=True)
        (folder / "file").touch()
        with pytest.raises(RampFileError, match="file is no directory"):
            check_outputs([folder / "file" / "x_rate.fits"])

    @pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write everywhere")
    def test_no_permission(self, folder):
        folder.chmod(0o500)
        with pytest.raises(RampFileError, match="no permission to write"):
            check_outputs([folder / "x_rate.fits"])
        folder.chmod(0o700)

    def test_permissions_are_those_of_new_files(self, folder):
        (folder / "other").touch()
        for path in write_products(some_fit(), folder, "x_jump.fits"):
            assert stat.S_IMODE(path.stat().st_mode) == stat.S_IMODE((folder / "other").stat().st_mode)

    def test_two_at_once_leave_whole_files(self, folder):
        fits_ = [some_fit(seed=seed) for seed in range(4)]
        problems = []

        def write(fit):
            try:
                for _ in range(10):
                    write_products(fit, folder, "x_jump.fits", overwrite=True)
            except Exception as error:  # noqa: BLE001
                problems.append(error)

        threads = [threading.Thread(target=write, args=(fit,)) for fit in fits_]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert problems == []
        assert listing(folder) == ["x_rate.fits", "x_rateints.fits"]
        with fits.open(folder / "x_rate.fits") as hdulist:
            assert any(
                all(
                    np.array_equal(hdulist[e].data, getattr(f.rate, p), equal_nan=e == "SCI") for e, p in PLANES.items()
                )
                for f in fits_
            )


def full_disk(*_args):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


class TestFailures:
    """Whatever happens: all products or none, no temporary file, and what was there before is still there."""

    @pytest.fixture(params=[False, True], ids=["fresh", "overwriting"])
    def before(self, request, folder):
        if request.param:
            for kind in ("rate", "rateints", "fitopt"):
                (folder / f"x_{kind}.fits").write_text(f"old {kind}")
        return {path.name: path.read_bytes() for path in folder.iterdir()}

    def check(self, folder, before, error, match=None):
        with pytest.raises(error, match=match):
            write_products(some_fit(segments=1), folder, "x_jump.fits", overwrite=bool(before))
        assert {path.name: path.read_bytes() for path in folder.iterdir()} == before

    @pytest.mark.skipif(not hasattr(os, "posix_fallocate"), reason="needs posix_fallocate")
    def test_full_disk_is_noticed_before_writing(self, folder, before, monkeypatch):
        monkeypatch.setattr(os, "posix_fallocate", full_disk)
        monkeypatch.setattr(product_parts, "_write_image", lambda *_args: pytest.fail("wrote"))
        self.check(folder, before, RampFileError, r"x_rate\.fits: cannot be written \(No space left on device\)")

    def test_disk_full_while_writing(self, folder, before, monkeypatch):
        self.interrupt_writing(monkeypatch, OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)))
        self.check(folder, before, RampFileError, r"x_rateints\.fits: cannot be written \(.*No space left on device\)")

    @pytest.mark.parametrize("error", [KeyboardInterrupt, MemoryError, SystemExit])
    def test_interrupt_while_writing(self, folder, before, monkeypatch, error):
        self.interrupt_writing(monkeypatch, error())
        self.check(folder, before, error)

    def interrupt_writing(self, monkeypatch, error):
        """Raise `error` in the middle of the second file."""
        write, calls = product_parts._write_image, []

        def interrupted(file, values):
            calls.append(values)
            if len(calls) == len(PLANES) + 3:
                raise error
            write(file, values)

        monkeypatch.setattr(product_parts, "_write_image", interrupted)

    @pytest.mark.parametrize("error", [KeyboardInterrupt, OSError(errno.EIO, "broken")])
    @pytest.mark.parametrize("late", [False, True], ids=["before", "after"])
    def test_interrupt_while_placing(self, folder, before, monkeypatch, error, late):
        """Stop at the second file, before or after it has got its name."""
        placed = []

        def interrupted(place):
            def function(source, target, *args, **options):
                if not str(source).endswith(".tmp"):
                    place(source, target, *args, **options)
                    return
                if placed and not late:
                    raise error
                place(source, target, *args, **options)
                placed.append(target)
                if len(placed) == 2:
                    raise error

            return function

        monkeypatch.setattr(os, "replace", interrupted(os.replace))
        monkeypatch.setattr(os, "link", interrupted(os.link))
        self.check(folder, before, KeyboardInterrupt if error is KeyboardInterrupt else RampFileError)

    @pytest.mark.parametrize("error", [PermissionError, KeyboardInterrupt])
    @pytest.mark.parametrize("stuck", [{"x_rate.fits"}, {"x_rate.fits", "x_rateints.fits"}], ids=len)
    @pytest.mark.parametrize("renaming", [True, False], ids=["renaming", "no-renaming"])
    def test_what_cannot_be_put_back_is_kept_and_named(  # noqa: PLR0917  (fixtures)
        self, folder, monkeypatch, caplog, error, stuck, renaming
    ):
        """From some moment on nothing can be renamed: the third file gets no name, and some have theirs for good."""
        names = [f"x_{kind}.fits" for kind in ("rate", "rateints", "fitopt")]
        for name in names:
            (folder / name).write_text(f"old {name}")
        replace = os.replace

        def fail(source, target):
            if Path(source).suffix == ".tmp" and Path(target).name == names[2]:
                raise error(errno.EACCES, "Permission denied")
            if Path(source).suffix == ".old" and Path(target).name in stuck:
                raise PermissionError(errno.EACCES, "Permission denied")
            replace(source, target)

        monkeypatch.setattr(os, "replace", fail)
        if not renaming:
            monkeypatch.setattr(os, "rename", Mock(side_effect=PermissionError(errno.EACCES, "Permission denied")))
        with pytest.raises((RampFileError, KeyboardInterrupt)) as caught:
            write_products(some_fit(segments=1), folder, "x_jump.fits", overwrite=True)
        if error is PermissionError:
            told = str(caught.value)
            assert told.startswith(f"{folder / names[2]}: cannot be written (Permission denied")
        else:
            (told,) = caught.value.__notes__
            assert told in caplog.text
        for name in names:
            text = (folder / name).read_bytes()[:100]
            assert (text != f"old {name}".encode()) == (name in stuck)
        for name in stuck:
            place = rf"{folder / name}: could not be put back \(Permission denied\); what was there is ([^\s;]+)"
            found = re.search(place, told)
            assert Path(found[1]).read_text() == f"old {name}"
        assert len(listing(folder)) == len(names) + len(stuck)
        later = time.time() + 400 * 86400
        monkeypatch.setattr(temporary_files.time, "time", lambda: later)
        assert bool(sweep(folder)) != renaming

    def test_what_cannot_be_taken_away_again_is_named(self, folder, monkeypatch):
        unlink, link = Path.unlink, os.link

        def fail(source, target):
            if Path(target).name == "x_rateints.fits":
                raise FileExistsError(errno.EEXIST, "File exists")
            link(source, target)

        def stay(path, **options):
            if path.suffix == ".fits":
                raise PermissionError(errno.EACCES, "Permission denied")
            unlink(path, **options)

        monkeypatch.setattr(os, "link", fail)
        monkeypatch.setattr(Path, "unlink", stay)
        told = r"x_rate\.fits: could not be taken away again \(Permission denied\)$"
        with pytest.raises(RampFileError, match=r"x_rateints\.fits: has come to exist .*" + told):
            write_products(some_fit(), folder, "x_jump.fits")
        assert listing(folder) == ["x_rate.fits"]

    def test_output_that_comes_to_exist_meanwhile(self, folder, monkeypatch):
        sync, names = os.fsync, iter(["x_rateints.fits"])

        def slow(descriptor):
            for name in names:
                (folder / name).write_text("of another process")
            sync(descriptor)

        monkeypatch.setattr(os, "fsync", slow)
        with pytest.raises(RampFileError, match=r"x_rateints\.fits: has come to exist"):
            write_products(some_fit(), folder, "x_jump.fits")
        assert listing(folder) == ["x_rateints.fits"]
        assert (folder / "x_rateints.fits").read_text() == "of another process"

    def test_file_system_without_links_and_allocation(self, folder, before, monkeypatch):
        def refuse(*_args):
            raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))

        monkeypatch.setattr(os, "link", refuse)
        monkeypatch.setattr(os, "posix_fallocate", refuse, raising=False)
        write_products(some_fit(), folder, "x_jump.fits", overwrite=bool(before))
        assert header_of(folder / "x_rate.fits")["DATAMODL"] == "ImageModel"
        with pytest.raises(RampFileError, match="exists"):
            write_products(some_fit(), folder, "x_jump.fits")

    def test_folder_cannot_be_made(self, tmp_path, monkeypatch):
        monkeypatch.setattr("pathlib.Path.mkdir", lambda *_args, **_options: full_disk())
        with pytest.raises(RampFileError, match="No space left"):
            write_products(some_fit(), tmp_path / "new", "x_jump.fits")
