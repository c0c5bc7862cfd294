"""Values in a file's headers that look like places are data: nothing is opened, fetched or written there."""

from __future__ import annotations

import sys
from contextlib import contextmanager

import numpy as np
import pytest
from astropy.io import fits

from rampfit_numba import fit_file
from tests.make_files import int_times, ramp_hdulist, save

PLACES = ["../outside", "/tmp/outside", "file:///etc/passwd", "http://127.0.0.1:9/x.fits", "a/b;touch outside", "$(x)"]  # noqa: S108
_LISTENERS = []


def _tell(event, arguments):
    for listen in _LISTENERS:
        listen(event, arguments)


sys.addaudithook(_tell)


@contextmanager
def what_is_reached():
    """Give the paths, addresses and programs that are opened, removed or run."""
    reached = []

    def listen(event, arguments):
        if event == "open" or event.startswith(("socket.", "subprocess.", "os.", "urllib.")):
            reached.extend(str(argument) for argument in arguments)

    _LISTENERS.append(listen)
    try:
        yield reached
    finally:
        _LISTENERS.remove(listen)


@pytest.mark.parametrize("place", PLACES)
def test_places_in_headers_are_data(tmp_path, monkeypatch, place):
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    hdulist = ramp_hdulist((2, 5, 6, 7), {"FILENAME": place, "R_GAIN": place, "R_READNO": place, "INHERIT": True})
    hdulist["SCI"].header["INHERIT"] = True
    hdulist["SCI"].header["CHECKSUM"] = "0" * 16
    hdulist.append(fits.ImageHDU(np.zeros((2, 2), np.float32), name=place))
    hdulist.append(fits.BinTableHDU.from_columns(int_times(2), name="INT_TIMES"))
    hdulist.append(fits.BinTableHDU.from_columns([fits.Column("x", "J", array=[1])], name=f"t{place}"))
    save(hdulist, folder / "x_jump.fits")
    with what_is_reached() as reached:
        paths = fit_file("x_jump.fits", 12.0, 2.0)
    assert {path.name for path in folder.iterdir()} == {"x_jump.fits", *(path.name for path in paths)}
    assert [path.name for path in tmp_path.iterdir()] == ["here"]
    words = ("outside", "passwd", "127.0.0.1", "$(x)")
    assert not [one for one in reached if any(word in one for word in words)]


def test_the_listener_hears(tmp_path):
    with what_is_reached() as reached:
        (tmp_path / "outside").touch()
    assert any("outside" in one for one in reached)
