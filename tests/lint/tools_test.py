#!/usr/bin/env python3
"""Plants what the lint tools have to find in a small tree and looks whether
they do. Prints TAP.

Usage: tools_test.py ROOT
"""
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(sys.argv[1])

HEADER = """/* What it is for. */
#pragma once

/* What it does. */
int low_answer(int question);
"""
SOURCE = """#include "low/low.h"

int low_answer(int question)
{
    return question + 1;
}
"""
LAYERS = """# Lowest first.
low   pure   the lower one
high  io     the upper one
"""


class Tree:
    """A project of two modules that all tools are content with."""

    def __init__(self, folder):
        self.root = Path(folder)
        self.write("layers.txt", LAYERS)
        self.write("src/low/low.h", HEADER)
        self.write("src/low/low.c", SOURCE)
        self.write("src/high/high.h", HEADER.replace("low", "high"))
        self.write("src/high/high.c", SOURCE.replace("low", "high"))

    def write(self, name, text):
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def change(self, name, old, new):
        path = self.root / name
        text = path.read_text()
        assert old in text, f"{old!r} is not in {name}"
        path.write_text(text.replace(old, new, 1))

    def run(self, tool, *args):
        done = subprocess.run([ROOT / "tools" / tool, *args], cwd=self.root,
                              capture_output=True, text=True, check=False)
        return done.returncode, done.stdout + done.stderr


def body(lines):
    return "int low_long(void)\n{\n" + "    ;\n" * (lines - 4) + \
        "    return 0;\n}\n"


NESTED = """
int low_deep(int n)
{
    if (n) {
        while (n) {
            do {
                switch (n) {
                case 1: %s
                }
            } while (n);
        }
    }
    return (struct { int a; }){ n }.a;
}
"""


def plant(name, old, new):
    return lambda tree: tree.change(name, old, new)


def add(name, text):
    return lambda tree: tree.write(name, text)


def more(name, text):
    return lambda tree: tree.write(
        name, (tree.root / name).read_text() + text)


