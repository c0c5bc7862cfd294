"""Files: exposures and references in, products out.

- :mod:`rampfit_numba.io.fits` the public functions: ``read_exposure``, ``write_products`` and the HDU lists
- :mod:`rampfit_numba.io.hdus` where the HDUs of a FITS file stand, checked before anything is mapped
- :mod:`rampfit_numba.io.hdu_data` what is in them
- :mod:`rampfit_numba.io.exposures` ramp file to ``Exposure``
- :mod:`rampfit_numba.io.reference_names` number or file? (imports nothing heavy)
- :mod:`rampfit_numba.io.references` gain and read noise, cut to the exposure's subarray
- :mod:`rampfit_numba.io.products` ``RampFit`` to HDU lists
- :mod:`rampfit_numba.io.outputs` names of the products, and what may be written where
- :mod:`rampfit_numba.io.whole_files` files that are written whole or not at all, several together
"""

from __future__ import annotations
