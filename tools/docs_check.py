"""Check that every relative link in README.md and docs/*.md leads somewhere.

Standard library only.  A link may name a file, a folder, or a heading
(`page.md#heading`); links to other hosts are left alone.
"""

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

_FENCE = re.compile(r"^(```|~~~).*?^\1", re.MULTILINE | re.DOTALL)
_CODE = re.compile(r"`[^`\n]*`")
_LINK = re.compile(r"\]\(<?([^)\s>]+)>?(?:\s[^)]*)?\)|^\[[^\]]+\]:\s*(\S+)", re.MULTILINE)
_HEADING = re.compile(r"^#{1,6}\s+(.*?)\s*#*$", re.MULTILINE)
_ELSEWHERE = re.compile(r"[a-z][a-z0-9+.-]*:|//", re.IGNORECASE)


def main(root: Path) -> int:
    """Print each broken link; return the exit code."""
    pages = (root / "README.md", *sorted(root.glob("docs/**/*.md")))
    broken = [line for page in pages if page.is_file() for line in broken_links(page, root)]
    for line in broken:
        print(line)
    print(f"docs: {len(broken)} broken" if broken else "docs: ok")
    return 1 if broken else 0


def broken_links(page: Path, root: Path) -> Iterator[str]:
    """Yield `file:line: link` for each link of a page that leads nowhere."""
    text = _blank_code(page.read_text(encoding="utf-8"))
    for match in _LINK.finditer(text):
        target = match.group(1) or match.group(2)
        if not _ELSEWHERE.match(target) and not _resolves(page, target, root):
            line = text.count("\n", 0, match.start()) + 1
            yield f"{page.relative_to(root)}:{line}: {target}"


def _blank_code(text: str) -> str:
    # Line breaks stay, so that line numbers do.
    text = _FENCE.sub(lambda m: "\n" * m.group().count("\n"), text)
    return _CODE.sub("", text)


def _resolves(page: Path, target: str, root: Path) -> bool:
    name, _, heading = unquote(target).partition("#")
    path = (page.parent / name).resolve() if name else page
    if not path.exists() or not path.is_relative_to(root):
        return False
    return not heading or path.suffix != ".md" or heading in _slugs(path)


def _slugs(page: Path) -> set[str]:
    """Return the names that headings get on the usual code hosts."""
    text = _FENCE.sub("", page.read_text(encoding="utf-8"))
    found: set[str] = set()
    for heading in _HEADING.findall(text):
        words = re.sub(r"[^\w\- ]", "", re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).lower())
        slug, number = words.replace(" ", "-"), 0
        while (name := f"{slug}-{number}" if number else slug) in found:
            number += 1
        found.add(name)
    return found


if __name__ == "__main__":
    sys.exit(main(Path(__file__).resolve().parent.parent))
