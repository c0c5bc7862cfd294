"""The golden cases: inputs and what stcal 1.20.0 made of them, written down once."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

from tests.cases import bad_readnoise, bad_samples, case_from_golden

EXAMPLES_FILE = Path(__file__).parent / "data" / "ols_examples.json"


@cache
def golden_examples() -> dict[str, dict[str, Any]]:
    """Return all golden examples by their id."""
    return {example["id"]: example for example in json.loads(EXAMPLES_FILE.read_text())["examples"]}


def deviates(example: dict[str, Any]) -> bool:
    """Tell whether the package differs from the reference here on purpose."""
    case = case_from_golden(example)
    bad_zeroframe = case.zeroframe is not None and not abs(case.zeroframe).max() < float("inf")
    return bool(bad_samples(case).any() or bad_readnoise(case).any() or bad_zeroframe)