# tool, what is planted, what it has to say ("" for: nothing)
PLANTED = [
    ("layers.py", lambda tree: None, ""),
    ("layers.py", plant("src/low/low.c", '"low/low.h"', '"high/high.h"'),
     "src/low/low.c:1: low includes high/high.h, which is above it"),
    ("layers.py", plant("src/low/low.c", '"low/low.h"', '  "high/high.h"'),
     "which is above it"),
    ("layers.py", plant("src/high/high.c", "int", '#include "low/low.h"\nint'),
     ""),
    ("layers.py", plant("src/low/low.c", '"low/low.h"', '"low.h"'),
     "lacks its module"),
    ("layers.py", plant("src/low/low.c", '"low/low.h"', '"gone/x.h"'),
     "no such module"),
    ("layers.py", plant("src/low/low.c", '"low/low.h"', '"sim/sim.h"'),
     "src/ includes sim/"),
    ("layers.py", add("src/high/a.c", '#include "low/x_priv.h"\n'),
     "src/high/a.c:1: low/x_priv.h is private to src/low/"),
    ("layers.py", add("tests/unit/low/a.c", '#include "low/x_priv.h"\n'), ""),
    ("layers.py", add("tests/unit/high/a.c", '#include "low/x_priv.h"\n'),
     "is private"),
    ("layers.py", add("src/new/a.c", ""), "module is not in layers.txt"),
    ("layers.py", plant("layers.txt", "high  io", "high  wet"),
     "layers.txt:3: expected"),
    ("layers.py", plant("layers.txt", "high  io", "low   io"),
     "listed twice: the order has a cycle"),
    ("layers.py", plant("layers.txt", "low   pure", "low   io"), ""),
    ("layers.py", add("layers.txt", "high io x\nlow pure x\n"),
     "low is pure but listed above high"),
    ("layers.py", add("meson.build", "modules = ['high', 'low']\n"
                      "pure_modules = ['low']\n"),
     "meson.build:1: `modules` differs"),
    ("layers.py", lambda tree: (
        tree.change("src/low/low.h", "int", '#include "low/b.h"\nint'),
        tree.write("src/low/b.h", '#include "low/low.h"\n')),
     "cycle: low/b.h -> low/low.h -> low/b.h"),

    ("tidy.py", lambda tree: None, ""),
    ("tidy.py", more("src/low/low.c", "/* " + "x" * 74 + " */\n"), ""),
    ("tidy.py", more("src/low/low.c", "/* " + "x" * 75 + " */\n"),
     "src/low/low.c:7: 81 columns"),
    ("tidy.py", more("src/low/low.c", "/* " + "ü" * 74 + " */\n"), ""),
    ("tidy.py", more("src/low/low.c", "// no\n"), "// comment"),
    ("tidy.py", add("sim/far.h", "#pragma once\n" + 300 * "/* a */\n"), ""),
    ("tidy.py", add("src/low/far.h", "#pragma once\n" + 300 * "/* a */\n"),
     "301 lines, at most 260"),
    ("tidy.py", more("src/low/low.c", '/* https://a */ static char *a = '
                     '"//";\n'), ""),
    ("tidy.py", more("src/low/low.c", "int low_a; \n"), "blanks at the end"),
    ("tidy.py", more("src/low/low.c", "\tint a;\n"), "a tab"),
    ("tidy.py", more("src/low/low.c", "/* TO" "DO: later */\n"),
     "unfinished"),
    ("tidy.py", more("src/low/low.c", body(70)), ""),
    ("tidy.py", more("src/low/low.c", body(71)),
     "low_long has 71 lines, at most 70"),
    ("tidy.py", more("src/low/low.c", NESTED % "break;"), ""),
    ("tidy.py", more("src/low/low.c", NESTED % "for (;;) { n++; }"),
     "low_deep nests 5 deep"),
    ("tidy.py", more("src/low/low.c",
                     "int low_f(int a, int b, int c, int d, int e,\n"
                     "          int (*f)(int, int))\n{\n}\n"), ""),
    ("tidy.py", more("src/low/low.c",
                     "int low_f(int a, int b, int c, int d, int e, int f,\n"
                     "          int g)\n{\n}\n"), "low_f has 7 parameters"),
    ("tidy.py", more("src/low/low.c", "int stray(void)\n{\n}\n"),
     "stray does not begin with its module"),
    ("tidy.py", more("src/low/low.c", "static int stray(void)\n{\n}\n"), ""),
    ("tidy.py", more("src/low/low.c", "int lowly(void)\n{\n}\n"),
     "lowly does not begin with its module"),
    ("tidy.py", lambda tree: (
        tree.change("src/low/low.h", "/* What it does", "struct crate;\n\n"
                    "/* What it does"),
        tree.write("src/low/c.c", "int crate_n(void)\n{\n}\n")), ""),
    ("tidy.py", more("src/low/low.c", "\n" * 794), ""),
    ("tidy.py", more("src/low/low.c", "\n" * 795), "801 lines, at most 800"),
    ("tidy.py", more("src/low/low.h", "\n" * 256), "261 lines, at most 260"),
    ("tidy.py", plant("src/low/low.h", "#pragma once\n", ""),
     "no #pragma once"),
    ("tidy.py", plant("src/low/low.h", "/* What it is for. */\n", ""),
     "does not say what it is for"),
    ("tidy.py", more("src/low/low.h", "\nint low_more(void);\n"),
     "low_more has no contract"),
    ("tidy.py", more("src/low/low.h", "\nvoid low_free(void);\n"), ""),
    ("tidy.py", more("src/low/low.h", "\nint low_more(void); /* why */\n"),
     ""),
    ("tidy.py", more("src/low/low.c", "typedef struct a low_a;\n"),
     "typedef of a struct"),
    ("tidy.py", more("src/low/low.c", "typedef struct a {\n    int b;\n} "
                     "low_a;\n"), "typedef of a struct"),
    ("tidy.py", more("src/low/low.c", "typedef struct a low_fn(int b);\n"),
     ""),
    ("tidy.py", more("src/low/low.c", "static int f(void)\n{\n"
                     "    return malloc(1) != 0;\n}\n"),
     "malloc is not used here: mem_alloc"),
    ("tidy.py", more("src/low/low.c", "static int f(void)\n{\n"
                     "    return x->malloc(1) != y_malloc(1);\n}\n"), ""),
    ("tidy.py", plant("src/low/low.c", "#include",
                      "#include <stdio.h>\n#include"),
     '"low/low.h" comes first'),

    ("headers.sh", lambda tree: None, ""),
    ("headers.sh", plant("src/low/low.h", "int question", "size_t question"),
     "src/low/low.h:5"),
    ("headers.sh", plant("src/low/low.h", "#pragma once\n",
                         "struct low { int a; };\n"), "redefinition"),

    ("links.py", lambda tree: None, ""),
    ("links.py", add("doc/a.md", "# One\n[b](b.md)\n"),
     "doc/a.md:2: links to b.md, which is not there"),
    ("links.py", add("doc/a.md", "# Two words: `x`\n[b](a.md#two-words-x)\n"
                     "[c](#two-words-x) [d](https://example.org/x)\n"
                     "[e](../src/low)\n"), ""),
    ("links.py", add("doc/a.md", "# Two\n[b](a.md#three)\n"),
     "links to a.md#three, which has no such heading"),
    ("links.py", add("doc/a.scd", "`low.c`, `src/low/l*.h`, `low/low.h`,\n"
                     "`src/NAME/x.c`, `doc/${x}`, `other/x`\n"), ""),
    ("links.py", add("doc/a.scd", "\n`gone.c`\n"),
     "doc/a.scd:2: names gone.c: no such file"),
    ("links.py", add("doc/a.md", "`src/low/gone.c`\n"),
     "names src/low/gone.c, which is not there"),
    ("links.py", lambda tree: (
        tree.write("contrib/config.yaml.example",
                   "server:\n  tls:\n    cert: a\n#    key: b\n"),
        tree.write("doc/a.md", "`server.tls.key: x`, `server.tls`, "
                   "`server.c.md`, `other.x`\n")), ""),
    ("links.py", lambda tree: (
        tree.write("contrib/config.yaml.example", "server:\n  port: 1\n"),
        tree.write("doc/a.md", "`server.prot: 2`\n")),
     "names server.prot, which is no option"),

    ("scripts.sh", lambda tree: None, ""),
    ("scripts.sh", add("a.sh", "#!/bin/bash\nrm -rf $1/\n"), "a.sh:2"),
    ("scripts.sh", add("a.py", "def f(:\n"), "a.py:1"),
]

