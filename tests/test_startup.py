"""What a short run of the command imports, and what it does without."""

from __future__ import annotations

import io

import numpy as np
import pytest
from astropy.io import fits

from rampfit_numba.cli import main
from rampfit_numba.io.table_hdus import table_hdu
from tests.scripts import finished, started

#: Packages that take long to import and are of no use to a fit from file to file, by what would import them.
NOT_NEEDED = {
    "astropy.table": "fits.BinTableHDU, to see whether it was given a Table",
    "astropy.wcs": "references to other frames",
    "astropy.time": "astropy.table",
    "asdf": "astropy.table, where asdf-astropy is installed",
    "loky": "a count of cores",
    "numba.np.linalg": "Numba's context, which gets all that could be compiled",
    "scipy.linalg": "numba.np.linalg",
    "tqdm": "a bar that is not shown",
}


def test_a_warm_fit_from_file_to_file_imports_no_more_than_it_needs(tmp_path):
    code = f"""
        import sys
        from rampfit_numba.cli import main
        fit = ["x_jump.fits", "--readnoise", "x_readnoise.fits", "--gain", "x_gain.fits", "--overwrite", "--quiet"]
        assert main(fit) == 0
        print(*sorted(set({sorted(NOT_NEEDED)}) & set(sys.modules)))
    """
    assert main(["simulate", str(tmp_path / "x_jump.fits"), "--shape", "2x8x32x32", "--quiet"]) == 0
    finished(started(tmp_path, code))  # it may have compiled
    assert finished(started(tmp_path, code)).split() == []


@pytest.mark.parametrize("with_header", [False, True])
def test_tables_are_those_of_astropy(with_header):
    rows = np.zeros(3, [("integration_number", ">i4"), ("int_start", ">f8"), ("name", "S5"), ("flag", "u2")])
    rows["int_start"] = [1.5, np.nan, 3]
    rows["flag"] = [0, 1, 65535]
    rows = fits.BinTableHDU(rows).data
    header = fits.Header([("TTYPE2", "int_start", "mine"), ("TUNIT2", "d"), ("OTHER", 5), ("EXTVER", 2)])
    given = {"header": header} if with_header else {}
    found, wanted = io.BytesIO(), io.BytesIO()
    table_hdu(rows.copy(), name="INT_TIMES", **given).writeto(found)
    fits.BinTableHDU(rows.copy(), name="INT_TIMES", **given).writeto(wanted)
    assert found.getvalue() == wanted.getvalue()
