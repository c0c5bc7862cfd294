#!/usr/bin/env bash
# A Python for AArch64 that runs on an x86-64 machine, under emulation, and the comparison of its bits with this machine's:
#
#   bash bench/aarch64.sh FOLDER [options of compare_cpus.py]
#
# FOLDER, which need not exist, takes the emulated system (300 MB): Debian's packages, unpacked and not installed, and
# wheels of the package's dependencies. Needed here: Debian or Ubuntu with debootstrap and qemu-user-static, uv, and a
# Python with the package's own dependencies in the same versions. FOLDER/python then is a Python like any other:
# `FOLDER/python -m rampfit_numba.cli demo` in this folder.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
mkdir -p "$1"
folder=$(cd "$1" && pwd)
shift

if [ ! -e "$folder/root/usr/bin/python3.11" ]; then
    debootstrap --arch=arm64 --foreign --variant=minbase --include=python3,python3-distutils,libexpat1 bookworm "$folder/root"
    for package in "$folder"/root/var/cache/apt/archives/*.deb; do
        dpkg -x "$package" "$folder/root"  # no script of a package is run: that would need the rights of the machine
    done
fi
# Versions as here: other ones of NumPy or of Numba's compiler might round otherwise.
versions=$(python -c '
from importlib.metadata import version
print(*(f"{name}=={version(name)}" for name in ("numpy", "numba", "llvmlite", "astropy", "loky", "psutil", "tqdm")))')
# shellcheck disable=SC2086  # words
uv pip install --quiet --target "$folder/site" --python-platform aarch64-manylinux_2_28 --python-version 3.11 \
    --only-binary :all: $versions

cat >"$folder/python" <<PYTHON
#!/bin/sh
# -0: Python takes this script for itself, so that worker processes are emulated, too.
export PYTHONHOME="$folder/root/usr" PYTHONPATH="$folder/site:$here\${PYTHONPATH:+:\$PYTHONPATH}"
exec qemu-aarch64-static -L "$folder/root" -0 "\$0" "$folder/root/usr/bin/python3.11" "\$@"
PYTHON
chmod +x "$folder/python"
python "$here/bench/compare_cpus.py" --kinds this --python "AArch64=$folder/python" "$@"
