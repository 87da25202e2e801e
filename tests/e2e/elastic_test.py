"""Elastic groups: whatever happens to workers, the run goes on by itself and ends with the weights of one left alone.

Faults are real: signals to real processes. $PLUMBLINE_RANDOM_KILLS sets how many kills the long schedule has (12 by
default). Every test prints how long training stood still, from the fault to the next step's line in metrics.jsonl.
"""

import datetime
import json
import os
import random
import signal
import subprocess
import time
import unittest

from harness import PLUMBLINE, EndToEnd, journal, wait_until, weights_sha256, while_a_checkpoint_is_written

STEPS = 160
SETTINGS = ["--set", f"train.steps={STEPS}", "--set", "checkpoint.every=40", "--set", "evaluate.every=40", "--set", "snapshot.every=80"]
RANDOM_KILLS = int(os.environ.get("PLUMBLINE_RANDOM_KILLS", "12"))


def train_lines(run):
    path = run / "metrics.jsonl"
    lines = [json.loads(line) for line in path.read_text().splitlines() if line.endswith("}")] if path.exists() else []
    return [line for line in lines if line["kind"] == "train"]


def newest_step(run):
    lines = train_lines(run)
    return lines[-1]["step"] if lines else 0


def seconds_of(line):
    return datetime.datetime.fromisoformat(line["time"].replace("Z", "+00:00")).timestamp()


