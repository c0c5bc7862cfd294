"""Compare every plane of the results of two checkouts, bit for bit.

    python bench/compare_checkouts.py OLD NEW [--exposures 2000] [--full-size] [--except dof]

OLD and NEW are folders with a checkout each. Both fit the same random exposures, of all algorithms, with and without
optional results, on one worker, in threads and in processes; a plane differs where one bit of it does.
"""

# ruff: noqa: C901, PLR2004, S603  (a list of chances, one after the other; it runs this file)
from __future__ import annotations

import argparse
import hashlib
import json
import os
import subprocess
import sys
import warnings
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

ALGORITHMS = ("ols", "ols", "likely", "likely_joint")
FULL_SIZE = (2, 20, 1024, 1032)


def random_exposure(seed: int) -> tuple[dict[str, Any], dict[str, Any], tuple[Any, Any]]:
    """Return keyword arguments of an Exposure and of a fit, and its read noise and gain."""
    rng = np.random.default_rng(seed)
    algorithm = ALGORITHMS[seed % len(ALGORITHMS)]
    ngroups = int(rng.integers(1, 12) if rng.random() < 0.5 else rng.integers(4, 40))
    if seed % 97 == 0:
        ngroups = int(rng.integers(250, 330))
    shape = (int(rng.integers(1, 5)), ngroups, int(rng.integers(1, 6)), int(rng.integers(1, 200)))
    keywords, options = ramps(rng, shape), {"algorithm": algorithm}
    image, cube = shape[2:], (shape[0], *shape[2:])
    keywords |= {"frame_time": 1.5, "nframes": int(rng.integers(1, 5)), "groupgap": int(rng.integers(0, 3))}
    keywords["group_time"] = 1.5 * (keywords["nframes"] + keywords["groupgap"])
    if rng.random() < 0.4:
        keywords["pixeldq"] = np.where(rng.random(image) < 0.1, 1 << rng.integers(0, 12, image), 0).astype(np.uint32)
    if rng.random() < 0.3:
        keywords["zeroframe"] = (rng.normal(30, 20, cube) * (rng.random(cube) < 0.8)).astype(np.float32)
    if rng.random() < 0.3:
        keywords["average_dark_current"] = rng.normal(1, 1, image).astype(np.float32)
    if rng.random() < 0.3:
        keywords["instrument"] = "MIRI"
        keywords["groupdq"][:, [0, -1]] |= 1
    if rng.random() < 0.3:
        keywords["data"] = keywords["data"].astype(rng.choice([">f4", "<f8"]))
    options["suppress_one_group"] = bool(rng.random() < 0.5)
    if rng.random() < 0.2:
        options["firstgroup"], options["lastgroup"] = 1, max(ngroups - 2, 2)
    if algorithm == "ols":
        options["save_opt"] = bool(rng.random() < 0.5)
    elif rng.random() < 0.3 and ngroups >= 4:
        options["rejection_threshold"] = float(rng.uniform(3, 6))
    if algorithm == "likely_joint" and rng.random() < 0.3 and ngroups >= 4:
        options["pedestal"] = (10.0, 5.0)
    kind = seed % 16
    options |= {"maximum_cores": 2, "executor": "processes" if kind == 0 else "threads"} if kind < 6 else {}
    noise = rng.uniform(5, 20, image).astype(np.float32) if rng.random() < 0.5 else 12.5
    gain = rng.uniform(1, 6, image).astype(np.float32) if rng.random() < 0.5 else 2.25
    if isinstance(gain, np.ndarray):
        gain[rng.random(image) < 0.02] = np.nan
    return keywords, options, (noise, gain)


