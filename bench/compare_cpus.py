"""Compare every plane of results between kinds of processors, bit for bit.

    python bench/compare_cpus.py [--exposures 60] [--kinds this AVX2 SSE2] [--python AArch64=PATH]

Each kind fits the same random exposures, of all algorithms, in a process for which Numba compiles for that kind. This
processor must have its instructions: without AVX-512, that kind is left out, which is said. --python takes the Python
of another kind of machine, under emulation, say: bench/aarch64.sh makes one.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from compare_checkouts import differences, run_in

#: Names of processors and features as LLVM has them; features that stand in none are not used.
KINDS = {
    "this": {},
    "AVX-512": {
        "NUMBA_CPU_NAME": "skylake-avx512",
        "NUMBA_CPU_FEATURES": "+avx512f,+avx512bw,+avx512cd,+avx512dq,+avx512vl,+avx2,+avx,+fma,+f16c,+bmi,+bmi2",
    },
    "AVX2": {"NUMBA_CPU_NAME": "haswell", "NUMBA_CPU_FEATURES": "+avx2,+avx,+fma,+f16c,+bmi,+bmi2"},
    "SSE2": {"NUMBA_CPU_NAME": "x86-64", "NUMBA_CPU_FEATURES": "+sse2"},
}
ROOT = Path(__file__).resolve().parent.parent


def can_run(kind: str) -> bool:
    """Tell whether this processor has the instructions of a kind."""
    from llvmlite import binding

    here = binding.get_host_cpu_features()
    wanted = KINDS[kind].get("NUMBA_CPU_FEATURES", "").replace("+", "")
    return all(here.get(feature, False) for feature in filter(None, wanted.split(",")))


def main() -> None:
    """Fit with every kind, and compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--exposures", type=int, default=60)
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=list(KINDS))
    parser.add_argument(
        "--python",
        action="append",
        default=[],
        metavar="NAME=PATH",
        help="a Python that has the package's dependencies",
    )
    arguments = parser.parse_args()
    found = {}
    for kind in arguments.kinds:
        if can_run(kind):
            found[kind] = run_in(ROOT, arguments.exposures, full_size=False, settings=KINDS[kind])
        else:
            print(f"{kind}: left out, this processor lacks its instructions")
    for name, _, python in (text.partition("=") for text in arguments.python):
        found[name] = run_in(ROOT, arguments.exposures, full_size=False, python=python)
    if len(found) < 2:  # noqa: PLR2004
        sys.exit("nothing to compare with")
    (first, wanted), *others = found.items()
    failed = False
    for kind, fits in others:
        planes, differing = differences(wanted, fits)
        print(f"{kind} against {first}: {len(wanted)} exposures, {planes} planes, {len(differing)} differ")
        print(*differing[:20], sep="\n")
        failed |= bool(differing)
    sys.exit(failed)


if __name__ == "__main__":
    main()