class Elastic(EndToEnd):
    def setUp(self):
        super().setUp()
        self.make_dataset()
        self.run_dir = self.dir / "run"

    def train(self, workers=3, *settings, least=1):
        self.settings = [*SETTINGS, *settings]
        self.child = self.start("train", "tiny.yaml", "--run", self.run_dir, "--workers", workers, "--set", f"workers.min={least}", *self.settings)

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
        output, _ = self.child.communicate(timeout=240)
        self.assertEqual(self.child.returncode, 0, output[-4000:])
        subprocess.run([PLUMBLINE, "train", "tiny.yaml", "--run", "alone", "--workers", "1", *self.settings], cwd=self.dir, check=True,
                       capture_output=True)
        self.assertEqual(weights_sha256(self.run_dir), weights_sha256(self.dir / "alone"))
        lines = train_lines(self.run_dir)
        if fault_at is None:
            return
        after = [seconds_of(line) - fault_at for line in lines if seconds_of(line) > fault_at + 0.02]
        print(f"{what}: {after[0]:.2f} s from the fault to the next step", flush=True)
        if longest is not None:
            self.assertLess(after[0], longest)

    def check_one_line_a_step(self):
        self.assertEqual([line["step"] for line in train_lines(self.run_dir)], list(range(1, STEPS + 1)))

    def test_sigkill_of_each_rank(self):
        for rank in (0, 1, 2):
            with self.subTest(rank=rank):
                self.run_dir = self.dir / f"run-{rank}"
                self.train(3)
                self.wait_for_step(20)
                at = self.fault([self.pids(3)[rank]], signal.SIGKILL)
                self.check_end(at, f"SIGKILL of rank {rank} of 3", longest=20)
                self.check_one_line_a_step()
                self.assertEqual(len(journal(self.run_dir, "worker_lost")), 1)
                subprocess.run(["rm", "-rf", self.dir / "alone"], check=True)

    def test_sigkill_of_two_at_once(self):
        self.train(3)
        self.wait_for_step(20)
        pids = self.pids(3)
        at = self.fault([pids[0], pids[2]], signal.SIGKILL)
        self.check_end(at, "SIGKILL of two of 3", longest=20)
        self.check_one_line_a_step()

    def test_sigkill_while_a_checkpoint_is_written(self):
        for rank in (0, 1):
            with self.subTest(rank=rank):
                self.run_dir = self.dir / f"run-{rank}"
                self.train(3, "--set", "checkpoint.every=8")
                self.wait_for_step(20)
                pids = self.pids(3)
                while_a_checkpoint_is_written(self.run_dir, lambda: self.child.poll() is not None)
                self.assertIsNone(self.child.poll(), "training is over before the fault")
                at = self.fault([pids[rank]], signal.SIGKILL)
                self.check_end(at, f"SIGKILL of rank {rank} of 3 while a checkpoint is written", longest=20)
                self.check_one_line_a_step()
                committed = [entry["data"]["step"] for entry in journal(self.run_dir, "checkpoint_committed")]
                self.assertEqual(committed, sorted(set(committed)))
                self.assertTrue(all(step % 8 == 0 for step in committed), committed)
                self.assertEqual(list((self.run_dir / "checkpoints").glob(".*")), [], "nothing half written is left")
                subprocess.run(["rm", "-rf", self.dir / "alone"], check=True)

    def test_sigkill_of_all_goes_back_to_the_checkpoint(self):
        self.train(3)
        self.wait_for_step(50)
        wait_until(lambda: journal(self.run_dir, "checkpoint_committed"), what="a checkpoint")
        at = self.fault(self.pids(3).values(), signal.SIGKILL)
        self.check_end(at, "SIGKILL of all 3", longest=60)
        self.assertIn("restarted after a loss", [entry["data"]["reason"] for entry in journal(self.run_dir, "generation_started")])

    def test_sigstop_is_taken_for_death(self):
        self.train(2, "--set", "control.worker_timeout_ms=1500")
        self.wait_for_step(20)
        at = self.fault([self.pids(2)[1]], signal.SIGSTOP)
        self.check_end(at, "SIGSTOP of rank 1 of 2 (silence of 1.5 s)", longest=30)
        self.check_one_line_a_step()
        self.assertIn("nothing was heard", journal(self.run_dir, "worker_lost")[0]["data"]["reason"])

    def test_the_group_grows_back(self):
        self.train(3, "--set", "train.steps=100000")
        self.wait_for_step(20)
        self.fault([self.pids(3)[1]], signal.SIGKILL)
        wait_until(lambda: [e for e in journal(self.run_dir, "generation_started") if e["data"]["world"] == 2], what="a group of two")
        wait_until(lambda: journal(self.run_dir, "generation_started")[-1]["data"]["world"] == 3, what="a group of three again")
        self.assertEqual(len(self.pids(3)), 3)
        self.plumbline("stop", self.run_dir)
        self.assertEqual(self.child.wait(60), 5)

    def test_random_kills_lose_nothing(self):
        rng = random.Random(11)
        self.train(4, "--set", f"train.steps={STEPS * max(1, RANDOM_KILLS // 6)}")
        killed = 0
        self.wait_for_step(3)
        while killed < RANDOM_KILLS and self.child.poll() is None:
            # Newcomers too, while they start, join and copy: every process of the group counts.
            workers = subprocess.run(["pgrep", "-f", f"plumbline-worker --join {self.run_dir}"], capture_output=True, text=True).stdout.split()
            if not workers:
                continue
            self.fault([int(rng.choice(workers))], signal.SIGKILL)
            killed += 1
            time.sleep(rng.choice([0.01, 0.1, 0.3, 0.8, 1.5]))
        self.assertEqual(killed, RANDOM_KILLS, "training was over before the last kill")
        self.check_end()
        print(f"{killed} random kills, {len(journal(self.run_dir, 'generation_started'))} generations", flush=True)

    def kill_coordinator(self):
        """SIGKILL; the workers' process numbers and the newest step that was recorded."""
        pids, step = set(self.pids().values()), newest_step(self.run_dir)
        at = self.fault([self.child.pid], signal.SIGKILL)
        self.child.wait()
        return at, pids, step

    def test_a_killed_coordinator_costs_no_step(self):
        self.train(3)
        self.wait_for_step(30)
        at, pids, step = self.kill_coordinator()
        self.child = self.start("resume", self.run_dir)
        self.wait_for_step(step + 20)
        self.assertEqual(set(self.pids(3).values()), pids, "the same workers go on")
        generations = journal(self.run_dir, "generation_started")
        self.assertEqual([entry["data"]["reason"] for entry in generations], ["started", "regrouped"])
        self.assertGreaterEqual(generations[-1]["data"]["start_step"], step)
        self.check_end(at, "SIGKILL of the coordinator, and resume")
        self.check_one_line_a_step()

    def test_workers_die_while_there_is_no_coordinator(self):
        self.train(3)
        self.wait_for_step(30)
        at, pids, step = self.kill_coordinator()
        self.fault([sorted(pids)[0]], signal.SIGKILL)
        self.child = self.start("resume", self.run_dir)
        self.check_end(at, "SIGKILL of the coordinator and of a worker, and resume")
        self.check_one_line_a_step()
        self.assertGreaterEqual(journal(self.run_dir, "generation_started")[1]["data"]["start_step"], step)

    def test_another_configuration_takes_no_orphans(self):
        self.train(2)
        self.wait_for_step(50)
        wait_until(lambda: journal(self.run_dir, "checkpoint_committed"), what="a checkpoint")
        _, pids, _ = self.kill_coordinator()
        self.child = self.start("resume", self.run_dir, "--set", f"train.steps={STEPS + 40}")
        wait_until(lambda: len(journal(self.run_dir, "generation_started")) == 2, what="a new generation")
        self.assertFalse(set(self.pids(2).values()) & pids)
        self.assertEqual(journal(self.run_dir, "generation_started")[-1]["data"]["start_step"], 40, "from the checkpoint")
        output, _ = self.child.communicate(timeout=240)
        self.assertEqual(self.child.returncode, 0, output[-4000:])

    def test_orphans_leave_when_nobody_comes(self):
        self.train(2, "--set", "control.orphan_ms=1500")
        self.wait_for_step(20)
        _, pids, _ = self.kill_coordinator()
        wait_until(lambda: not any(os.path.exists(f"/proc/{pid}") for pid in pids), timeout=30, what="the orphans' end")
        self.plumbline("resume", self.run_dir)

    def test_training_waits_below_the_least_number(self):
        self.train(2, least=2)
        self.wait_for_step(20)
        at = self.fault([self.pids(2)[0]], signal.SIGKILL)
        self.check_end(at, "SIGKILL of one of 2 where 2 are needed", longest=30)
        self.assertEqual({entry["data"]["world"] for entry in journal(self.run_dir, "generation_started")}, {2})
        self.check_one_line_a_step()


if __name__ == "__main__":
    unittest.main()