def ramps(rng: np.random.Generator, shape: tuple[int, int, int, int], hits: float | None = None) -> dict[str, Any]:
    """Return ramps of all signals, with flags of all kinds."""
    rate = 10 ** rng.uniform(-1, 4, shape[2:])
    data = np.cumsum(rng.poisson(rate, shape), axis=1) + rng.normal(0, 12, shape)
    share = float(rng.choice([0.0, 0.003, 0.05, 0.3])) if hits is None else hits
    kinds = np.array([1, 2, 4, 4, 4, 5, 6, 32, 36, 128, 129, 16], np.uint8)
    flags = np.where(rng.random(shape) < share, rng.choice(kinds, shape), 0).astype(np.uint8)
    full = rng.random((*shape[:1], 1, *shape[2:])) < share
    flags |= (2 * (full & (np.arange(shape[1])[:, None, None] >= shape[1] // 2))).astype(np.uint8)
    data += np.cumsum(np.where(flags & 4, rng.exponential(300, shape), 0), axis=1)
    data = data.astype(np.float32)
    if hits is None and rng.random() < 0.3:
        data[rng.random(shape) < 0.01] = np.nan
    return {"data": data, "groupdq": flags}


def full_size_exposures() -> list[tuple[dict[str, Any], dict[str, Any], tuple[Any, Any]]]:
    """Return exposures of a whole detector: clean, and with hits, for every algorithm and executor."""
    found = []
    for hits in (0.0, 0.02):
        keywords = ramps(np.random.default_rng(7), FULL_SIZE, hits) | {"group_time": 2.5}
        for algorithm, save_opt in (("ols", False), ("ols", True), ("likely", False), ("likely_joint", False)):
            for workers in ({}, {"maximum_cores": 2, "executor": "threads"}):
                options = {"algorithm": algorithm, "save_opt": save_opt} | workers
                found.append((keywords, options, (14.0, 5.5)))
    return found


def digest(plane: np.ndarray) -> str:
    """Return what tells arrays apart by their bits; all NaNs are one."""
    plane = np.ascontiguousarray(plane)
    if plane.dtype.kind == "f":
        plane = np.where(np.isnan(plane), plane.dtype.type(np.nan), plane)
    return hashlib.sha256(repr((plane.shape, plane.dtype)).encode() + plane.tobytes()).hexdigest()[:16]


def fit_all(exposures: int, *, full_size: bool) -> None:
    """Print the digests of all planes, a line for each exposure; the package is that on the path."""
    from rampfit_numba import Exposure, fit_ramps

    jobs = [(f"random {seed}", lambda seed=seed: random_exposure(seed)) for seed in range(exposures)]
    if full_size:
        jobs += [(f"full size {number}", lambda job=job: job) for number, job in enumerate(full_size_exposures())]
    for name, make in jobs:
        keywords, options, references = make()
        planes = {}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                fit = fit_ramps(Exposure(**keywords), *references, **options)
            except ValueError as error:  # what one checkout refuses, the other should, too
                sys.stdout.write(json.dumps([name, "refused", {"error": str(error)}]) + "\n")
                continue
        for kind in ("rate", "rateints", "fitopt"):
            found = getattr(fit, kind)
            planes |= {f"{kind}.{n}": digest(p) for n, p in vars(found).items() if p is not None} if found else {}
        if fit.groupdq is not None:
            planes["groupdq"] = digest(fit.groupdq)
        label = f"{options['algorithm']}{' save_opt' if options.get('save_opt') else ''}"
        sys.stdout.write(json.dumps([name, label, planes]) + "\n")


def run_in(
    checkout: Path,
    exposures: int,
    *,
    full_size: bool,
    settings: dict[str, str] | None = None,
    python: str = sys.executable,
) -> list[Any]:
    """Return what :func:`fit_all` prints with the package of `checkout`, with `settings` in the environment."""
    command = [python, __file__, "--fit", str(exposures), *(["--full-size"] if full_size else [])]
    environment = os.environ | {"PYTHONPATH": str(checkout)} | (settings or {})
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{checkout}: {done.stderr}")
    return [json.loads(line) for line in done.stdout.splitlines()]


def differences(old: list[Any], new: list[Any], left_out: list[str] | None = None) -> tuple[int, list[str]]:
    """Return the number of planes that two lists of :func:`run_in` have, and which of them differ."""
    number, differing = 0, []
    for (name, label, before), (_, _, after) in zip(old, new, strict=True):
        names = [plane for plane in before | after if plane.rpartition(".")[2] not in (left_out or [])]
        number += len(names)
        differing += [f"{name} ({label}): {plane}" for plane in names if before.get(plane) != after.get(plane)]
    return number, differing


def main() -> None:
    """Compare two checkouts."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkouts", nargs="*", type=Path, metavar="CHECKOUT")
    parser.add_argument("--exposures", type=int, default=2000)
    parser.add_argument("--full-size", action="store_true")
    parser.add_argument("--except", dest="left_out", nargs="*", default=[], metavar="PLANE")
    parser.add_argument("--fit", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.fit is not None:
        fit_all(arguments.fit, full_size=arguments.full_size)
        return
    old, new = (
        run_in(path.resolve(), arguments.exposures, full_size=arguments.full_size) for path in arguments.checkouts
    )
    counts = Counter(label for _, label, _ in old)
    counts["planes"], differing = differences(old, new, arguments.left_out)
    print(", ".join(f"{count} {label}" for label, count in sorted(counts.items())))
    print(f"{len(differing)} planes differ", *differing[:20], sep="\n  ")
    raise SystemExit(bool(differing))


if __name__ == "__main__":
    main()
