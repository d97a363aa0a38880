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
    assert os.path.exists(os.path.join(BUILD, "docs", "html", "index.html"))


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


run([reference, every_function, readme_code, readme_links, diagram, change_log])
