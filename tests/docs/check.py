#!/usr/bin/python3
"""The papers: check.py BUILD WORK.  The API reference, and the code that the README shows."""

import html
import os
import re
import sys

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(TOP, "tests", "harness"))

from tap import command, run  # noqa: E402

BUILD, WORK = sys.argv[1:]


def read(name):
    with open(os.path.join(TOP, name), encoding="utf-8") as text:
        return text.read()


def reference():
    """the API reference is made without a warning"""
    said = command("doxygen", os.path.join(BUILD, "docs", "Doxyfile"))
    assert not said.strip(), said
    with open(os.path.join(BUILD, "docs", "html", "index.html"), encoding="utf-8") as page:
        assert "runs the whole sequence on every attempt" in page.read(), "an empty main page"


def every_function():
    """the API reference has a page entry for every public function"""
    pages = os.path.join(BUILD, "docs", "html")
    with open(os.path.join(pages, "wsticket_8h.html"), encoding="utf-8") as page:
        content = page.read()
    names = re.findall(r"^ +(wst_\w+);", read("lib/libwsticket.map"), re.MULTILINE)
    absent = [name for name in names if not re.search(rf">{name}</(a|b)>", content)]
    assert len(names) > 20 and not absent, absent


def readme_code():
    """the README's C compiles and links as it stands, without a warning"""
    blocks = re.findall(r"^```c\n(.*?)^```$", read("README.md"), re.DOTALL | re.MULTILINE)
    assert blocks, "README.md shows no C"
    for number, block in enumerate(blocks):
        source = os.path.join(WORK, f"readme{number}.c")
        with open(source, "w", encoding="utf-8") as text:
            text.write(block)
        uv = command("pkg-config", "--cflags", "--libs", "libuv").split()
        command("gcc", "-std=gnu11", "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-I",
                os.path.join(BUILD, "include"), source, "-o", source[:-2], "-L",
                os.path.join(BUILD, "lib"), "-lwsticket", *uv)


def readme_links():
    """files that the papers link to exist"""
    papers = ["README.md", "CHANGELOG.md"] + [
        "docs/" + name for name in os.listdir(os.path.join(TOP, "docs")) if name.endswith(".md")]
    broken = []
    for paper in papers:
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", read(paper)):
            if not os.path.exists(os.path.join(TOP, os.path.dirname(paper), target)):
                broken.append(f"{paper}: {target}")
    assert not broken, "\n".join(broken)


def exists(path, name):
    """Is there a test of that name?  One in C has to be called or registered, too."""
    if not os.path.exists(os.path.join(TOP, "tests", path)):
        return False
    source = read("tests/" + path)
    if path.endswith(".py"):
        return re.search(rf"^def {name}\(", source, re.MULTILINE) is not None
    if name == "LLVMFuzzerTestOneInput":
        return name in source
    defined = re.search(rf"^static void {name}\(void \*\*state\)", source, re.MULTILINE)
    return defined is not None and len(re.findall(rf"\b{name}\b", source)) > 1


def security_rows():
    """every attack in docs/security.md names the tests that show what stops it, and they exist"""
    rows, wrong = 0, []
    for title, section in re.findall(r"^## (.*?)\n(.*?)(?=^## |\Z)", read("docs/security.md"),
                                     re.DOTALL | re.MULTILINE):
        if "| test |" not in section:
            continue
        for row in re.findall(r"^\| (?!---|could )(.*) \|$", section, re.MULTILINE):
            rows += 1
            tests = re.findall(r"`([\w/]+\.(?:c|py)):(\w+)`", row.rsplit(" | ", 1)[1])
            wrong += [f"{title}: {row}"] * (not tests)
            wrong += [f"{title}: {path}:{name}" for path, name in tests if not exists(path, name)]
    assert rows > 30 and not wrong, "\n".join(wrong)


# How many sections there are under each, in RFC 6455; of those without a text only what is below.
RFC_6455 = {"5": 8, "5.5": 3, "6": 2, "7": 4, "7.1": 7, "7.2": 3, "7.4": 2, "8": 1, "9": 2}
HEADINGS = {"7.1", "7.2", "7.4"}


def conformance_named():
    """the list of RFC 6455's sections is complete, and the tests that it names exist"""
    _, _, listed = read("tests/wire/conformance_cases.h").partition("conformance_sections[] = {")
    sections = set(re.findall(r'{"([\d.]+)"', listed))
    absent = {f"{above}.{number}" for above, count in RFC_6455.items()
              for number in range(1, count + 1)} - HEADINGS - sections
    tests = re.findall(r"([\w/]+\.c):(\w+)", listed)
    wrong = [f"{path}:{name}" for path, name in tests if not exists(path, name)]
    assert len(tests) > 20 and not absent and not wrong, (absent, wrong)


def promises_named():
    """the tests that docs/promises.md names exist"""
    rows = re.findall(r"^\| \d+ .*? \| (.*) \|$", read("docs/promises.md"), re.MULTILINE)
    names = {name for row in rows for name in re.findall(r"`([\w/.]+)`", row)}
    sources = {}
    for directory, _, files in os.walk(os.path.join(TOP, "tests")):
        for name in files:
            if name.endswith((".c", ".py", ".h")):
                path = os.path.join(directory, name)
                with open(path, encoding="utf-8") as text:
                    sources[path] = text.read()
    files = {os.path.basename(path) for path in sources}
    wrong = [name for name in names if os.path.basename(name) not in files
             and not os.path.exists(os.path.join(TOP, name)) and not any(
                 re.search(rf"^(def |static void |void ){name}\(", text, re.MULTILINE)
                 for text in sources.values())]
    assert len(rows) == 14 and not wrong, wrong


def diagram():
    """docs/states.svg is drawn from docs/states.dot: the same edges, with the same labels"""
    wanted = [(f"{a}->{b}", label.split("\\n")) for a, b, label in
              re.findall(r'(\w+) -> (\w+) \[label="(.*?)"', read("docs/states.dot"))]
    drawn = []
    for edge in re.findall(r'class="edge">\n(.*?)</g>', read("docs/states.svg"), re.DOTALL):
        title = html.unescape(re.search(r"<title>(.*)</title>", edge).group(1))
        drawn.append((title, re.findall(r">(\w+)</text>", edge)))
    assert len(wanted) > 20 and sorted(drawn) == sorted(wanted), "dot -Tsvg docs/states.dot -o docs/states.svg"


def change_log():
    """CHANGELOG.md has an entry for what is built"""
    version = re.search(r"version: '([\d.]+)'", read("meson.build")).group(1)
    entry = rf"^## \[?({re.escape(version)}|Unreleased)\b"
    assert re.search(entry, read("CHANGELOG.md"), re.MULTILINE), version


run([reference, every_function, readme_code, readme_links, security_rows, conformance_named,
     promises_named, diagram, change_log])
