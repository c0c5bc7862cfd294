"""Try mutants of files: ``python -m tests.fuzz --mutants 20000``."""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from tests.fuzz.trials import roman_seeds, seeds, try_mutants


def main() -> int:
    """Print what is found, and how many were refused or read as the judges read them; return 1 if anything is."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--mutants", type=int, default=20_000, help="how many (default: %(default)s)")
    parser.add_argument("--first", type=int, default=0, help="number of the first one (default: %(default)s)")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="write the mutants that were found there")
    parser.add_argument("--no-roman", action="store_true", help="without the files that need the extra roman")
    given = parser.parse_args()
    counts: Counter[str] = Counter()
    found, start = 0, time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        files = seeds(Path(folder)) + ([] if given.no_roman else roman_seeds(Path(folder)))
    for finding in try_mutants(files, range(given.first, given.first + given.mutants), counts):
        found += 1
        say(f"mutant {finding.number} ({finding.kind}): {finding.complaint[:300]}")
        if given.keep:
            given.keep.mkdir(exist_ok=True)
            seed = files[finding.number % len(files)]
            (given.keep / f"mutant_{finding.number}{seed.ending}").write_bytes(seed.mutant(finding.number))
    for outcome, count in sorted(counts.items()):
        say(f"{outcome:22} {count:7}")
    say(f"{found} findings among {given.mutants} mutants, {time.perf_counter() - start:.0f} s")
    return 1 if found else 0


def say(line: str) -> None:
    """Print a line at once."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
