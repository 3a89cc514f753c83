#!/usr/bin/env python3
"""Checks that what the pages name is there: the targets of links, files and
folders of the tree, and options of the configuration.

Usage: tools/links.py [ROOT]        prints FILE:LINE: MESSAGE, exits 1 if any

Read are *.md and the sources of the manual pages (*.scd). In a page, a path
counts from the page's own folder in a link, and from the top of the tree in
`quotes`; a bare `name.c` may be in any folder of the sources. `A*` stands for
some file, what has CAPITALS for anything.
"""
import os
import re
import sys
from pathlib import Path

SKIPPED = re.compile(r"^(?:build.*|run|dist|\.git|\.cache|node_modules)$")
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
QUOTED = re.compile(r"`([^`\n]+)`")
# An option as it stands in a sentence: `executor.max_running`.
OPTION = re.compile(r"^([a-z_]+(?:\.[a-z_-]+)+)(?::.*)?$")
SOURCE = re.compile(r"^[\w-]+\.(?:c|h|py|sh)$")
SAMPLE = "contrib/config.yaml.example"


def pages(root):
    for folder, folders, names in os.walk(root):
        folders[:] = sorted(f for f in folders if not SKIPPED.match(f))
        for name in sorted(names):
            if name.endswith((".md", ".scd")):
                yield Path(folder) / name


def slug(title):
    """The anchor of a heading, as the forges make it."""
    title = re.sub(r"[`*]", "", title).strip().lower()
    return re.sub(r" ", "-", re.sub(r"[^\w\- ]", "", title))


def anchors(page):
    return {slug(line.lstrip("#")) for line in
            page.read_text(encoding="utf-8").splitlines()
            if re.match(r"#+ ", line)}


def options(root):
    """Every option and section of the sample file, dotted."""
    found, path = set(), []
    sample = root / SAMPLE
    if not sample.exists():
        return found
    for line in sample.read_text(encoding="utf-8").splitlines():
        # One that is not set stands behind a "#" at the first column.
        m = re.match(r"^#?( *)([a-z][a-z_-]*):(?: |$)", line)
        if m:
            path[len(m[1]) // 2:] = [m[2]]
            found.add(".".join(path))
    return found


class Tree:
    def __init__(self, root):
        self.root = root
        self.options = options(root)
        self.sections = {o.split(".")[0] for o in self.options}
        self.tops = {p.name for p in root.iterdir()
                     if p.is_dir() and not SKIPPED.match(p.name)}
        self.names = set()
        for folder, folders, names in os.walk(root):
            folders[:] = [f for f in folders if not SKIPPED.match(f)]
            self.names.update(names)

    def link(self, page, target):
        path, _, anchor = target.partition("#")
        if re.match(r"[a-z]+:", target):
            return None
        to = page if path == "" else page.parent / path
        if not to.exists():
            return f"links to {path}, which is not there"
        if anchor and to.suffix == ".md" and anchor not in anchors(to):
            return f"links to {target}, which has no such heading"
        return None

    def quoted(self, text):
        word = re.split(r"[\s(]", text)[0].rstrip("/,")
        if re.search(r"[A-Z<>$@{}…]", word):
            return None
        if SOURCE.match(word):
            return None if word in self.names else f"names {word}: no such file"
        if word.split("/")[0] in self.tops and "/" in word:
            for start in (self.root, self.root / "src"):
                # With ".c" behind it: a program is built from that.
                if any(start.glob(word)) or any(start.glob(word + ".c")):
                    return None
            return f"names {word}, which is not there"
        m = OPTION.match(text)
        if m and m[1].split(".")[0] in self.sections \
                and not re.search(r"\.(?:c|h|py|md|db|yaml|key|json|git)$", m[1]) \
                and m[1] not in self.options:
            return f"names {m[1]}, which is no option"
        return None


def check(tree, page):
    text = page.read_text(encoding="utf-8")
    for number, line in enumerate(text.splitlines(), 1):
        for target in LINK.findall(line):
            yield number, tree.link(page, target)
        for quoted in QUOTED.findall(line):
            yield number, tree.quoted(quoted)


def main():
    root = Path(sys.argv[1] if len(sys.argv) > 1 else ".").resolve()
    tree = Tree(root)
    bad = 0
    for page in pages(root):
        for number, message in check(tree, page):
            if message:
                print(f"{page.relative_to(root)}:{number}: {message}")
                bad = 1
    return bad


if __name__ == "__main__":
    sys.exit(main())
