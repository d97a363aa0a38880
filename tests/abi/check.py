#!/usr/bin/python3
"""The public face of the library: check.py BUILD SHARED STATIC."""

import os
import re
import shutil
import sys

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(TOP, "tests", "harness"))

from tap import Skip, command, run  # noqa: E402

BUILD, SHARED, STATIC = sys.argv[1:]
INCLUDE = os.path.join(BUILD, "include")
HEADER = os.path.join(INCLUDE, "wsticket", "wsticket.h")
MAP = os.path.join(TOP, "lib", "libwsticket.map")
STRICT = ["-pedantic-errors", "-Wall", "-Wextra", "-Wconversion", "-Wshadow", "-Wundef", "-Werror",
          "-fsyntax-only", "-I", INCLUDE]


def declared():
    """The functions that the header declares, comments and macros taken out."""
    with open(HEADER, encoding="utf-8") as header:
        text = re.sub(r"/\*.*?\*/", " ", header.read(), flags=re.DOTALL)
    text = re.sub(r"^#.*(\\\n.*)*$", "", text, flags=re.MULTILINE)
    names = re.findall(r"WST_EXPORT[^;(]*?\b(wst_\w+)\s*\(", text)
    assert len(names) > 20 and len(set(names)) == len(names), names
    # A function without the mark would not be exported.
    bare = [name for line in text.split(";") if "WST_EXPORT" not in line and "typedef" not in line
            for name in re.findall(r"\b(wst_\w+)\s*\(", line.split("{")[-1])]
    assert not bare, f"without WST_EXPORT: {bare}"
    return set(names)


def alone(compiler, *options):
    if not shutil.which(compiler):
        raise Skip(f"{compiler} not installed")
    unit = "#include <wsticket/wsticket.h>\n#include <wsticket/wsticket.h>\nint unused;\n"
    with open(os.path.join(BUILD, "tests", "abi-alone.c"), "w", encoding="utf-8") as source:
        source.write(unit)
    command(compiler, *options, *STRICT, source.name)


def c11_gcc():
    """the header alone, twice, as strict C11 with gcc"""
    alone("gcc", "-std=c11", "-Wstrict-prototypes")


def c11_clang():
    """the header alone, twice, as strict C11 with clang"""
    alone("clang", "-std=c11", "-Wstrict-prototypes")


def cxx17_gcc():
    """the header alone, twice, as strict C++17 with g++"""
    alone("g++", "-std=c++17", "-x", "c++")


def cxx17_clang():
    """the header alone, twice, as strict C++17 with clang++"""
    alone("clang++", "-std=c++17", "-x", "c++")


def prefixes():
    """every name that the header adds begins with wst_ or WST"""
    macros = command("gcc", "-std=c11", "-dM", "-E", "-I", INCLUDE, HEADER)
    own = set(re.findall(r"^#define (\w+)", macros, re.MULTILINE))
    system = command("gcc", "-std=c11", "-dM", "-E", "-include", "stddef.h", "-include", "stdint.h",
                     "-x", "c", "/dev/null")
    own -= set(re.findall(r"^#define (\w+)", system, re.MULTILINE))
    strangers = sorted(name for name in own if not name.startswith("WST"))
    assert not strangers, strangers
    with open(HEADER, encoding="utf-8") as header:
        text = re.sub(r"/\*.*?\*/", " ", header.read(), flags=re.DOTALL)
    words = re.findall(r"\b(?:struct|enum|union)\s+(\w+)", text)
    strangers = sorted({word for word in words if not word.startswith("wst_")} - {"uv_loop_s"})
    assert not strangers, strangers


def exported():
    """{name: version} of what the shared library defines."""
    symbols = {}
    for line in command("nm", "-D", "--defined-only", SHARED).splitlines():
        name = line.split()[-1]
        if line.split()[-2] != "A":  # The version's own name.
            base, _, version = name.partition("@@")
            symbols[base] = version
    return symbols


def exports():
    """the shared library exports exactly the functions of the header"""
    found = set(exported())
    assert found == declared(), (
        f"missing {sorted(declared() - found)}, too many {sorted(found - declared())}")


def versions():
    """every exported symbol carries the version LIBWSTICKET_0"""
    others = {name: version for name, version in exported().items() if version != "LIBWSTICKET_0"}
    assert not others, others


def version_map():
    """libwsticket.map names exactly the functions of the header"""
    with open(MAP, encoding="utf-8") as text:
        named = set(re.findall(r"^\s+(wst_\w+);", text.read(), re.MULTILINE))
    assert named == declared(), (
        f"missing {sorted(declared() - named)}, too many {sorted(named - declared())}")


def archive():
    """the static library defines only names that begin with wst_, the public ones among them"""
    lines = command("nm", "--defined-only", "--extern-only", STATIC).splitlines()
    names = {line.split()[2] for line in lines if len(line.split()) == 3}
    # Sanitizers add names of their own to every object.
    strangers = {name for name in names if not name.startswith(("wst_", "__asan", "__odr_asan"))}
    assert not strangers, strangers
    assert declared() <= names, sorted(declared() - names)


def soname():
    """the SONAME is libwsticket.so.0"""
    assert "Library soname: [libwsticket.so.0]" in command("readelf", "-d", SHARED)


def hardened():
    """the shared library has no text relocations and no executable stack"""
    assert "TEXTREL" not in command("readelf", "-d", SHARED)
    stack = [line for line in command("readelf", "-lW", SHARED).splitlines() if "GNU_STACK" in line]
    assert stack and "RWE" not in stack[0], stack


run([c11_gcc, c11_clang, cxx17_gcc, cxx17_clang, prefixes, exports, versions, version_map, archive,
     soname, hardened])
