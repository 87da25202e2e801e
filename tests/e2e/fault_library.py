"""Faults at chosen system calls of the programs under test: the variables of fault_library.cpp, and a run that is disturbed at one
of its calls and must end as if nothing had happened."""

import concurrent.futures
import json
import os
import pathlib
import shutil
import subprocess
import time
import typing
import unittest

from harness import BIN, PLUMBLINE, EndToEnd, standing_metrics

LIBRARY = BIN / "libplumbline_faults.so"
MEASURED = {"time", "seconds", "tokens_per_second", "model_flops_per_second", "phase_seconds"}  # differ from run to run

# How many points each test takes of all: every kth. Which, an offset says, which is another one each time.
POINTS = os.environ.get("PLUMBLINE_FAULT_POINTS", "5")
OFFSET = int(os.environ.get("PLUMBLINE_FAULT_OFFSET", str(int(time.time()))))


class Call(typing.NamedTuple):
    """One counted call: its number from 1, its name, the file below the root (or the bytes), and whether the fault was there."""
    number: int
    name: str
    what: str
    is_fault: bool


def need_library():
    if not LIBRARY.exists():
        raise unittest.SkipTest(f"{LIBRARY} is not built (a build with sanitizers has none): build the target plumbline_faults")


def faults(program, root=None, at=None, do=None, **more):
    """The environment for one plan; `more` are further variables by their lower-case names (kind, call, least, token, …)."""
    need_library()
    plan = {"program": program, "root": root, "at": at, "do": do, **more}
    return {"LD_PRELOAD": str(LIBRARY), **{f"PLUMBLINE_FAULT_{key.upper()}": str(value) for key, value in plan.items() if value is not None}}


def listed(path):
    """The calls in a list that the library wrote."""
    path = pathlib.Path(path)
    calls = []
    for line in path.read_text().splitlines() if path.exists() else []:
        number, name, what = line.split(" ", 2)
        calls.append(Call(int(number), name, what.removesuffix(" !"), what.endswith(" !")))
    return calls


def record(run):
    """All that a finished run must have in common with one that nothing happened to, bit for bit."""
    metrics = {key: {name: value for name, value in line.items() if name not in MEASURED} for key, line in standing_metrics(run).items()}
    evaluation = {path.name: path.read_text() for path in sorted((run / "evaluation").iterdir()) if not path.name.startswith(".")}
    return {"metrics": metrics, "evaluation": evaluation, "checkpoints": sorted(path.name for path in (run / "checkpoints").iterdir()),
            "snapshots": sorted(path.name for path in (run / "snapshots").iterdir() if not path.name.startswith(".")),
            "weights": json.loads(evaluation["summary.json"])["weights_sha256"]}


class DisturbedRuns(EndToEnd):
    """Short runs of two workers, one for each point of the enumeration, each in a folder of its own."""

    SETTINGS = ["--workers", "2", "--set", "train.steps=4", "--set", "checkpoint.every=2", "--set", "evaluate.every=2",
                "--set", "snapshot.every=2", "--set", "checkpoint.keep=1"]

    def setUp(self):
        need_library()
        super().setUp()
        self.make_dataset()

    def run_program(self, *args, env=None):
        return subprocess.run([PLUMBLINE, *map(str, args)], cwd=self.dir, text=True, capture_output=True, timeout=300, stdin=subprocess.DEVNULL,
                              env={**os.environ, **(env or {})})

    def count(self, program, arguments=None, kind=None):
        """The calls of an undisturbed run, whose record is what all others must end with."""
        folder = self.dir / "counted"
        folder.mkdir()
        self.plumbline("train", "tiny.yaml", "--run", folder / "run", *self.SETTINGS,
                       env=faults(program, folder, arguments=arguments, kind=kind, list=self.dir / "calls"))
        self.expected = record(folder / "run")
        return listed(self.dir / "calls")

    def sample(self, points, always=lambda call, deed: False):
        """Every kth, or all: $PLUMBLINE_FAULT_POINTS. Among them those that `always` names: where there was something once."""
        step = 1 if POINTS == "all" else max(1, len(points) // int(POINTS))
        taken = [point for index, point in enumerate(points) if index % step == OFFSET % step or always(*point)]
        print(f"{self.id()}: {len(taken)} of {len(points)} points (PLUMBLINE_FAULT_OFFSET={OFFSET})", flush=True)
        return taken

    def check_all(self, points, check):
        """Two at a time; `check(folder, call, deed)` raises AssertionError."""
        def one(point):
            call, deed = point
            folder = self.dir / f"{call.number}-{deed}"
            folder.mkdir()
            try:
                check(folder, call, deed)
            except (AssertionError, subprocess.TimeoutExpired) as error:
                wrong = f"{deed} at call {call.number}, {call.name} {call.what}: {error}"
                print(f"\n{wrong}", flush=True)
                return wrong
            shutil.rmtree(folder)
            return None

        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            wrong = [error for error in pool.map(one, points) if error]
        self.assertFalse(wrong, "\n\n".join([f"{len(wrong)} of {len(points)} points", *wrong]))

    def check_same(self, run, what):
        """The run's record, part by part."""
        found = record(run)
        for part, expected in self.expected.items():
            if found[part] != expected:
                raise AssertionError(f"{what}: {part} differs: {json.dumps(str(found[part]))[:1500]} instead of {str(expected)[:1500]}")

    def go_on(self, run):
        """Resumes it, or begins it again where the fault came before there was a run."""
        if not (run / "journal.jsonl").exists():
            if run.exists():
                raise AssertionError(f"half of a run directory: {sorted(path.name for path in run.iterdir())}")
            done = self.run_program("train", "tiny.yaml", "--run", run, *self.SETTINGS)
        else:
            done = self.run_program("resume", run)
        if done.returncode != 0:
            raise AssertionError(f"going on ended with status {done.returncode}: {done.stderr[-3000:]}")
