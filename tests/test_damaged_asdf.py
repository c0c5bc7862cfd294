"""Files and extensions of ASDF that ask for more than a file may: other files, or more than is in them."""

from __future__ import annotations

import io
import struct
import sys

import numpy as np
import pytest

from rampfit_numba import RampFileError, read_exposure, read_roman
from rampfit_numba.io.asdf_trees import RefusedError, check_asdf
from rampfit_numba.io.roman import plain_asdf
from rampfit_numba.simulate.roman import simulate_roman, write_roman_simulation
from tests.make_files import asdf_hdu, ramp_hdulist, save

pytest.importorskip("asdf")
pytest.importorskip("lz4")

HEAD = "#ASDF 1.0.0\n#ASDF_STANDARD 1.5.0\n%YAML 1.1\n%TAG ! tag:stsci.edu:asdf/\n--- !core/asdf-1.1.0\n"
ARRAY = "!core/ndarray-1.0.0"
LAUGHS = "".join(f"a{i}: &a{i} [{','.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 9))
MERGES = "".join(f"a{i}: &a{i} {{<<: [{','.join([f'*a{i - 1}'] * 9)}]}}\n" for i in range(1, 9))


def checked(tree, blocks=b""):
    check_asdf(io.BytesIO(f"{HEAD}{tree}\n...\n".encode() + blocks))


# ------------------------------------------------------------------------------------------------- nothing from outside
@pytest.mark.parametrize(
    "tree",
    [
        "x: {$ref: 'PLACE#/x'}",
        "x: [1, [2, {$ref: 'PLACE'}]]",
        f"x: {ARRAY} {{source: 'PLACE', datatype: float64, shape: [5]}}",
        f"x: {ARRAY} {{<<: &a {{source: 'PLACE'}}, datatype: float64, shape: [5]}}",
        f"k: &k source\nx: {ARRAY} {{*k : 'PLACE', datatype: float64, shape: [5]}}",
        f"k: &k 'PLACE'\nx: {ARRAY} {{source: *k, datatype: float64, shape: [5]}}",
        "x: !core/ndarr%61y-1.0.0 {source: 'PLACE', shape: [5]}",
        "x: !<tag:stsci.edu:asdf/core/ndarray-1.1.0> {source: 'PLACE'}",
        "x: {source: 'PLACE', datatype: float64, shape: [5]}",
    ],
)
@pytest.mark.parametrize("place", ["file:///etc/passwd", "http://127.0.0.1:9/x.asdf", "../other.asdf"])
def test_a_place_elsewhere_is_refused_however_it_is_written(tree, place):
    with pytest.raises(RefusedError, match=rf"^refers to another file \('{place}"):
        checked(tree.replace("PLACE", place))


def test_a_reference_in_read_times_is_not_followed(tmp_path):
    hdulist = ramp_hdulist((2, 5, 6, 7))
    hdulist.append(asdf_hdu("meta: {exposure: {read_times: {$ref: 'http://127.0.0.1:9/x.asdf#/x'}}}\n"))
    save(hdulist, tmp_path / "x.fits")
    with pytest.raises(RampFileError, match=r"refers to another file \('http://127.0.0.1:9/x.asdf#/x'\)"):
        read_exposure(tmp_path / "x.fits")


@pytest.mark.parametrize("read", [read_exposure, read_roman])
@pytest.mark.parametrize("tag", ["object/apply:os.mkdir", "object/new:os.mkdir", "name:os.mkdir", "module:antigravity"])
def test_no_tag_calls_anything(tmp_path, read, tag):
    tree = f"harm: !!python/{tag} ['{tmp_path}/made']\n"
    before = set(sys.modules)
    if read is read_roman:
        path = tmp_path / "x.asdf"
        path.write_text(f"{HEAD}{tree}roman: {{data: 1}}\n...\n", encoding="utf-8")
        with pytest.raises(RampFileError, match=r"x\.asdf: "):
            read(path)
    else:
        hdulist = ramp_hdulist((2, 5, 6, 7))
        hdulist.append(asdf_hdu(tree + "meta: {exposure: {read_times: [[1.5], [4.5], [7.5], [10.5], [13.5]]}}\n"))
        assert read(save(hdulist, tmp_path / "x.fits")).read_times[0] == (1.5,)
    assert not (tmp_path / "made").exists()
    assert "antigravity" not in set(sys.modules) - before


@pytest.mark.parametrize("times", ["'12345'", "!!binary AQIDBAU=", "!!set {1.0, 2.0, 3.0, 4.0, 5.0}", "{1: 1, 2: 2}"])
def test_what_python_could_take_for_a_list_is_no_list_of_times(tmp_path, times):
    hdulist = ramp_hdulist((2, 5, 6, 7))
    hdulist.append(asdf_hdu(f"meta: {{exposure: {{read_times: {times}}}}}\n"))
    save(hdulist, tmp_path / "x.fits")
    with pytest.raises(RampFileError, match="expected numbers of seconds"):
        read_exposure(tmp_path / "x.fits")


# ------------------------------------------------------------------------------------------ no more than their own size
@pytest.mark.parametrize(
    "tree",
    [
        "a0: &a0 [1,2,3,4,5,6,7,8,9]\n" + LAUGHS,
        "a0: &a0 {" + ", ".join(f"k{i}: {i}" for i in range(9)) + "}\n" + MERGES,
        "x: &a [1, *a]",
    ],
    ids=["nested", "merged", "itself"],
)
def test_a_tree_without_end_is_refused_in_files_of_roman_too(tmp_path, tree):
    (tmp_path / "x.asdf").write_text(f"{HEAD}{tree}\nroman: {{data: 1}}\n...\n", encoding="utf-8")
    with pytest.raises(RampFileError, match=r"x\.asdf: its tree of \d+ values stands for"):
        read_roman(tmp_path / "x.asdf")


@pytest.mark.parametrize(
    ("shape", "strides", "fits"),
    [
        ("[9, 9, 9]", "[324, 36, 4]", True),
        ("[3, 9]", "[72, -8]", True),
        ("[0, 9]", "[36, 4]", True),
        ("[1000000, 1000000]", "[0, 0]", False),
        ("[1000, 1000, 1000]", "[4, 4, 4]", False),
        ("[9]", "[4, 4]", False),
        ("[-9]", "[4]", False),
        ("[9]", "['x']", False),
    ],
)
def test_an_array_holds_what_is_there(shape, strides, fits):
    tree = f"x: {ARRAY} {{source: 0, datatype: float32, byteorder: little, shape: {shape}, strides: {strides}}}"
    if fits:
        checked(tree)
    else:
        with pytest.raises(RefusedError, match="an array of shape"):
            checked(tree)


def block(content=b"12345678", *, kept=None, used=None, flags=0):
    used = len(content) if used is None else used
    sizes = used if kept is None else kept, used, len(content)
    return b"\xd3BLK" + struct.pack(">HI4sQQQ16s", 48, flags, bytes(4), *sizes, bytes(16)) + content


@pytest.mark.parametrize(
    ("blocks", "complaint"),
    [
        (block(kept=10**18, used=10**18), r"ended early: its block of data at byte \d+ ends at byte \d+, the file at"),
        (block(kept=9), "ended early: its block of data"),
        (block(used=9, kept=8), "is damaged: 9 bytes in 8"),
        (block(flags=1), "is a stream"),
        (block() + b"\xd3BLK\0", "ended early: within the block"),
        (block() + b"\xd3BLJ" + bytes(60), "is neither a block nor their index"),
        (block() + b"#ASDF BLOCK INDEX\n%YAML 1.1\n---\n- 7\n...\n", "is neither a block nor their index"),
        (block() + bytes(10**5) + b"#ASDF BLOCK INDEX\n%YAML 1.1\n---\n- 7\n...\n", "neither a block nor their index"),
    ],
)
def test_blocks_that_are_not_whole_are_refused(blocks, complaint):
    """Asdf reads nothing for as long as the length of a block says."""
    with pytest.raises(RefusedError, match=complaint):
        checked("x: 1", blocks)


@pytest.mark.parametrize("style", ["- {}\n- {}\n", "[{}, {}]\n", "[{},\n  {}]\n"])
def test_an_index_of_the_blocks_in_any_style_is_read(style):
    start = len(HEAD) + len("x: 1\n...\n")
    index = style.format(start, start + len(block()))
    checked("x: 1", block() + block() + f"#ASDF BLOCK INDEX\n%YAML 1.1\n---\n{index}...\n".encode())


@pytest.mark.parametrize("compression", [None, "lz4", "zlib", "bzp2"])
def test_files_that_asdf_writes_are_sound(tmp_path, compression):
    images = {f"image{number}": np.full((50, 60), number, np.float32) for number in range(5)}
    images["part"] = images["image0"][::2, ::-3]
    with plain_asdf() as asdf:
        asdf.AsdfFile(images).write_to(tmp_path / "x.asdf", all_array_compression=compression, pad_blocks=True)
    with (tmp_path / "x.asdf").open("rb") as file:
        check_asdf(file)


def test_a_block_that_claims_more_than_the_file_costs_no_time(tmp_path):
    path = write_roman_simulation(simulate_roman(3, 16, 20, seed=5), tmp_path / "r1_linearity.asdf")[0]
    content = bytearray(path.read_bytes())
    start = content.index(b"\xd3BLK")
    content[start + 14 : start + 30] = struct.pack(">QQ", 2**60, 2**60)
    (tmp_path / "x.asdf").write_bytes(content)
    with pytest.raises(RampFileError, match=r"x\.asdf: ended early: its block of data at byte \d+ ends at byte"):
        read_roman(tmp_path / "x.asdf")