# What a pure module must not do, and what it may.
PURITY = [
    ("#include <stdlib.h>\nvoid low_f(int *a) { *a = abs(*a); free(a); }",
     ""),
    ("#include <time.h>\nlong low_f(void) { return time(0); }", "uses time"),
    ("#include <time.h>\nint low_f(struct timespec *t)\n"
     "{ return clock_gettime(0, t); }", "uses clock_gettime"),
    ("#include <fcntl.h>\nint low_f(void) { return open(\"x\", 0); }",
     "uses open"),
    ("#include <unistd.h>\nlong low_f(char *b) { return read(0, b, 1); }",
     "uses read"),
    ("#include <unistd.h>\nlong low_f(char *b) { return write(1, b, 1); }",
     "low.c:2: a pure module uses write"),
    ("#include <stdlib.h>\nchar *low_f(void) { return getenv(\"x\"); }",
     "uses getenv"),
    ("#include <stdlib.h>\nlong low_f(void) { return random(); }",
     "uses random"),
    ("#include <sys/random.h>\nlong low_f(char *b)\n"
     "{ return getrandom(b, 1, 0); }", "uses getrandom"),
    ("#include <stdio.h>\nint low_f(void) { return puts(\"x\"); }",
     "uses puts"),
    ("#include <stdio.h>\nvoid low_f(FILE *f) { fprintf(f, \"%d\", 1); }",
     "fprintf"),
    ("#include <sys/socket.h>\nint low_f(void) { return socket(1, 1, 0); }",
     "uses socket"),
    ("#include <pthread.h>\nint low_f(pthread_mutex_t *m)\n"
     "{ return pthread_mutex_lock(m); }", "uses pthread_mutex_lock"),
    ("#include <stdio.h>\nvoid *json_load_file(const char *, int, void *);\n"
     "void *low_f(void) { return json_load_file(\"x\", 0, NULL); }",
     "uses json_load_file"),
    ("int high_answer(int);\nint low_f(void) { return high_answer(1); }",
     "uses high_answer"),
    ("int low_other(int);\nint low_f(void) { return low_other(1); }\n"
     "int low_other(int a) { return a; }", ""),
]


