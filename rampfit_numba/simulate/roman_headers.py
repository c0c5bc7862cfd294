"""What Roman's files say about themselves, with placeholders for all that a simulation does not have.

Names and types are those of the schemas ``ramp-2.1.0``, ``readnoise-2.0.0`` and ``gain-2.0.0`` of the package rad.
"""

from __future__ import annotations

from typing import Any, Final

_TAGS = "asdf://stsci.edu/datamodels/roman/tags"
RAMP_TAG: Final = f"{_TAGS}/ramp-2.1.0"
REFERENCE_TAGS: Final = {kind: f"{_TAGS}/reference_files/{kind}-2.0.0" for kind in ("gain", "readnoise")}
_TIME_TAG = "tag:stsci.edu:asdf/time/time-1.4.0"
_START = "2027-01-01T00:00:00.000"
_UNKNOWN = -999999
_STEPS = (
    *("assign_wcs", "dark", "dark_decay", "dq_init", "flat_field", "flux", "linearity", "outlier_detection", "photom"),
    *("ramp_fit", "refpix", "saturation", "skymatch", "source_catalog", "tweakreg", "wfi18_transient"),
)
_DONE = ("dark_decay", "dq_init", "linearity", "refpix", "saturation", "wfi18_transient")
_REFERENCES = (
    *("apcorr", "area", "dark", "darkdecaysignal", "distortion", "epsf", "flat", "gain", "integralnonlinearity"),
    *("inverselinearity", "linearity", "mask", "photom", "readnoise", "refpix", "saturation"),
)


def ramp_meta(filename: str, read_pattern: list[list[int]], frame_time: float, seed: int) -> dict[str, Any]:
    """Return the metadata of a simulated file after the linearity step.

    Parameters
    ----------
    filename : str
    read_pattern : list of list of int
        The reads of each resultant, the first read of all being 1.
    frame_time : float
        Time of a read in s.
    seed : int
        Of the simulation.
    """
    exposure_time = frame_time * read_pattern[-1][-1]
    return {
        "cal_step": {step: "COMPLETE" if step in _DONE else "INCOMPLETE" for step in _STEPS},
        "calibration_software_name": "rampfit_numba",
        **_texts("calibration_software_version", "prd_version", "sdf_software_version"),
        "coordinates": {"reference_frame": "ICRS"},
        "ephemeris": {
            **_texts("ephemeris_reference_frame", "type"),
            **_numbers(*(f"{kind}_{axis}" for kind in ("spatial", "velocity") for axis in "xyz"), "time"),
        },
        "exposure": {
            **_texts("data_problem", "engineering_quality", "ma_table_id", "ma_table_name"),
            "effective_exposure_time": exposure_time,
            "exposure_time": exposure_time,
            "start_time": time_of(_START),
            "end_time": time_of(_START),
            "frame_time": frame_time,
            "hga_move": False,
            "ma_table_number": _UNKNOWN,
            "nresultants": len(read_pattern),
            "read_pattern": read_pattern,
            "truncated": False,
            "type": "WFI_IMAGE",
        },
        "file_date": time_of(_START),
        "filename": filename,
        "guide_star": {
            **_texts("epoch", "guide_mode", "guide_star_id", "guide_window_id"),
            **_counts("window_xstart", "window_xstop", "window_ystart", "window_ystop"),
        },
        "instrument": {"detector": "WFI01", "name": "WFI", "optical_element": "F062"},
        "model_type": "RampModel",
        "observation": {
            **_counts("execution_plan", "exposure", "observation", "pass", "program", "segment", "visit"),
            **_counts("visit_file_group", "visit_file_sequence"),
            **_texts("observation_id", "visit_file_activity", "visit_id"),
            "wfi_parallel": False,
        },
        "origin": "STSCI/SOC",
        "pointing": {
            **_numbers("dec_v1", "pa_aperture", "pa_v3", "ra_v1", "target_dec", "target_ra"),
            "pointing_engineering_source": "CALCULATED",
            "target_aperture": "?",
        },
        "product_type": "l1",
        "program": {
            **_texts("category", "investigator_name", "science_category", "subcategory"),
            "title": f"Simulated by rampfit_numba with seed {seed}: no telescope has seen this.",
        },
        "rcs": {"active": False, "bank": "1", "counts": _UNKNOWN, "electronics": "A", "led": "?"},
        "ref_file": {**_texts(*_REFERENCES), "crds": _texts("context", "version")},
        "telescope": "ROMAN",
        "velocity_aberration": _numbers("dec_reference", "ra_reference", "scale_factor"),
        "visit": {
            "dither": {"executed_pattern": [], **_texts("primary_name", "subpixel_name")},
            "internal_target": False,
            "nexposures": _UNKNOWN,
            "start_time": time_of(_START),
            "type": "?",
        },
        "wcsinfo": {
            **_numbers("dec_ref", "ra_ref", "roll_ref", "v2_ref", "v3_ref", "v3yangle"),
            "aperture_name": "WFI01_FULL",
            "s_region": "?",
            "vparity": -1,
        },
    }


def reference_meta(kind: str) -> dict[str, Any]:
    """Return the metadata of a simulated reference; `kind` is "readnoise" or "gain"."""
    meta: dict[str, Any] = {
        "reftype": kind.upper(),
        "author": "rampfit_numba",
        "description": "Simulated: no detector has been measured.",
        "instrument": {"detector": "WFI01", "name": "WFI"},
        "origin": "STSCI/SOC",
        "pedigree": "DUMMY",
        "telescope": "ROMAN",
        "useafter": time_of(_START),
    }
    if kind == "readnoise":
        meta["exposure"] = {"p_exptype": "WFI_IMAGE|", "type": "WFI_IMAGE"}
    return meta


def time_of(text: str) -> Any:  # noqa: ANN401  (text with a tag)
    """Return a time as ASDF has it."""
    from asdf.tagged import TaggedString

    time = TaggedString(text)
    time._tag = _TIME_TAG  # noqa: SLF001  (asdf has no other way)
    return time


def _texts(*names: str) -> dict[str, str]:
    return dict.fromkeys(names, "?")


def _numbers(*names: str) -> dict[str, float]:
    return dict.fromkeys(names, float(_UNKNOWN))


def _counts(*names: str) -> dict[str, int]:
    return dict.fromkeys(names, _UNKNOWN)
