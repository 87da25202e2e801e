#!/usr/bin/env python3
"""Do the rooms depend one way only, in what they include and in what they link?

    rooms.py ROOT

Checked, each finding with file and line:
  - coordinator -> common <- worker: no include the other way or sideways;
  - torch, MPI, NCCL and CUDA headers only in worker/; yaml-cpp only in common/config;
  - a room links each room that it includes (itself or through another), and links no room against the direction;
  - the rooms' links form no circle;
  - nothing stands at the root beyond what docs/architecture.md lists.
Exit status: 0 nothing found, 1 something found.
"""
import pathlib
import re
import subprocess
import sys

SIDES = ("common", "coordinator", "worker")
ALLOWED_SIDES = {"common": {"common"}, "coordinator": {"coordinator", "common"}, "worker": {"worker", "common"}}
WORKER_ONLY = re.compile(r"^(torch/|ATen/|c10/|caffe2/|cuda|nccl|mpi\.h)")
WORKER_ONLY_LINKS = re.compile(r"^(MPI::|plumbline_torch|torch|c10|nccl|CUDA::)")
AT_ROOT = {"CMakeLists.txt", "CMakePresets.json", "CHANGELOG.md", "LICENSE", "README.md", "plumbline",
           "common", "coordinator", "worker", "configs", "slurm", "tests", "docs"}
INCLUDE = re.compile(r'^\s*#\s*include\s*[<"]([^>"]+)[>"]')
TARGET = re.compile(r"(plumbline_room|plumbline_worker_room|target_link_libraries)\s*\(\s*([\w-]+)([^)]*)\)")


def tracked(root):
    """Files that git tracks; outside a repository, all files."""
    listed = subprocess.run(["git", "-C", str(root), "ls-files", "-z"], capture_output=True, text=True, check=False)
    if listed.returncode == 0 and listed.stdout:
        return sorted(name for name in listed.stdout.split("\0") if name and (root / name).exists())
    return sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file())


def code_of(line):
    return line.split("#", 1)[0]


class Rooms:
    """Targets of common/, coordinator/ and worker/ as the CMake files declare them."""

    def __init__(self, root, files):
        self.links = {}      # target -> linked names
        self.place = {}      # target -> (file, line)
        self.of_source = {}  # source file -> target
        for name in files:
            if name.split("/")[0] in SIDES and (name.endswith("CMakeLists.txt") or name.endswith(".cmake")):
                self._read(root, name)

    def _read(self, root, name):
        text = "\n".join(code_of(line) for line in (root / name).read_text().splitlines())
        folder = name.rsplit("/", 1)[0]
        for match in TARGET.finditer(text):
            command, target, rest = match.groups()
            words = rest.split()
            if target not in self.links:
                self.links[target] = []
                self.place[target] = (name, text.count("\n", 0, match.start()) + 1)
            if command == "target_link_libraries":
                self.links[target] += [w for w in words if w not in ("PUBLIC", "PRIVATE", "INTERFACE")]
                continue
            part = None
            for word in words:
                if word in ("SOURCES", "LINKS"):
                    part = word
                elif part == "SOURCES":
                    self.of_source[f"{folder}/{word}"] = target
                elif part == "LINKS":
                    self.links[target].append(word)
            if command == "plumbline_worker_room":
                self.links[target].append("plumbline_torch")

    def side(self, target):
        return self.place[target][0].split("/")[0]

    def reach(self, target):
        """The target and all that it links, directly or not."""
        seen, todo = set(), [target]
        while todo:
            current = todo.pop()
            if current not in seen:
                seen.add(current)
                todo += self.links.get(current, [])
        return seen

    def target_of(self, name):
        """The target whose sources lie in the folder of `name`; None when that is not one target."""
        if name in self.of_source:
            return self.of_source[name]
        source = re.sub(r"\.hpp$", ".cpp", name)
        if source in self.of_source:
            return self.of_source[source]
        folder = name.rsplit("/", 1)[0]
        here = {t for s, t in self.of_source.items() if s.rsplit("/", 1)[0] == folder}
        return here.pop() if len(here) == 1 else None


def include_findings(root, files, rooms):
    for name in files:
        side = name.split("/")[0]
        if side not in SIDES or not name.endswith((".hpp", ".cpp", ".h", ".cu")):
            continue
        own = rooms.target_of(name)
        for number, line in enumerate((root / name).read_text().splitlines(), 1):
            match = INCLUDE.match(line)
            if not match:
                continue
            header, where = match.group(1), f"{name}:{number}"
            other = header.split("/")[0]
            if other in SIDES and other not in ALLOWED_SIDES[side]:
                yield f"{where}: {side}/ may not include {other}/ ({header})"
            elif side != "worker" and WORKER_ONLY.match(header):
                yield f"{where}: only worker/ may include {header}"
            elif header.startswith("yaml-cpp/") and not name.startswith("common/config/"):
                yield f"{where}: only common/config may include yaml-cpp"
            elif other in SIDES and own:
                needed = rooms.target_of(header)
                if needed and needed not in rooms.reach(own):
                    yield f"{where}: {own} includes {header} but does not link {needed} ({rooms.place[own][0]})"


def link_findings(rooms):
    for target, links in sorted(rooms.links.items()):
        side = rooms.side(target)
        where = "{}:{}".format(*rooms.place[target])
        for linked in links:
            if linked in rooms.place and rooms.side(linked) not in ALLOWED_SIDES[side]:
                yield f"{where}: {target} of {side}/ may not link {linked} of {rooms.side(linked)}/"
            if side != "worker" and WORKER_ONLY_LINKS.match(linked):
                yield f"{where}: only worker/ may link {linked} ({target})"
            if linked != target and target in rooms.reach(linked):
                yield f"{where}: {target} and {linked} link each other"


def root_findings(files):
    for entry in sorted({name.split("/")[0] for name in files}):
        if entry not in AT_ROOT and not entry.startswith("."):
            yield f"{entry}: nothing else stands at the root"


def findings(root):
    files = tracked(root)
    rooms = Rooms(root, files)
    if not rooms.links:
        yield f"{root}: no room was found"
    yield from include_findings(root, files, rooms)
    yield from link_findings(rooms)
    yield from root_findings(files)


def main():
    root = pathlib.Path(sys.argv[1]).resolve()
    found = list(findings(root))
    for finding in found:
        print(finding)
    print(f"rooms: {len(found)} findings")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
