"""Check that every link inside the built site leads to a page and a place that exist.

python docs/check_links.py docs/_build/html
"""

from __future__ import annotations

import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit


class Page(HTMLParser):
    """The links, pictures and anchors of one page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.targets: list[str] = []
        self.anchors: set[str] = {""}
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note what leads somewhere, and what can be led to."""
        found = dict(attrs)
        for name in ("id", "name"):
            self.anchors.add(found.get(name) or "")
        for name in ("href", "src"):
            if found.get(name) and not (tag == "link" and found.get("rel") == "canonical"):
                self.targets.append(found[name] or "")


def main(folder: Path) -> int:
    """Print every broken link; return 1 where there is one."""
    pages = {
        path.resolve(): Page(path.read_text(encoding="utf-8"))
        for path in sorted(folder.rglob("*.html"))
        if "_static" not in path.parts
    }
    broken, count = [], 0
    for path, page in pages.items():
        for target in page.targets:
            parts = urlsplit(target)
            if parts.scheme or parts.netloc:
                continue
            count += 1
            other = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            if other.is_dir():
                other /= "index.html"
            if not other.exists():
                broken.append(f"{path.relative_to(folder.resolve())}: {target}: no such file")
            elif other in pages and unquote(parts.fragment) not in pages[other].anchors:
                broken.append(f"{path.relative_to(folder.resolve())}: {target}: no such place")
    print(*broken, sep="\n")
    print(f"{len(pages)} pages, {count} links inside, {len(broken)} broken")
    return 1 if broken or not pages else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
