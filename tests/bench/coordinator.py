"""The suite `coordinator`: a real coordinator under simulated workers (coordinator_load.cpp), and training beside strangers."""
import json
import pathlib
import shutil
import subprocess
import tempfile
import time

import ratios
from material import MODELS, MaterialFailed, say

MIB = 2**20
CROWD, GROUP, STRANGERS = 10_000, 64, 5_000
RENDEZVOUS_MS, ANSWER_MS, CORES, RESIDENT_MIB = 300, 50, 1, 1024
KEPT_SPEED = 0.98
DEADLINE = 120


class Coordinator:
    """`plumbline train` as a process of its own, in a run directory that goes with it."""

    def __init__(self, material, config, *arguments):
        self.home = pathlib.Path(tempfile.mkdtemp(prefix="plumbline-bench-"))
        self.run, self.log = self.home / "run", self.home / "log"
        self.program = material.bin / "plumbline"
        with self.log.open("w") as log:
            self.process = subprocess.Popen([str(word) for word in (self.program, "train", material.write_config(config), "--run", self.run,
                                                                    *arguments)], stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        self.wait_for(lambda: (self.run / "coordinator.json").exists(), "a coordinator")

    def wait_for(self, condition, what, seconds=DEADLINE):
        deadline = time.monotonic() + seconds
        while not condition():
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise MaterialFailed(f"{what} did not come:\n{self.log.read_text()[-3000:]}")
            time.sleep(0.05)

    def train_lines(self):
        """Of every step that was reported so far but perhaps the last."""
        file = self.run / "metrics.jsonl"
        lines = file.read_text().splitlines() if file.exists() else []
        return [line for line in map(json.loads, lines[:-1]) if line["kind"] == "train"]

    def seconds_of_steps(self):
        return [line["seconds"] for line in self.train_lines()]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.terminate()
        try:
            self.process.wait(DEADLINE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        shutil.rmtree(self.home, ignore_errors=True)


def load(material, *arguments):
    """What coordinator_load reports."""
    done = subprocess.run([str(word) for word in (material.bin / "coordinator_load", *arguments)], text=True, capture_output=True)
    if done.returncode != 0:
        raise MaterialFailed(f"coordinator_load failed with status {done.returncode}:\n{done.stderr[-3000:]}")
    return json.loads(done.stdout)


def crowd_config(material, workers):
    """A run whose steps nobody computes."""
    batch = max(workers, 12)
    return {"seed": 1, "data": str(material.fixed(16, 16, count=12_000)), "model": MODELS["tiny"],
            "train": {"steps": 1_000_000, "global_batch": batch, "lanes": batch, "max_source_tokens": 16, "max_output_tokens": 16},
            "checkpoint": {"every": 1_000_000}, "norms": {"bench": {"objective": "sft"}}}


def joined(material, workers, seconds):
    with Coordinator(material, crowd_config(material, workers), "--launcher", "external") as coordinator:
        report = load(material, "join", coordinator.run, "--workers", workers, "--seconds", seconds)
        # All have vanished at once: a group that a person started is not started again, so the run ends.
        start = time.monotonic()
        try:
            coordinator.process.wait(DEADLINE)
        except subprocess.TimeoutExpired as late:
            raise MaterialFailed(f"the coordinator has not ended {DEADLINE} s after its workers") from late
        log = coordinator.log.read_text().splitlines()
        return report | {"ended_s": time.monotonic() - start, "log_lines": len(log)}


def beside_limit(case, unit, measured, limit, **more):
    """A row whose other side is a limit: limit ÷ measured, above 1 where it is kept."""
    return {"case": case, "model": "-", "peer": "the limit" if limit else "-", "unit": unit, "target": 1 if limit else None, "aim": None,
            "gate": None, "ratio": ratios.paired(measured, [limit or value for value in measured]), "ours": ratios.median(measured),
            "theirs": limit, **more}


def rendezvous(options, material):
    reports = [joined(material, GROUP, 0) for _ in range(2 if options.quick else options.rounds)]
    return beside_limit(f"{GROUP} workers meet", "ms", [report["rendezvous_ms"] for report in reports], RENDEZVOUS_MS)


def crowd(options, material):
    """Rows of some rounds in which a crowd says all it says."""
    seconds, rounds = (10, 1) if options.quick else (40, 3)
    reports = [joined(material, CROWD, seconds) for _ in range(rounds)]
    lost = sum(report["lost"] for report in reports)
    if lost:
        raise MaterialFailed(f"{lost} of the simulated workers were cut off")
    name = f"{CROWD:,} workers"
    for case, key, limit in (("status answered", "status_ms", ANSWER_MS), ("a client is let in", "enter_ms", ANSWER_MS),
                             ("every worker listed", "list_ms", None), ("a lease reaches a worker", "lease_ms", None)):
        yield beside_limit(f"{name}: {case}, p99", "ms", [report[key]["p99"] for report in reports], limit,
                           answers=[report[key] for report in reports])
    yield beside_limit(f"{name}: cores that the coordinator uses", "cores", [report["cores"] for report in reports], CORES,
                       heartbeats_per_second=ratios.median([report["heartbeats"] / report["seconds"] for report in reports]))
    yield beside_limit(f"{name}: resident at the peak", "MiB", [report["peak_bytes"] / MIB for report in reports], RESIDENT_MIB)
    yield beside_limit(f"{name}: all vanish, and the coordinator has ended", "s", [report["ended_s"] for report in reports], None,
                       log_lines=[report["log_lines"] for report in reports])
    yield beside_limit(f"{name}: all have joined", "s", [report["rendezvous_ms"] / 1000 for report in reports], None)


def beside_strangers(options, material):
    """One worker trains; for a while strangers hold connections, for a while nobody does. A pair of windows is a round."""
    window, rounds = (4, 2) if options.quick else (10, options.rounds)
    config = {"seed": 1, "data": str(material.fixed(128, 128)), "model": MODELS["small"],
              "train": {"steps": 1_000_000, "global_batch": 12, "lanes": 12, "max_source_tokens": 128, "max_output_tokens": 128},
              "checkpoint": {"every": 1_000_000}, "norms": {"bench": {"objective": "sft"}}, "workers": {"threads": 1}}
    with Coordinator(material, config, "--workers", 1) as coordinator:
        coordinator.wait_for(lambda: len(coordinator.seconds_of_steps()) >= 5, "a fifth step")

        def alone():
            before = len(coordinator.seconds_of_steps())
            time.sleep(window)
            return coordinator.seconds_of_steps()[before:]

        def beset():
            told = [str(word) for word in (material.bin / "coordinator_load", "strangers", coordinator.run, "--connections", STRANGERS,
                                           "--seconds", window + 3)]
            with subprocess.Popen(told, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
                time.sleep(2)  # until they are there
                steps = alone()
                out, err = process.communicate()
            if process.returncode != 0:
                raise MaterialFailed(f"coordinator_load failed with status {process.returncode}:\n{err[-3000:]}")
            came.append(json.loads(out))
            if not came[-1]["refused"]:
                raise MaterialFailed("no worker of a past generation was refused: the strangers did not come through")
            return steps

        quiet, disturbed, came = [], [], []
        for r in range(rounds):
            for kind in ("alone", "beset") if r % 2 == 0 else ("beset", "alone"):
                steps = alone() if kind == "alone" else beset()
                if not steps:
                    raise MaterialFailed("a window went by without a step")
                (quiet if kind == "alone" else disturbed).append(ratios.median(steps))
    return {"case": f"training beside {STRANGERS:,} strangers", "model": "small", "peer": "undisturbed", "unit": "steps/s",
            "target": KEPT_SPEED, "aim": None, "gate": None, "ratio": ratios.paired(disturbed, quiet),
            "ours": 1 / ratios.median(disturbed), "theirs": 1 / ratios.median(quiet), "strangers": came}


def run(options, material):
    for name, measure in ((f"{GROUP} workers meet", lambda: [rendezvous(options, material)]),
                          (f"{CROWD:,} workers", lambda: crowd(options, material)),
                          (f"training beside {STRANGERS:,} strangers", lambda: [beside_strangers(options, material)])):
        if options.wants(name):
            say(f"… {name}")
            yield from measure()
