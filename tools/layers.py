#!/usr/bin/env python3
"""Checks the order of the modules.

layers.txt lists them, lowest first. A file includes only its own module and
lower ones, headers ending in _priv.h only from their own folder (and their
own tests), and no two headers include each other, however indirectly.

Usage: layers.py [ROOT]      prints FILE:LINE: MESSAGE, exits 1 if any
"""
import re
import sys
from pathlib import Path

INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*"([^"]+)"')
MODULE = re.compile(r'^([a-z][a-z0-9_]*)[ \t]+(pure|io)[ \t]+\S')
# These may use every module: they are above all of them.
ABOVE_ALL = ("sim", "tests", "bench")


class Layers:
    """The order of the modules and what is wrong with the tree."""

    def __init__(self, root):
        self.root = root
        self.order = {}
        self.pure = set()
        self.problems = []
        self.edges = {}  # header -> [(line, header)]

    def report(self, path, line, message):
        where = path.relative_to(self.root) if path.is_absolute() else path
        self.problems.append(f"{where}:{line}: {message}")

    def read_order(self):
        path = self.root / "layers.txt"
        for number, line in enumerate(path.read_text().splitlines(), 1):
            if not line.strip() or line.startswith("#"):
                continue
            match = MODULE.match(line)
            if not match:
                self.report(path, number, "expected: NAME pure|io WHAT FOR")
                continue
            name, kind = match.groups()
            if name in self.order:
                self.report(path, number,
                            f"{name} is listed twice: the order has a cycle")
            self.order.setdefault(name, len(self.order))
            if kind == "pure":
                self.pure.add(name)
        for folder in sorted((self.root / "src").iterdir()):
            if folder.is_dir() and folder.name not in self.order:
                self.report(folder, 1, "module is not in layers.txt")
        for name in self.order:
            if not (self.root / "src" / name).is_dir():
                self.report(path, 1, f"{name} has no folder in src/")

    def check_pure_order(self):
        """A pure module cannot be above one that does I/O."""
        impure = None
        for name in self.order:
            if name not in self.pure:
                impure = name
            elif impure:
                self.report(self.root / "layers.txt", 1,
                            f"{name} is pure but listed above {impure}")

    def check_meson(self):
        """meson.build repeats the order, because it links by it."""
        path = self.root / "meson.build"
        if not path.exists():
            return
        text = path.read_text()
        lists = {}
        for name in ("modules", "pure_modules"):
            match = re.search(rf"^{name} = \[(.*?)\]", text, re.S | re.M)
            lists[name] = re.findall(r"'(\w+)'", match[1]) if match else []
        ordered = [m for m in self.order if m != "app"]
        if lists["modules"] != ordered:
            self.report(path, 1, "`modules` differs from layers.txt")
        if lists["pure_modules"] != [m for m in ordered if m in self.pure]:
            self.report(path, 1, "`pure_modules` differs from layers.txt")

    def check_include(self, path, line, target):
        parts = path.relative_to(self.root).parts
        own = parts[1] if parts[0] == "src" else None
        if "/" not in target:
            if own:
                self.report(path, line, f'"{target}" lacks its module')
            return
        module, name = target.split("/", 1)
        if module in ABOVE_ALL:
            if own:
                self.report(path, line, f"src/ includes {module}/")
            return
        if module not in self.order:
            self.report(path, line, f'"{target}": no such module')
            return
        if own and self.order[module] > self.order[own]:
            self.report(path, line,
                        f"{own} includes {target}, which is above it")
        if name.endswith("_priv.h") and module not in parts[:-1]:
            self.report(path, line,
                        f"{target} is private to src/{module}/")

    def check_files(self):
        for top in ("src",) + ABOVE_ALL:
            for path in sorted((self.root / top).rglob("*.[ch]")):
                text = path.read_text(errors="replace")
                for number, line in enumerate(text.splitlines(), 1):
                    match = INCLUDE.match(line)
                    if not match:
                        continue
                    self.check_include(path, number, match[1])
                    if top == "src" and path.suffix == ".h":
                        here = str(path.relative_to(self.root / "src"))
                        self.edges.setdefault(here, []).append(
                            (number, match[1]))

    def check_cycles(self):
        """Depth first; a header met again on the way down closes a cycle."""
        done = set()

        def visit(header, trail):
            for line, target in self.edges.get(header, ()):
                if target in trail:
                    cycle = trail[trail.index(target):] + [target]
                    self.report(self.root / "src" / header, line,
                                "cycle: " + " -> ".join(cycle))
                elif target not in done:
                    visit(target, trail + [target])
            done.add(header)

        for header in sorted(self.edges):
            if header not in done:
                visit(header, [header])


def main():
    root = Path(sys.argv[1] if len(sys.argv) > 1 else ".").resolve()
    layers = Layers(root)
    layers.read_order()
    layers.check_pure_order()
    layers.check_meson()
    layers.check_files()
    layers.check_cycles()
    for problem in layers.problems:
        print(problem)
    return 1 if layers.problems else 0


if __name__ == "__main__":
    sys.exit(main())
