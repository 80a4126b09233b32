#!/usr/bin/env python3
"""Installs the build into a temporary prefix and uses it as a stranger would. Prints one TAP line per check.

Checked: the public headers as strict C11 and C++17, each on its own; pkg-config, shared and static; the CMake package; the soname;
that only varve_* is exported, and all that the headers declare; that nothing points back into the build or a cache; that the
programs in README.md compile and that one runs; that the installed command runs.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile

SOURCE = os.environ["VARVE_SOURCE_DIR"]
BUILD = os.environ["VARVE_BINARY_DIR"]
CONSUMER = os.path.join(SOURCE, "tests/install/header_consumer.c")
STRICT = ["-Wall", "-Wextra", "-pedantic", "-Werror"]


class CheckFailed(Exception):
    pass


class Skip(Exception):
    pass


def run(*command, **kwargs):
    """Standard output of a command that must succeed."""
    done = subprocess.run(command, capture_output=True, text=True, **kwargs)
    if done.returncode != 0:
        raise CheckFailed("%s\nended with %d\n%s%s" % (" ".join(command), done.returncode, done.stdout, done.stderr))
    return done.stdout


def require(condition, message):
    if not condition:
        raise CheckFailed(message)


class Installed:
    """An installation in a temporary directory, moved once so that nothing may remember where it was installed."""

    def __init__(self, work):
        self.work = work
        run("cmake", "--install", BUILD, "--prefix", os.path.join(work, "first"))
        self.prefix = os.path.join(work, "usr")
        os.rename(os.path.join(work, "first"), self.prefix)
        found = [d for d, _, files in os.walk(self.prefix) if "varve.pc" in files]
        require(found, "varve.pc is not installed")
        self.pkgconfig = found[0]
        self.lib = os.path.dirname(found[0])
        self.include = os.path.join(self.prefix, "include")
        self.environment = {**os.environ, "PKG_CONFIG_PATH": self.pkgconfig, "LD_LIBRARY_PATH": self.lib}

    def flags(self, *args):
        return run("pkg-config", *args, env=self.environment).split()

    def run_program(self, path, *args):
        database = tempfile.mkdtemp(dir=self.work)
        return run(path, os.path.join(database, "db"), *args, env=self.environment)

    def library(self, name):
        return os.path.join(self.lib, name)


def headers():
    return sorted(f for f in os.listdir(os.path.join(SOURCE, "include/varve")) if f.endswith(".h"))


def check_headers_as_c11(installed):
    for header in headers():
        for compiler in ("gcc", "clang"):
            if shutil.which(compiler):
                run(compiler, "-std=c11", *STRICT, "-Wstrict-prototypes", "-fsyntax-only", "-I", installed.include, "-x", "c", "-",
                    input="#include <varve/%s>\n#include <varve/%s>\nint used;\n" % (header, header))


def check_headers_as_cxx17(installed):
    for header in headers():
        for compiler in ("g++", "clang++"):
            if shutil.which(compiler):
                run(compiler, "-std=c++17", *STRICT, "-Wshadow", "-fsyntax-only",
                    "-I", installed.include, "-x", "c++", "-", input="#include <varve/%s>\nint used;\n" % header)


def check_consumer_as_cxx17(installed):
    program = os.path.join(installed.work, "consumer-cxx")
    run("g++", "-std=c++17", "-Wall", "-Wextra", "-Werror", "-x", "c++", CONSUMER, "-x", "none", "-o", program,
        *installed.flags("--cflags", "--libs", "varve"))
    installed.run_program(program)


def check_pkg_config_shared(installed):
    for package, define in (("varve", "-DNOTHING"), ("varve_changelog", "-DCONSUMER_CHANGELOG")):
        program = os.path.join(installed.work, "consumer-" + package)
        run("gcc", "-std=c11", *STRICT, define, CONSUMER, "-o", program, *installed.flags("--cflags", "--libs", package))
        installed.run_program(program)
        require("lib%s.so.0" % package in run("readelf", "-d", program), "%s is not linked shared" % package)


def check_pkg_config_static(installed):
    for package, define in (("varve", "-DNOTHING"), ("varve_changelog", "-DCONSUMER_CHANGELOG")):
        for compiler in ("gcc", "clang"):
            if not shutil.which(compiler):
                continue
            program = os.path.join(installed.work, "consumer-static-" + package)
            flags = installed.flags("--static", "--cflags", "--libs", package)
            flags = ["-l:lib%s.a" % f[2:] if f in ("-lvarve", "-lvarve_changelog") else f for f in flags]
            run(compiler, "-std=c11", *STRICT, define, CONSUMER, "-o", program, *flags)
            installed.run_program(program)
            require("libvarve" not in run("readelf", "-d", program), "%s is linked shared" % package)


def check_cmake_package(installed):
    project = os.path.join(installed.work, "project")
    os.makedirs(project)
    targets = {"a": "varve::varve", "b": "varve::changelog", "c": "varve::varve_static", "d": "varve::changelog_static"}
    with open(os.path.join(project, "CMakeLists.txt"), "w") as file:
        file.write("cmake_minimum_required(VERSION 3.16)\nproject(consumer C)\nfind_package(varve 0.1 REQUIRED)\n")
        for name, target in targets.items():
            file.write("add_executable(%s %s)\ntarget_link_libraries(%s PRIVATE %s)\n" % (name, CONSUMER, name, target))
            if "changelog" in target:
                file.write("target_compile_definitions(%s PRIVATE CONSUMER_CHANGELOG)\n" % name)
    build = os.path.join(project, "build")
    run("cmake", "-G", "Ninja", "-S", project, "-B", build, "-DCMAKE_PREFIX_PATH=" + installed.prefix)
    run("cmake", "--build", build)
    for name in targets:
        installed.run_program(os.path.join(build, name))


def declared():
    """The functions that the public headers declare."""
    text = ""
    for header in headers():
        with open(os.path.join(SOURCE, "include/varve", header)) as file:
            text += re.sub(r"/\*.*?\*/", " ", file.read(), flags=re.S)
    return {re.search(r"(\w+)\s*\(", d).group(1) for d in re.findall(r"VARVE_API\s([^;]+\([^;]*\))\s*;", text)}


def exported(path):
    lines = run("nm", "-D", "--defined-only", path).splitlines()
    return {line.split()[-1].split("@")[0] for line in lines if line.split()[-2] not in "A"}


def check_exported_symbols(installed):
    found = set()
    for name in ("libvarve.so", "libvarve_changelog.so"):
        symbols = exported(installed.library(name))
        found |= symbols
        foreign = sorted(s for s in symbols if not s.startswith("varve_"))
        require(not foreign, "%s exports %s" % (name, ", ".join(foreign[:10])))
    require(found == declared(), "declared but not exported: %s; exported but not declared: %s" % (
        sorted(declared() - found), sorted(found - declared())))


def check_soname(installed):
    for name in ("libvarve", "libvarve_changelog"):
        path = installed.library(name + ".so")
        require("[%s.so.0]" % name in run("readelf", "-d", path), "%s has another soname" % name)
        require(os.path.exists(installed.library(name + ".so.0")), "%s.so.0 is missing" % name)
    needed = re.findall(r"NEEDED.*\[(.*)\]", run("readelf", "-d", installed.library("libvarve.so")))
    require(not any("rdkafka" in n for n in needed), "the engine needs Kafka: %s" % needed)


def check_no_build_paths(installed):
    """Debug information names sources; the dynamic section and the package files must not name the build or a cache."""
    for name in ("libvarve.so", "libvarve_changelog.so"):
        dynamic = run("readelf", "-d", installed.library(name))
        require("RUNPATH" not in dynamic and "RPATH" not in dynamic, "%s carries a run path" % name)
    for directory, _, files in os.walk(installed.lib):
        for name in files:
            if name.endswith((".pc", ".cmake")):
                with open(os.path.join(directory, name)) as file:
                    text = file.read()
                require(BUILD not in text and SOURCE not in text and ".cache" not in text, "%s names the build" % name)


def check_command(installed):
    command = os.path.join(installed.prefix, "bin/varve")
    if not os.path.exists(command):
        raise Skip("the command is not built")
    run(command, "--help", env={"PATH": os.environ["PATH"]})


def check_readme_program(installed):
    """The C blocks of README.md that have a main are complete programs."""
    path = os.path.join(SOURCE, "README.md")
    if not os.path.exists(path):
        raise Skip("there is no README.md")
    with open(path) as file:
        blocks = [b for b in re.findall(r"^```c\n(.*?)^```", file.read(), re.S | re.M) if re.search(r"\bmain\s*\(", b)]
    require(blocks, "README.md has no program")
    for number, block in enumerate(blocks):
        source = os.path.join(installed.work, "readme-%d.c" % number)
        with open(source, "w") as file:
            file.write(block)
        program = source[:-2]
        run("gcc", "-std=c11", "-D_GNU_SOURCE", "-Wall", "-Wextra", "-Werror", source, "-o", program,
            *installed.flags("--cflags", "--libs", "varve_changelog"))
        if "varve_changelog_" not in block: # the others want a broker
            run(program, cwd=tempfile.mkdtemp(dir=installed.work), env=installed.environment)


def main():
    checks = {name[6:].replace("_", "-"): check for name, check in globals().items() if name.startswith("check_")}
    failures = 0
    with tempfile.TemporaryDirectory(prefix="varve-install-") as work:
        try:
            installed = Installed(work)
        except CheckFailed as failure:
            print("%s\nnot ok - installation" % failure)
            return 1
        print("ok - installation")
        for name, check in checks.items():
            try:
                check(installed)
                print("ok - %s" % name)
            except Skip as reason:
                print("ok - %s # SKIP %s" % (name, reason))
            except CheckFailed as failure:
                failures += 1
                print("%s\nnot ok - %s" % (failure, name))
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
