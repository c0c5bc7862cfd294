"""What a file or an extension of ASDF may ask for: nothing from outside, and no more than its own size.

A tree is a few lines of text that can name other files and addresses for its arrays, which the package asdf opens, that
can repeat a part of itself, which is billions of values when parts are nested, and that can see more in a block of data
than is in it. The blocks behind it say how long they are, and asdf reads so far, also beyond the end of the file.
"""

from __future__ import annotations

import io
import os
import re
import struct
import warnings
from contextlib import contextmanager
from math import prod
from typing import TYPE_CHECKING, Any, BinaryIO

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType

#: Nodes that a tree may have beside ten times those that it writes down.
_MOST_NODES = 1_000_000
_REPEATED = 10
_PIECE = 1 << 16
_END = re.compile(rb"\r?\n\.\.\.(\r?\n|\Z)")
_MAGIC = b"\xd3BLK"
#: Magic, length of what follows, flags, compression, bytes that are kept free, used, and there when decompressed.
_BLOCK = struct.Struct(">4sHI4sQQQ")
_BEFORE = 6  # bytes that do not count as what follows
_STREAMED = 1
_INDEX = re.compile(rb"#ASDF BLOCK INDEX\r?\n(%YAML 1\.\d\r?\n)?---\s+((-\s+\d+\s+)*|\[[\d\s,]*\]\s+)\.\.\.(\r?\n)?\0*")
#: Bytes that an index may have, and for each block.
_INDEX_BYTES, _ENTRY_BYTES = 8192, 64


class RefusedError(ValueError):
    """What a tree or a block asks for is more than a file may."""


@contextmanager
def asdf_alone() -> Iterator[ModuleType]:
    """Give the package asdf without what other packages add to it: no code of theirs works on what a file holds.

    Raises
    ------
    ImportError
        It is not installed.
    """
    import asdf

    with asdf.config_context() as config, warnings.catch_warnings():
        for extension in list(config.extensions):
            if extension.package_name != "asdf":
                config.remove_extension(extension)
        config.validate_on_read = False
        warnings.simplefilter("ignore", asdf.exceptions.AsdfWarning)
        yield asdf


def check_asdf(file: BinaryIO) -> None:
    """Refuse what opens other files, is far larger than its text, or has blocks that are not whole.

    Raises
    ------
    RefusedError
        The message says which.
    Exception
        Of the packages yaml and asdf: the tree is no YAML.
    """
    tree, end = _tree(file)
    _check_size(tree)
    _check_nodes(tree)
    _check_blocks(file, end)


def _tree(file: BinaryIO) -> tuple[bytes, int]:
    """Return the text of the tree, and where it ends."""
    text = bytearray()
    while piece := file.read(_PIECE):
        before = max(len(text) - len(b"\r\n...\r\n"), 0)
        text += piece
        found = _END.search(text, before)
        # At the end of a piece more may follow.
        if found and (found.end() < len(text) or len(piece) < _PIECE):
            return bytes(text[: found.start()]), found.end()
    return bytes(text), len(text)


def _check_size(tree: bytes) -> None:
    import yaml

    loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    written = 0
    sizes: dict[str, int] = {}  # of the parts that have an anchor
    parts: list[tuple[str, int]] = [("", 0)]
    for event in yaml.parse(tree, Loader=loader):
        size = 0
        if isinstance(event, yaml.AliasEvent):
            # Within itself a part has no size yet: a cycle, which nothing that is looked for here can be.
            size = sizes.get(event.anchor, _REPEATED * len(tree) + _MOST_NODES)
        elif isinstance(event, yaml.ScalarEvent):
            written += 1
            size = 1
            if event.anchor:
                sizes[event.anchor] = size
        elif isinstance(event, yaml.CollectionStartEvent):
            written += 1
            parts.append((event.anchor or "", 1))
        elif isinstance(event, yaml.CollectionEndEvent):
            anchor, size = parts.pop()
            if anchor:
                sizes[anchor] = size
        parts[-1] = parts[-1][0], parts[-1][1] + size
    nodes = parts[0][1]
    if nodes > _REPEATED * written + _MOST_NODES:
        raise RefusedError(f"its tree of {written} values stands for {nodes:.1e}")


