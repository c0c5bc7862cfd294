"""``rampfit cache``, and what ``rampfit warmup`` counts."""

from __future__ import annotations

import numba
import pytest

from rampfit_numba.algorithms.method import load_method
from rampfit_numba.cli import main
from rampfit_numba.machine_code import note_warm, places

pytestmark = pytest.mark.skipif(bool(numba.config.DISABLE_JIT), reason="nothing is compiled")


@pytest.fixture
def base(tmp_path, monkeypatch):
    """Give this process a cache folder with the code of this version and of another."""
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    for cached in (places.usable_places, places.all_places):
        cached.cache_clear()
    note_warm("ols", 11.0)
    other = tmp_path / "rampfit_numba" / "0123456789abcdef" / "ols.fit"
    other.mkdir(parents=True)
    (other / "fit-1.nbc").write_bytes(bytes(2_000_000))
    (tmp_path / "rampfit_numba" / "somebody's own").mkdir()
    yield tmp_path / "rampfit_numba"
    for cached in (places.usable_places, places.all_places):
        cached.cache_clear()


def test_it_shows_place_size_and_what_is_ready(base, capsys):
    assert main(["cache"]) == 0
    folder, current, other = capsys.readouterr().out.splitlines()
    assert folder == str(base)
    assert current == (
        f"  {places.version_key()}  0.0 MB in 1 files; this version, this Python, this processor; ready: ols"
    )
    assert other == ("  0123456789abcdef  2.0 MB in 1 files; another version, Python or processor; nothing is complete")


def names(base):
    return {path.name for path in base.iterdir()}


def test_it_removes_what_other_versions_have_left(base, capsys):
    assert main(["cache", "--clean-old"]) == 0
    assert "removed: 0123456789abcdef" in capsys.readouterr().out
    assert names(base) == {places.version_key(), "somebody's own", "ols.seconds"}


def test_it_removes_everything_but_what_is_not_its_own(base, capsys):
    assert main(["cache", "--clean"]) == 0
    assert capsys.readouterr().out.count("removed:") == 2
    assert names(base) == {"somebody's own", "ols.seconds"}
    assert main(["cache"]) == 0
    assert capsys.readouterr().out.splitlines() == [str(base), "  empty"]


def test_it_says_what_could_not_be_removed(base, capsys, monkeypatch):
    def refuse(_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("shutil.rmtree", refuse)
    assert main(["cache", "--clean"]) == 1
    assert capsys.readouterr().out.count("NOT removed (Permission denied)") == 2
    assert len(names(base)) == 4


def test_it_says_why_a_folder_is_not_used(base, capsys, monkeypatch):
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(base / "file"))
    monkeypatch.setenv("TMPDIR", str(base))
    (base / "file").write_text("no folder", encoding="utf-8")
    places.all_places.cache_clear()
    assert main(["cache"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"{base / 'file' / 'rampfit_numba'}  ({base / 'file' / 'rampfit_numba'}: Not a directory)"
    assert lines[2].endswith("(temporary files: no better place can be written)")


@pytest.mark.usefixtures("base")
def test_warmup_counts(monkeypatch, capsys):
    for algorithm in ("ols", "likely"):
        method = type(load_method(algorithm))
        monkeypatch.setattr(method, "fit_smallest", lambda *_: None)
    monkeypatch.setattr("rampfit_numba.compilation._ready", set())
    for note in ("ols-fitopt", "likely"):
        note_warm(note)
    assert main(["warmup"]) == 0
    lines = [line for line in capsys.readouterr().err.splitlines() if "Compiling" in line]
    counted = [line.partition("INFO - ")[2].partition(", once")[0] for line in lines]
    assert counted == [
        "2 of 11: Compiling the kernels for 'ols' (chisq)",
        "4 of 11: Compiling the kernels for 'ols' (fitopt, chisq)",
        "5 of 11: Compiling the kernels for 'ols' (long)",
        "6 of 11: Compiling the kernels for 'ols' (long, chisq)",
        "7 of 11: Compiling the kernels for 'ols' (long, fitopt)",
        "8 of 11: Compiling the kernels for 'ols' (long, fitopt, chisq)",
        "9 of 11: Compiling the kernels for 'ols' (general)",
        "11 of 11: Compiling the kernels for 'likely_joint'",
    ]
