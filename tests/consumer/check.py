#!/usr/bin/python3
"""
The installed library, as people outside meet it: check.py BUILD WORK.  Installs into an empty
prefix in WORK, then builds the programs of pkgconfig/consumer with nothing but what pkg-config
says, and runs them.
"""

import glob
import os
import shutil
import subprocess
import sys

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(TOP, "tests", "harness"))

from tap import command, run  # noqa: E402

BUILD, WORK = sys.argv[1:]
PREFIX = os.path.join(WORK, "prefix")
SOURCES = os.path.join(TOP, "pkgconfig", "consumer")
WARNINGS = ["-Wall", "-Wextra", "-Wpedantic", "-Werror"]
PRIVATE = ["curl", "ssl", "crypto", "cjson", "wslay", "libz"]


def libdir():
    found = glob.glob(PREFIX + "/lib*/**/libwsticket.pc", recursive=True)
    assert len(found) == 1, f"libwsticket.pc: {found}"
    return os.path.dirname(os.path.dirname(found[0]))


def outside():
    """The environment of a person who installed into PREFIX."""
    return {**os.environ, "PKG_CONFIG_PATH": libdir() + "/pkgconfig", "LD_LIBRARY_PATH": libdir()}


def pkg_config(*words):
    return command("pkg-config", *words, env=outside()).split()


def needed(program):
    """What the dynamic linker is asked for."""
    return [line.split("[")[1].rstrip("]\n") for line in command("readelf", "-d", program).split("\n")
            if "(NEEDED)" in line]


def build_and_run(compiler, standard, source, module):
    program = os.path.join(WORK, "-".join([compiler, standard, module]))
    command(compiler, "-std=" + standard, "-D_DEFAULT_SOURCE", *WARNINGS,
            os.path.join(SOURCES, source), "-o", program,
            *pkg_config("--cflags", "--libs", module))
    output = command(program, env=outside(), timeout=30)
    assert "attempt failed: CONNECT" in output, output
    libraries = needed(program)
    if module == "libwsticket":
        assert "libwsticket.so.0" in libraries, libraries
        assert not [lib for lib in libraries for word in PRIVATE if word in lib], libraries
    else:
        assert not [lib for lib in libraries if "wsticket" in lib], libraries


def install():
    """meson install into an empty prefix"""
    where = os.path.join(WORK, "build")
    command("meson", "setup", where, TOP, "--prefix", PREFIX, "-Dtests=false", "-Dwerror=true")
    command("meson", "install", "-C", where)


def installed_files():
    """Header, libraries, .pc files, command and man page are installed, and nothing else"""
    found = {os.path.relpath(os.path.join(folder, name), PREFIX)
             for folder, _, names in os.walk(PREFIX) for name in names}
    lib = os.path.relpath(libdir(), PREFIX)
    version = pkg_config("--modversion", "libwsticket")[0]
    expected = {"include/wsticket/wsticket.h", "bin/wsticket", "share/man/man1/wsticket.1",
                "share/doc/libwsticket/json.md",
                f"{lib}/pkgconfig/libwsticket.pc", f"{lib}/pkgconfig/libwsticket-static.pc",
                f"{lib}/libwsticket.a", f"{lib}/libwsticket.so", f"{lib}/libwsticket.so.0",
                f"{lib}/libwsticket.so.{version}"}
    if os.path.exists(os.path.join(WORK, "build", "examples", "server", "wsticket-server")):
        expected |= {path for path in found if "wsticket-server" in path}
    assert found == expected, f"missing {expected - found}, too many {found - expected}"


def destdir():
    """DESTDIR is honoured: the same files below it, nothing beside"""
    target = os.path.join(WORK, "destdir")
    command("meson", "install", "-C", os.path.join(WORK, "build"), "--no-rebuild", "--destdir", target)
    below = target + PREFIX
    assert sorted(os.listdir(below)) == sorted(os.listdir(PREFIX)), os.listdir(below)
    assert os.path.exists(below + "/include/wsticket/wsticket.h")


def nothing_private():
    """pkg-config --cflags and --libs name libwsticket and libuv, nothing private"""
    libs = set(pkg_config("--libs", "libwsticket"))
    uv = set(pkg_config("--libs", "libuv"))
    assert "-lwsticket" in libs, libs
    assert libs - uv <= {"-lwsticket", "-L" + libdir()}, libs - uv
    flags = set(pkg_config("--cflags", "libwsticket")) - set(pkg_config("--cflags", "libuv"))
    assert flags == {f"-I{PREFIX}/include"}, flags
    assert not pkg_config("--print-requires-private", "libwsticket")


def static_archive():
    """pkg-config --static names all that libwsticket.a needs"""
    program = os.path.join(WORK, "static-archive")
    libs = ["-l:libwsticket.a" if word == "-lwsticket" else word
            for word in pkg_config("--static", "--libs", "libwsticket")]
    command("gcc", "-std=c11", "-D_DEFAULT_SOURCE", os.path.join(SOURCES, "consumer.c"),
            "-o", program, *pkg_config("--cflags", "libwsticket"), *libs)
    assert "attempt failed: CONNECT" in command(program, env=outside(), timeout=30)
    assert not [lib for lib in needed(program) if "wsticket" in lib], needed(program)


