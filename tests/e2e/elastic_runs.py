"""Elastic groups under faults: what the tests share that disturb one long enough run and look at its end."""

import datetime
import json
import os
import time

from harness import EndToEnd, wait_until, weights_sha256

STEPS = 160
SETTINGS = ["--set", f"train.steps={STEPS}", "--set", "checkpoint.every=40", "--set", "evaluate.every=40", "--set", "snapshot.every=80"]


def train_lines(run):
    path = run / "metrics.jsonl"
    lines = [json.loads(line) for line in path.read_text().splitlines() if line.endswith("}")] if path.exists() else []
    return [line for line in lines if line["kind"] == "train"]


def newest_step(run):
    lines = train_lines(run)
    return lines[-1]["step"] if lines else 0


def seconds_of(line):
    return datetime.datetime.fromisoformat(line["time"].replace("Z", "+00:00")).timestamp()


class ElasticRuns(EndToEnd):
    undisturbed = {}  # weights by settings: the same in every test's folder
    environment = None  # of the coordinator and its workers
    output = None  # file for what the coordinator says

    def setUp(self):
        super().setUp()
        self.make_dataset()
        self.run_dir = self.dir / "run"

    def train(self, workers=3, *settings, least=1):
        self.settings = [*SETTINGS, *settings]
        self.child = self.start("train", "tiny.yaml", "--run", self.run_dir, "--workers", workers, "--set", f"workers.min={least}", *self.settings,
                                env=self.environment, output=self.output)

    def wait_for_step(self, step, timeout=60):
        wait_until(lambda: newest_step(self.run_dir) >= step or self.child.poll() is not None, timeout, f"step {step}")
        self.assertIsNone(self.child.poll(), "training is over before the fault")

    def pids(self, count=None):
        """Process numbers by rank, once `count` workers take part."""
        def present():
            workers = self.status(self.run_dir)["workers"]
            return workers if count is None or len(workers) == count else None

        return {worker["rank"]: worker["pid"] for worker in wait_until(present, what=f"{count} workers")}

    def fault(self, pids, number):
        """Sends the signal; the time, and the step that was the newest."""
        at = time.time()
        for pid in pids:
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                pass
        return at

    def check_end(self, fault_at=None, what="", longest=None):
        """The run finishes by itself, exactly, with one line a step."""
        output, _ = self.child.communicate(timeout=600)
        self.assertEqual(self.child.returncode, 0, (output or self.output.read_text())[-4000:])
        self.assertEqual(weights_sha256(self.run_dir), self.alone())
        lines = train_lines(self.run_dir)
        if fault_at is None:
            return
        after = [seconds_of(line) - fault_at for line in lines if seconds_of(line) > fault_at + 0.02]
        print(f"{what}: {after[0]:.2f} s from the fault to the next step", flush=True)
        if longest is not None:
            self.assertLess(after[0], longest)

    def alone(self):
        """The weights of a run of these settings that nothing happens to."""
        key = " ".join(self.settings)
        if key not in self.undisturbed:
            name = f"alone-{len(self.undisturbed)}"
            self.plumbline("train", "tiny.yaml", "--run", name, "--workers", "1", *self.settings, timeout=600)
            self.undisturbed[key] = weights_sha256(self.dir / name)
        return self.undisturbed[key]

    def check_one_line_a_step(self):
        self.assertEqual([line["step"] for line in train_lines(self.run_dir)], list(range(1, STEPS + 1)))
