"""Whether the installed JWST pipeline is one that this package works with."""

from __future__ import annotations

import re
import warnings
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from typing import TYPE_CHECKING

from rampfit_numba.messages import RampFitWarning, how_to_install

if TYPE_CHECKING:
    from collections.abc import Mapping

_INSTALL = f"install it with: {how_to_install('jwst')}"
_FIRST, _BEYOND = 3, 4
#: What of the pipeline is used: where it lives, and its names, dots included.
_FOR_RAMP_FIT = {
    "jwst.lib.reffile_utils": ("get_subarray_model", "ref_matches_sci"),
    "jwst.ramp_fitting": (
        "RampFitStep.get_reference_file",
        "RampFitStep.get_stpipe_loggers",
        "RampFitStep.prepare_output",
        "RampFitStep.save_model",
    ),
    "stcal.ramp_fitting.likely_fit": ("LIKELY_MIN_NGROUPS",),
    "stdatamodels.jwst.datamodels": (
        "CubeModel",
        "GainModel",
        "IFUImageModel",
        "ImageModel",
        "RampFitOutputModel",
        "RampModel",
        "ReadnoiseModel",
        "dqflags.group",
        "dqflags.pixel",
    ),
    "stdatamodels.validate": ("value_change",),
}
_FOR_DETECTOR1 = {
    "jwst.pipeline": (
        "Detector1Pipeline.get_stpipe_loggers",
        "Detector1Pipeline.save_model",
        "Detector1Pipeline.step_defs",
    ),
}


def check_ramp_fit() -> None:
    """Refuse to go on where the pipeline is absent, too old, or without something that our step uses.

    Raises
    ------
    ImportError
        In one sentence, what is wrong and what to install.

    Warns
    -----
    RampFitWarning
        The pipeline is newer than any that was tested, but has all that is used of it.
    """
    if find_spec("jwst") is None:
        raise ImportError(f"rampfit_numba.jwst needs the JWST pipeline (jwst>={_FIRST}.0,<{_BEYOND}); {_INSTALL}")
    installed = _installed()
    number = re.match(r"\d+", installed)
    major = int(number.group()) if number else _FIRST
    if major < _FIRST:
        raise ImportError(
            f"rampfit_numba.jwst needs jwst>={_FIRST}.0,<{_BEYOND} and found jwst {installed}, whose ramp fit weights "
            f"segments differently; {_INSTALL}"
        )
    _require(_FOR_RAMP_FIT)
    if major >= _BEYOND:
        warnings.warn(
            f"jwst {installed} is newer than any version that rampfit_numba.jwst was tested with (jwst<{_BEYOND})",
            RampFitWarning,
            stacklevel=3,
        )


def check_detector1() -> None:
    """Refuse to go on where the pipeline lacks something that our Detector1Pipeline uses.

    Raises
    ------
    ImportError
        In one sentence, what is missing and what to install.
    """
    _require(_FOR_DETECTOR1)


def _installed() -> str:
    try:
        return version("jwst")
    except PackageNotFoundError:  # a copy on the path, without metadata: what it has decides
        return "of unknown version"


def _require(used: Mapping[str, tuple[str, ...]]) -> None:
    if missing := _missing(used):
        raise ImportError(
            f"rampfit_numba.jwst does not work with jwst {_installed()}, which has no {missing}; it needs "
            f"jwst>={_FIRST}.0,<{_BEYOND}; {_INSTALL}"
        )


def _missing(used: Mapping[str, tuple[str, ...]]) -> str:
    """Return the first name that the pipeline lacks, empty where it has them all."""
    for module, names in used.items():
        try:
            found = import_module(module)
        except ModuleNotFoundError as error:
            if error.name is None or not module.startswith(error.name):
                raise  # the pipeline's installation is broken: what it says itself is clearer
            return module
        for name in names:
            part = found
            for word in name.split("."):
                if not hasattr(part, word):
                    return f"{module}.{name}"
                part = getattr(part, word)
    return ""