def validates():
    """pkg-config finds no fault with the .pc files, and their version is the header's"""
    for module in ("libwsticket", "libwsticket-static"):
        command("pkg-config", "--validate", module, env=outside())
    with open(PREFIX + "/include/wsticket/wsticket.h", encoding="utf-8") as header:
        version = pkg_config("--modversion", "libwsticket")[0]
        assert f'WST_VERSION_STRING "{version}"' in header.read(), version


def no_build_paths():
    """What is installed names neither the source nor the build directory"""
    for path in glob.glob(PREFIX + "/**/*.pc", recursive=True) + [
            PREFIX + "/include/wsticket/wsticket.h"]:
        with open(path, encoding="utf-8") as text:
            content = text.read().replace(PREFIX, "")
        assert TOP not in content and BUILD not in content, path
    dynamic = command("readelf", "-d", os.path.join(libdir(), "libwsticket.so"))
    assert "RPATH" not in dynamic and "RUNPATH" not in dynamic, dynamic


def c11_gcc():
    """C11, gcc, shared"""
    build_and_run("gcc", "c11", "consumer.c", "libwsticket")


def c11_clang():
    """C11, clang, shared"""
    build_and_run("clang", "c11", "consumer.c", "libwsticket")


def cxx17_gcc():
    """C++17, g++, shared"""
    build_and_run("g++", "c++17", "consumer.cpp", "libwsticket")


def cxx17_clang():
    """C++17, clang++, shared"""
    build_and_run("clang++", "c++17", "consumer.cpp", "libwsticket")


def c11_gcc_static():
    """C11, gcc, libwsticket.a with shared dependencies"""
    build_and_run("gcc", "c11", "consumer.c", "libwsticket-static")


def c11_clang_static():
    """C11, clang, libwsticket.a with shared dependencies"""
    build_and_run("clang", "c11", "consumer.c", "libwsticket-static")


def cxx17_gcc_static():
    """C++17, g++, libwsticket.a with shared dependencies"""
    build_and_run("g++", "c++17", "consumer.cpp", "libwsticket-static")


def cmake():
    """CMake, pkg_check_modules"""
    where = os.path.join(WORK, "cmake")
    command("cmake", "-S", SOURCES, "-B", where, env=outside())
    command("cmake", "--build", where, env=outside())
    assert "attempt failed: CONNECT" in command(where + "/consumer", env=outside(), timeout=30)


def meson_installed():
    """Meson, dependency() on the installed library"""
    where = os.path.join(WORK, "meson-installed")
    command("meson", "setup", where, SOURCES, "--wrap-mode=nofallback", env=outside())
    command("ninja", "-C", where, env=outside())
    assert "attempt failed: CONNECT" in command(where + "/consumer", env=outside(), timeout=30)


def meson_subproject():
    """Meson, the tree as a subproject"""
    project = os.path.join(WORK, "with-subproject")
    shutil.copytree(SOURCES, project)
    tree = os.path.join(project, "subprojects", "libwsticket")
    for name in command("git", "-C", TOP, "ls-files", "-z").rstrip("\0").split("\0"):
        if os.path.isfile(os.path.join(TOP, name)):
            os.makedirs(os.path.dirname(os.path.join(tree, name)), exist_ok=True)
            shutil.copy2(os.path.join(TOP, name), os.path.join(tree, name))
    where = os.path.join(project, "build")
    command("meson", "setup", where, project, "--wrap-mode=forcefallback")
    command("ninja", "-C", where)
    examples = os.path.join(where, "subprojects", "libwsticket", "examples")
    assert not os.path.exists(os.path.join(examples, "minimal")), "nobody asked for an example"
    environment = {key: value for key, value in os.environ.items() if key != "LD_LIBRARY_PATH"}
    assert "attempt failed: CONNECT" in command(where + "/consumer", env=environment, timeout=30)


def command_line():
    """The installed command runs and knows its version"""
    version = pkg_config("--modversion", "libwsticket")[0]
    said = command(PREFIX + "/bin/wsticket", "--version", env=outside())
    assert version in said, said


def man_page():
    """The man page is formatted without a warning"""
    done = subprocess.run(["man", "--warnings=w", "-E", "UTF-8", "-l",
                           PREFIX + "/share/man/man1/wsticket.1"], capture_output=True, text=True,
                          env={**os.environ, "MANROFFSEQ": "", "MANWIDTH": "100"}, check=False)
    assert done.returncode == 0 and not done.stderr, done.stderr
    assert "wsticket" in done.stdout


run([install, installed_files, destdir, nothing_private, static_archive, validates, no_build_paths, c11_gcc,
     c11_clang, cxx17_gcc, cxx17_clang, c11_gcc_static, c11_clang_static, cxx17_gcc_static, cmake,
     meson_installed, meson_subproject, command_line, man_page])
