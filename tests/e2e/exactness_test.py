"""The contract: the same run ends with the same weights on 1, 2, 3 and 4 workers, stopped and resumed, or with a worker killed."""

import os
import shutil
import signal
import unittest

from harness import EndToEnd, journal, wait_until, weights_sha256


class Exactness(EndToEnd):
    def setUp(self):
        super().setUp()
        self.make_dataset()
        self.plumbline("train", "tiny.yaml", "--run", "one", "--workers", 1)
        self.expected = weights_sha256(self.dir / "one")

    def test_same_weights_on_any_number_of_workers(self):
        for workers in (2, 3, 4):
            with self.subTest(workers=workers):
                run = f"workers-{workers}"
                shutil.rmtree(self.dir / "data" / "reference")  # computed again by these workers
                out, _ = self.plumbline("train", "tiny.yaml", "--run", run, "--workers", workers)
                self.assertEqual(weights_sha256(self.dir / run), self.expected)
                self.assertIn(self.expected, out, "the hash is printed at the run's end")

    def test_stopped_and_resumed_at_another_worker_count(self):
        run = self.dir / "stopped"
        steps = ["--set", "train.steps=240", "--set", "checkpoint.every=8"]
        train = self.start("train", "tiny.yaml", "--run", run, "--workers", 2, *steps)
        wait_until(lambda: journal(run, "checkpoint_committed"), what="a checkpoint")
        self.plumbline("stop", run)
        self.assertEqual(train.wait(60), 5, "a stopped run exits with 5: stopped, resumable")
        stopped_at = journal(run, "checkpoint_committed")[-1]["data"]["step"]
        self.assertLess(stopped_at, 240)
        self.plumbline("resume", run, "--workers", 3)
        self.plumbline("train", "tiny.yaml", "--run", "alone", "--workers", 1, *steps)
        self.assertEqual(weights_sha256(run), weights_sha256(self.dir / "alone"))

    def test_a_killed_worker_is_replaced_unaided(self):
        run = self.dir / "killed"
        steps = ["--set", "train.steps=120", "--set", "checkpoint.every=8"]
        train = self.start("train", "tiny.yaml", "--run", run, "--workers", 2, *steps)
        wait_until(lambda: len(journal(run, "checkpoint_committed")) >= 2, what="two checkpoints")
        victim = max(self.status(run)["workers"], key=lambda worker: worker["rank"])
        os.kill(victim["pid"], signal.SIGKILL)
        self.assertEqual(train.wait(120), 0)
        self.assertGreaterEqual(len(journal(run, "generation_started")), 2)
        self.plumbline("train", "tiny.yaml", "--run", "alone", "--workers", 1, *steps)
        self.assertEqual(weights_sha256(run), weights_sha256(self.dir / "alone"))

    def test_a_lost_terminal_stops_with_a_checkpoint(self):
        run = self.dir / "hung-up"
        train = self.start("train", "tiny.yaml", "--run", run, "--workers", 2, "--set", "train.steps=100000")
        wait_until(lambda: journal(run, "checkpoint_committed"), what="a checkpoint")
        train.send_signal(signal.SIGHUP)
        self.assertEqual(train.wait(60), 5)
        self.assertEqual(journal(run, "run_stopped")[-1]["data"]["step"], journal(run, "checkpoint_committed")[-1]["data"]["step"])

    def test_early_stopping_ends_at_one_step_whatever_happens(self):
        # A model of random weights answers in gibberish, which breaks no norm: no rate is ever lower than the first.
        early = ["--set", "train.steps=240", "--set", "evaluate.every=8", "--set", "evaluate.judged=4", "--set", "evaluate.patience=3",
                 "--set", "evaluate.generations=6", "--set", "checkpoint.every=1"]
        for workers in (1, 3):
            self.plumbline("train", "tiny.yaml", "--run", f"early-{workers}", "--workers", workers, *early)
            ended = journal(self.dir / f"early-{workers}", "early_stop")
            self.assertEqual([entry["data"]["step"] for entry in ended], [24])
        run = self.dir / "killed"
        train = self.start("train", "tiny.yaml", "--run", run, "--workers", 2, *early)
        wait_until(lambda: len(journal(run, "rate_measured")) >= 2, what="two measurements")
        victim = max(self.status(run)["workers"], key=lambda worker: worker["rank"])
        os.kill(victim["pid"], signal.SIGKILL)
        self.assertEqual(train.wait(120), 0)
        self.assertEqual(journal(run, "run_finished")[-1]["data"]["step"], 24)
        for other in ("early-3", "killed"):
            self.assertEqual(weights_sha256(self.dir / other), weights_sha256(self.dir / "early-1"))
        out, err = self.plumbline("resume", run)
        self.assertIn("has finished already", out + err)
        self.plumbline("resume", run, "--set", "evaluate.patience=0", "--set", "train.steps=32")
        self.assertEqual(journal(run, "run_finished")[-1]["data"]["step"], 32)

    def test_a_killed_coordinator_leaves_a_resumable_run(self):
        run = self.dir / "orphaned"
        steps = ["--set", "train.steps=120", "--set", "checkpoint.every=8"]
        train = self.start("train", "tiny.yaml", "--run", run, "--workers", 2, "--set", "control.orphan_ms=0", *steps)
        wait_until(lambda: len(journal(run, "checkpoint_committed")) >= 1, what="a checkpoint")
        workers = [worker["pid"] for worker in self.status(run)["workers"]]
        train.kill()
        train.wait()

        def gone(pid):
            try:
                with open(f"/proc/{pid}/stat", encoding="utf-8") as stat:
                    return stat.read().rsplit(")", 1)[1].split()[0] == "Z"
            except FileNotFoundError:
                return True

        wait_until(lambda: all(gone(pid) for pid in workers), what="the workers' end")
        self.plumbline("resume", run)
        self.plumbline("train", "tiny.yaml", "--run", "alone", "--workers", 1, *steps)
        self.assertEqual(weights_sha256(run), weights_sha256(self.dir / "alone"))


if __name__ == "__main__":
    unittest.main()
