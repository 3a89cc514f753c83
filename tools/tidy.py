#!/usr/bin/env python3
"""Checks of the C style that compilers and clang-format do not make.

Limits, comments, names and contracts as CONTRIBUTING.md states them; the
numbers stand below.

Usage: tidy.py [ROOT]        prints FILE:LINE: MESSAGE, exits 1 if any
"""
import re
import sys
from pathlib import Path

COLUMNS = 80
FUNCTION_LINES = 70
SOURCE_LINES = 800
HEADER_LINES = 260
PARAMETERS = 6
NESTING = 4
DOCUMENTED_PERCENT = 85

TOPS = ("src", "sim", "tests", "bench")
# Poisoned ones (base/banned.h) cannot compile; these can, and have better
# ways in base/ or are not safe where there are threads.
BANNED = {
    "malloc": "mem_alloc", "calloc": "mem_alloc", "realloc": "mem_realloc",
    "strdup": "str_dup", "strndup": "str_dup", "asprintf": "strbuf_addf",
    "vasprintf": "strbuf_addv", "assert": "ASSERT", "setenv": None,
    "putenv": None, "inet_ntoa": "inet_ntop", "sscanf": "str_to_u64",
    "vfork": None, "alloca": None, "strtok_r": "str_find",
}
BANNED_CALL = re.compile(r"(?<![\w.>])(" + "|".join(BANNED) + r")\s*\(")
# Not that of a function that gives a struct.
TYPEDEF = re.compile(
    r"\btypedef\s+(struct|enum|union)\b\s*\w*\s*(?:\{|\**\s*\w+\s*;)")
# What these do follows from the name: CONTRIBUTING.md, "Names".
BY_CONVENTION = re.compile(
    r"_(init|deinit|free|freep|ref|unref|unrefp|close|closep)$")
CALL = re.compile(r"\b([A-Za-z_]\w*)\s*\(")
BLOCK_WORDS = ("else", "do")


def blank(match):
    return re.sub(r"[^\n]", " ", match[0])


TOKENS = re.compile(
    r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.S)
DIRECTIVE = re.compile(r"^[ \t]*#(?:[^\n]*\\\n)*[^\n]*", re.M)


def code_of(text):
    """The text without comments, strings and directives, same places."""
    def one(match):
        token = match[0]
        if token[0] in "\"'":
            return token[0] + " " * (len(token) - 2) + token[0]
        return blank(match)
    return DIRECTIVE.sub(blank, TOKENS.sub(one, text))


def line_of(text, at):
    return text.count("\n", 0, at) + 1


def matching_paren(code, close):
    depth = 0
    for at in range(close, -1, -1):
        depth += {")": 1, "(": -1}.get(code[at], 0)
        if depth == 0:
            return at
    return 0


def opens_block(code, brace):
    """Is the brace that of a statement, rather than of an initialiser?"""
    before = code[:brace].rstrip()
    if before.endswith(BLOCK_WORDS) or before[-1:] in (";", "}", ":"):
        return True
    if not before.endswith(")"):
        return before[-1:] == "{" and not before[:-1].rstrip().endswith("=")
    head = code[:matching_paren(code, len(before) - 1)].rstrip()
    word = re.search(r"(\w+)$", head)
    return bool(word) and word[1] not in ("return", "sizeof")


class Function:
    """A definition at file level: its head, and the braces of its body."""

    def __init__(self, code, start, brace, end):
        head = code[start:brace]
        start += len(head) - len(head.lstrip())
        self.head = " ".join(head.split())
        self.name = CALL.search(self.head)[1]
        self.first_line = line_of(code, start)
        self.lines = line_of(code, end) - self.first_line + 1
        self.static = re.match(r".*\bstatic\b", self.head) is not None
        self.brace, self.end = brace, end

    def parameter_count(self):
        at = self.head.index("(", self.head.index(self.name))
        depth, count, inside = 0, 1, ""
        for char in self.head[at:]:
            depth += {"(": 1, ")": -1}.get(char, 0)
            if depth == 0:
                break
            count += char == "," and depth == 1
            inside += char
        return 0 if inside[1:].strip() in ("", "void") else count

    def nesting(self, code):
        deepest, depth, stack = 0, 0, []
        for at in range(self.brace + 1, self.end):
            if code[at] == "{":
                stack.append(opens_block(code, at))
                depth += stack[-1]
                deepest = max(deepest, depth)
            elif code[at] == "}" and stack:
                depth -= stack.pop()
        return deepest


def functions(code):
    """The function definitions of a file."""
    depth, start, open_at = 0, 0, 0
    for at, char in enumerate(code):
        if char == "{":
            if depth == 0:
                open_at = at
            depth += 1
        elif char == "}":
            depth -= 1
            head = code[start:open_at]
            if depth == 0:
                plain = re.sub(r"\([^()]*\)", "()", head)
                if CALL.search(head) and "=" not in plain:
                    yield Function(code, start, open_at, at)
                    start = at + 1
        elif char == ";" and depth == 0:
            start = at + 1


def declarations(code):
    """(name, line) of the functions that a header exports."""
    flat, depth = [], 0
    for char in code:
        depth -= char == "}"
        flat.append(char if depth == 0 or char == "\n" else " ")
        depth += char == "{"
    flat = "".join(flat)
    for match in re.finditer(r"[^;{}]+;", flat):
        text = match[0]
        name = CALL.search(text)
        if not name or re.match(r"\s*(typedef|static|extern\s+const)\b", text):
            continue
        if re.search(r"\(\s*\*", text[:name.end() + 2]):
            continue  # a variable that points to a function
        start = match.start() + len(text) - len(text.lstrip())
        yield name[1], line_of(flat, start)