def tap(number, name, problem):
    print(f"{'not ok' if problem else 'ok'} {number} - {name}")
    for line in problem.splitlines():
        print(f"# {line}")
    return bool(problem)


def judge(status, output, expected):
    """Why the tool is wrong, or nothing."""
    if expected == "":
        return "" if status == 0 else f"complained without reason:\n{output}"
    if status != 1:
        return f"exit status {status}, expected: {expected}\n{output}"
    return "" if expected in output else \
        f"did not say: {expected}\nbut: {output}"


def planted(tool, change, expected):
    """In a folder called as one of the tree's own, which means nothing."""
    with tempfile.TemporaryDirectory() as above:
        folder = os.path.join(above, "src")
        os.mkdir(folder)
        tree = Tree(folder)
        change(tree)
        return judge(*tree.run(tool, folder), expected)


def purity(code, expected):
    with tempfile.TemporaryDirectory() as folder:
        tree = Tree(folder)
        tree.write("low.c", code)
        for command in (["cc", "-g", "-O1", "-c", "low.c"],
                        ["ar", "rcs", "low.a", "low.o"]):
            subprocess.run(command, cwd=folder, check=True)
        return judge(*tree.run("purity.sh", "low.a"), expected)


def no_archive():
    """A missing archive is trouble, not purity."""
    with tempfile.TemporaryDirectory() as folder:
        status, output = Tree(folder).run("purity.sh", "none.a")
        return "" if status == 2 else f"exit status {status}: {output}"


def layout():
    """tools/format finds what it would change, and then changes it."""
    if not shutil.which("clang-format"):
        return ""
    with tempfile.TemporaryDirectory() as folder:
        tree = Tree(folder)
        for name in ("tools/format", ".clang-format"):
            (tree.root / name).parent.mkdir(exist_ok=True)
            shutil.copy(ROOT / name, tree.root / name)
        file = "src/low/low.c"
        tree.change(file, "    return", "  return")

        def run(*args):
            done = subprocess.run(["tools/format", *args, file],
                                  cwd=folder, capture_output=True, text=True,
                                  check=False)
            return done.returncode, done.stdout + done.stderr
        problem = judge(*run("--check"), f"{file}:4: not laid out")
        return problem or judge(*run(), "") or judge(*run("--check"), "")


def main():
    cases = [(f"{tool}: {expected or 'content'}",
              lambda t=tool, c=change, e=expected: planted(t, c, e))
             for tool, change, expected in PLANTED
             if tool != "scripts.sh" or shutil.which("shellcheck")]
    cases += [(f"purity.sh: {expected or 'content'}",
               lambda c=code, e=expected: purity(c, e))
              for code, expected in PURITY]
    cases += [("purity.sh: no such archive", no_archive),
              ("format: finds and mends", layout)]
    print(f"1..{len(cases)}")
    failed = [tap(number, name.replace("#", "."), run())
              for number, (name, run) in enumerate(cases, 1)]
    return 1 if any(failed) else 0


if __name__ == "__main__":
    sys.exit(main())
