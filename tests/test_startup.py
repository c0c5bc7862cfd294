"""What a short run of the command imports, and what it does without."""

from __future__ import annotations

import io

import numpy as np
import pytest
from astropy.io import fits

from rampfit_numba.cli import main
from rampfit_numba.io.table_hdus import table_hdu
from tests.scripts import finished, started
from tests.sizes import INTERPRETED

#: Packages that take long to import and are of no use to a fit from file to file, by what would import them.
NOT_NEEDED = {
    "astropy.table": "fits.BinTableHDU, to see whether it was given a Table",
    "astropy.wcs": "references to other frames",
    "astropy.time": "astropy.table",
    "asdf": "astropy.table, where asdf-astropy is installed",
    "loky": "a count of cores",
    "numba.np.arrayobj": "code that Numba's own functions are a part of",
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


def test_the_collector_of_garbage_waits_for_imports_and_no_longer(tmp_path):
    code = """
        import gc, sys
        from rampfit_numba.cli import main
        usual = gc.get_threshold()
        main(["--version"])
        print(gc.get_threshold() == usual, gc.isenabled())  # a call from Python changes nothing
        sys.argv[1:] = ["--version"]
        main()
        print(gc.get_threshold()[0] > usual[0], gc.isenabled())
        kept = [[] for _ in range(300_000)]
        print(gc.get_threshold() == usual, len(gc.get_objects(generation=2)) > 20_000)
        sys.argv[1:] = ["x_jump.fits", "--readnoise", "5", "--gain", "2"]
        main()
        print(gc.get_threshold() == usual)
    """
    assert main(["simulate", str(tmp_path / "x_jump.fits"), "--shape", "1x5x8x8", "--quiet"]) == 0
    script = started(tmp_path, code)
    output, _ = script.end(280)
    lines = [line for line in output.splitlines() if not line.startswith("rampfit")]
    assert lines == ["True True", "True True", "True True", "True"]


@pytest.mark.skipif(INTERPRETED, reason="nothing is compiled")
def test_what_is_loaded_first_and_compiled_afterwards_fits_together(tmp_path):
    """A process that has loaded some kernels without all that Numba can compile goes on to compile others."""
    code = """
        import sys
        import numba, numpy as np
        from rampfit_numba import Exposure, fit_ramps
        exposure = Exposure(np.cumsum(np.ones((1, 6, 5, 5), np.float32), axis=1), None, 1.0)
        fit = fit_ramps(exposure, 10.0, 2.0, maximum_cores="none")
        print("numba.np.arrayobj" in sys.modules, fit.rate.data[0, 0])

        @numba.njit
        def made(n):
            return np.full(n, 2.0)[1:].sum()

        print(made(5), fit_ramps(exposure, 10.0, 2.0).rate.data[0, 0])
    """
    finished(started(tmp_path, code))
    assert finished(started(tmp_path, code)).splitlines() == ["False 1.0", "8.0 1.0"]