class Tidy:
    """Checks files one by one; keeps what is wrong with them."""

    def __init__(self, root):
        self.root = root
        self.problems = []
        self.exported = 0
        self.undocumented = []
        self.prefixes = {}

    def report(self, path, line, message):
        self.problems.append(
            f"{path.relative_to(self.root)}:{line}: {message}")

    def learn_prefixes(self):
        """What names of a module may begin with: the module, its files, and
        the types that its headers declare."""
        for folder in (p for p in (self.root / "src").iterdir() if p.is_dir()):
            names = {folder.name}
            for path in folder.glob("*.[ch]"):
                names.add(path.stem.removesuffix("_priv"))
                code = code_of(path.read_text())
                names.update(re.findall(r"\b(?:struct|enum)\s+(\w+)", code)
                             if path.suffix == ".h" else ())
            names |= {word for name in names for word in name.split("_")}
            self.prefixes[folder] = names

    def check_text(self, path, text):
        for number, line in enumerate(text.split("\n"), 1):
            if len(line) > COLUMNS:
                self.report(path, number, f"{len(line)} columns")
            if line != line.rstrip():
                self.report(path, number, "blanks at the end of the line")
            if "\t" in line:
                self.report(path, number, "a tab")
            if re.search(r"\b(TODO|FIXME|XXX)\b", line):
                self.report(path, number, "unfinished")
        exported = path.suffix == ".h" and \
            path.is_relative_to(self.root / "src")
        limit = HEADER_LINES if exported else SOURCE_LINES
        count = text.count("\n")
        if count > limit:
            self.report(path, count, f"{count} lines, at most {limit}")

    def check_tokens(self, path, text, code):
        for match in TOKENS.finditer(text):
            if match[0].startswith("//"):
                self.report(path, line_of(text, match.start()), "// comment")
        for match in TYPEDEF.finditer(code):
            self.report(path, line_of(code, match.start()),
                        f"typedef of a {match[1]}")
        if path.parts[len(self.root.parts)] != "src" or \
                path.match("base/mem.c"):
            return
        for match in BANNED_CALL.finditer(code):
            better = BANNED[match[1]]
            self.report(path, line_of(code, match.start()),
                        f"{match[1]} is not used here" +
                        (f": {better}" if better else ""))

    def check_functions(self, path, code):
        allowed = self.prefixes.get(path.parent)
        for f in functions(code):
            def wrong(message):
                self.report(path, f.first_line, f"{f.name} {message}")
            if f.lines > FUNCTION_LINES:
                wrong(f"has {f.lines} lines, at most {FUNCTION_LINES}")
            # The type of a callback is its library's choice.
            if f.parameter_count() > PARAMETERS and "MHD_" not in f.head:
                wrong(f"has {f.parameter_count()} parameters, "
                      f"at most {PARAMETERS}")
            depth = f.nesting(code)
            if depth > NESTING:
                wrong(f"nests {depth} deep, at most {NESTING}")
            if f.static or allowed is None or f.name == "main":
                continue
            if not any(f.name == p or f.name.startswith(p + "_")
                       for p in allowed):
                wrong("does not begin with its module, file or type")

    def check_header(self, path, text, code):
        if not re.search(r"^#pragma once$", text, re.M):
            self.report(path, 1, "no #pragma once")
        if not text.startswith("/*"):
            self.report(path, 1, "does not say what it is for")
        lines = text.split("\n")
        for name, line in declarations(code):
            self.exported += 1
            above = line - 1
            while above > 0 and lines[above - 1].strip():
                above -= 1
            if "/*" not in "\n".join(lines[above:line]) and \
                    not BY_CONVENTION.search(name):
                self.undocumented.append((path, line, name))

    def check_own_header_first(self, path, text):
        own = path.with_suffix(".h")
        first = re.search(r'^#include\s+(\S+)', text, re.M)
        want = f'"{own.parent.name}/{own.stem}'
        if own.exists() and first and \
                first[1] not in (want + '.h"', want + '_priv.h"'):
            self.report(path, line_of(text, first.start()),
                        f"{want}.h\" comes first")

    def check_file(self, path):
        text = path.read_text(errors="replace")
        code = code_of(text)
        self.check_text(path, text)
        self.check_tokens(path, text, code)
        self.check_functions(path, code)
        if path.is_relative_to(self.root / "src"):
            if path.suffix == ".h":
                self.check_header(path, text, code)
            else:
                self.check_own_header_first(path, text)

    def check_contracts(self):
        documented = self.exported - len(self.undocumented)
        if documented * 100 < DOCUMENTED_PERCENT * self.exported:
            for path, line, name in self.undocumented:
                self.report(path, line, f"{name} has no contract (fewer than "
                            f"{DOCUMENTED_PERCENT} % of all have)")


def main():
    root = Path(sys.argv[1] if len(sys.argv) > 1 else ".").resolve()
    tidy = Tidy(root)
    tidy.learn_prefixes()
    for top in TOPS:
        for path in sorted((root / top).rglob("*.[ch]")):
            tidy.check_file(path)
    tidy.check_contracts()
    for problem in tidy.problems:
        print(problem)
    return 1 if tidy.problems else 0


if __name__ == "__main__":
    sys.exit(main())
