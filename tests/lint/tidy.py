#!/usr/bin/env python3
"""clang-tidy over the sources that a build compiles: the newest changed first, for a bounded time.

    tidy.py BUILD [--jobs N] [--minutes M] [FILE…]

A file takes ten to thirty seconds of one core, so all of them do not fit into each CI run; what a change touches comes
first. `--minutes 0` takes as long as it takes. Files that were not reached are counted, not passed over in silence.
Exit status: 0 nothing found, 1 something found, 2 nothing to check.
"""
import argparse
import concurrent.futures
import json
import pathlib
import re
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
SIDES = ("common/", "coordinator/", "worker/")


def newest_first(files):
    """Sorted by the commit that changed a file last, the newest first; the command line's sources before the worker's,
    which take longest."""
    log = subprocess.run(["git", "-C", str(ROOT), "log", "--format=", "--name-only"], capture_output=True, text=True, check=False).stdout
    age = {}
    for name in log.splitlines():
        age.setdefault(name, len(age))
    return sorted(files, key=lambda name: (name.startswith("worker/"), age.get(name, -1)))


def compiled(build):
    entries = json.loads((build / "compile_commands.json").read_text())
    paths = {pathlib.Path(entry["directory"], entry["file"]).resolve() for entry in entries}
    names = {str(path.relative_to(ROOT)) for path in paths if path.is_relative_to(ROOT)}
    return sorted(name for name in names if name.startswith(SIDES))


HEADERS = {"pch": "common/pch.hpp", "test_pch": "tests/pch.hpp", "torch_pch": "worker/torch_pch.hpp"}


def without_precompiled_headers(build):
    """The build's commands in a folder of their own, without GCC's precompiled headers: Clang cannot read them, so it reads
    what they were made from."""
    entries = json.loads((build / "compile_commands.json").read_text())
    for entry in entries:
        entry["command"] = re.sub(r"-include \S+/plumbline_(\w+)\.dir/cmake_pch\.hxx",
                                  lambda found: f"-include {ROOT}/{HEADERS[found[1]]}", entry["command"])
    folder = build / "tidy"
    folder.mkdir(exist_ok=True)
    (folder / "compile_commands.json").write_text(json.dumps(entries))
    return folder


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("build", type=pathlib.Path)
    parser.add_argument("files", nargs="*")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--minutes", type=float, default=7)
    options = parser.parse_args()
    files = options.files or newest_first(compiled(options.build.resolve()))
    database = without_precompiled_headers(options.build.resolve())
    deadline = time.monotonic() + 60 * options.minutes if options.minutes else float("inf")
    checked, found = 0, []

    def check(name):
        if time.monotonic() > deadline:
            return name, None
        done = subprocess.run(["clang-tidy-16", "-p", str(database), "--quiet", "--extra-arg=-Wno-unknown-warning-option", name],
                              cwd=ROOT, capture_output=True, text=True, check=False)
        return name, done

    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        for name, done in pool.map(check, files):
            if done is None:
                continue
            checked += 1
            if done.returncode != 0:
                found.append(name)
                print(done.stdout.strip() or done.stderr.strip(), flush=True)
    print(f"clang-tidy: {checked} of {len(files)} files checked, {len(found)} with findings")
    if checked == 0:
        return 2
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
