"""What the tree of an ASDF extension may ask for: nothing from outside, and no more than its own size.

A tree is a few lines of text that can name other files and addresses for its arrays, which the package asdf opens, and
that can repeat a part of itself, which is billions of values when parts are nested.
"""

from __future__ import annotations

from typing import Any

#: Nodes that a tree may have beside ten times those that it writes down.
_MOST_NODES = 1_000_000
_REPEATED = 10


def check_tree(content: bytes) -> None:
    """Refuse a tree that has arrays in other files, or that is far larger than its text.

    Raises
    ------
    ValueError
        The message says which.
    """
    import yaml

    text, _, _ = content.partition(b"\n...")
    loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    written = 0
    sizes: dict[str, int] = {}  # of the parts that have an anchor
    stack: list[_Node] = [_Node("", "")]
    for event in yaml.parse(text, Loader=loader):
        if isinstance(event, yaml.AliasEvent):
            # Within itself a part has no size yet: a cycle, which nothing that is looked for here can be.
            stack[-1].add(sizes.get(event.anchor, _MOST_NODES), "")
        elif isinstance(event, yaml.ScalarEvent):
            written += 1
            stack[-1].add(1, event.value)
            if event.anchor:
                sizes[event.anchor] = 1
        elif isinstance(event, yaml.CollectionStartEvent):
            written += 1
            stack.append(_Node(event.anchor or "", event.tag or "", mapping=isinstance(event, yaml.MappingStartEvent)))
        elif isinstance(event, yaml.CollectionEndEvent):
            node = stack.pop()
            stack[-1].add(node.size, "")
            if node.anchor:
                sizes[node.anchor] = node.size
    if stack[0].size > _REPEATED * written + _MOST_NODES:
        raise ValueError(f"its tree of {written} values stands for {stack[0].size:.1e}")


class _Node:
    """A mapping or a sequence, and the key in front of the value that comes next."""

    def __init__(self, anchor: str, tag: str, *, mapping: bool = False) -> None:
        self.anchor, self.size = anchor, 1
        self._array = "ndarray" in tag
        self._mapping = mapping
        self._key: str | None = None

    def add(self, size: int, value: str) -> None:
        """Add a part of so many nodes; `value` is its text, if it is a scalar."""
        self.size += size
        if not self._mapping:
            return
        if self._key is None:
            self._key = value
            return
        # A number is a block behind the tree; "fits:SCI,1" is an extension of this file: data models write that.
        inside = value.lstrip("-").isdecimal() or value.startswith("fits:")
        if self._array and self._key == "source" and not inside:
            raise ValueError(f"an array is said to stand elsewhere: {value[:60]!r}")
        self._key = None