def _check_nodes(tree: bytes) -> None:
    """Look at the tree as asdf will see it, with aliases and merged mappings where they belong."""
    import asdf

    pending, seen = [asdf.util.load_yaml(io.BytesIO(tree + b"\n...\n"), tagged=True)], set()
    while pending:
        node = pending.pop()
        if not isinstance(node, dict | list) or id(node) in seen:
            continue
        seen.add(id(node))
        pending.extend(node.values() if isinstance(node, dict) else node)
        if isinstance(node, dict):
            _check_node(node)


def _check_node(node: dict[Any, Any]) -> None:
    array = "ndarray" in (getattr(node, "_tag", "") or "") or "datatype" in node or "shape" in node
    where = node.get("$ref", node.get("source") if array else None)
    # A number is a block behind the tree; "fits:SCI,1" is an extension of this file: data models write that.
    if "$ref" in node or (isinstance(where, str) and not where.startswith("fits:")):
        raise RefusedError(f"refers to another file ({str(where)[:200]!r}), which is not opened")
    shape, strides = node.get("shape"), node.get("strides")
    if array and isinstance(shape, list) and isinstance(strides, list):
        numbers = [number for number in (*shape, *strides) if isinstance(number, int)]
        if len(numbers) < len(shape) + len(strides) or len(shape) != len(strides) or min(shape, default=0) < 0:
            raise RefusedError(f"an array of shape {shape} has the strides {strides}")
        span = sum((count - 1) * abs(stride) for count, stride in zip(shape, strides, strict=True)) + 1
        if prod(shape) > max(span, 0):
            raise RefusedError(f"an array of shape {shape} stands in {span} bytes")


def _check_blocks(file: BinaryIO, begin: int) -> None:
    """Refuse blocks that go beyond the end of the file, and an index of them that is another."""
    size = file.seek(0, os.SEEK_END)
    place = _find(file, _MAGIC, begin)
    places: list[int] = []
    while place is not None:
        file.seek(place)
        head = file.read(_BLOCK.size)
        if not head.startswith(_MAGIC):
            break
        places.append(place)
        if len(head) < _BLOCK.size:
            raise RefusedError(f"ended early: within the block of data at byte {place}")
        _, length, flags, _, kept, used, _ = _BLOCK.unpack(head)
        end = place + _BEFORE + length + kept
        if flags & _STREAMED:
            raise RefusedError(f"its block of data at byte {place} is a stream, without an end")
        if end > size:
            raise RefusedError(f"ended early: its block of data at byte {place} ends at byte {end}, the file at {size}")
        if used > kept:
            raise RefusedError(f"its block of data at byte {place} is damaged: {used} bytes in {kept}")
        place = end
    if place is not None:
        _check_rest(file, place, size, places)


def _check_rest(file: BinaryIO, place: int, size: int, places: list[int]) -> None:
    file.seek(place)
    most = _INDEX_BYTES + _ENTRY_BYTES * len(places)
    rest = file.read(most)
    found = _INDEX.fullmatch(rest)
    same = found and re.findall(rb"\d+", found.group(2)) == [b"%d" % start for start in places]
    if place + most < size or not (same or not rest.strip(b"\0")):
        raise RefusedError(f"what follows its blocks of data, at byte {place}, is neither a block nor their index")


def _find(file: BinaryIO, what: bytes, begin: int) -> int | None:
    """Return where bytes stand for the first time from `begin` on."""
    file.seek(begin)
    tail, place = b"", begin
    while piece := file.read(_PIECE):
        found = (tail + piece).find(what)
        if found >= 0:
            return place - len(tail) + found
        place += len(piece)
        tail = (tail + piece)[-(len(what) - 1) :]
    return None
