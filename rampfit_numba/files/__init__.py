"""From files to files: read an exposure and its references, fit, write the products; one file, or many."""

from rampfit_numba.files.calls import fit_file, fit_files
from rampfit_numba.files.fitting import fit_one, read_and_fit
from rampfit_numba.files.job import Job
from rampfit_numba.files.results import FileResult, FittedFile

__all__ = ["FileResult", "FittedFile", "Job", "fit_file", "fit_files", "fit_one", "read_and_fit"]
