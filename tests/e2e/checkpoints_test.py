"""Checkpoints that do not stay what they were: a run goes on from the newest one that verifies, and ends as if nothing had happened."""

import json
import os
import shutil
import signal
import unittest

from harness import EndToEnd, journal, standing_metrics, wait_until, weights_sha256, while_a_checkpoint_is_written

# Workers end with their coordinator: those who outlive it need no checkpoint.
STEPS = ["--set", "train.steps=120", "--set", "checkpoint.every=8", "--set", "control.orphan_ms=0"]


class Checkpoints(EndToEnd):
    def setUp(self):
        super().setUp()
        self.make_dataset()
        self.plumbline("train", "tiny.yaml", "--run", "alone", *STEPS)
        self.expected = weights_sha256(self.dir / "alone")

    def interrupted_run(self, name, damage):
        """The run of STEPS, its coordinator killed behind its second checkpoint and its newest checkpoint damaged; the steps committed."""
        run = self.dir / name
        train = self.start("train", "tiny.yaml", "--run", run, *STEPS)
        wait_until(lambda: len(journal(run, "checkpoint_committed")) >= 2, what="two checkpoints")
        train.kill()
        train.wait()
        committed = [entry["data"]["step"] for entry in journal(run, "checkpoint_committed")]
        newest = run / "checkpoints" / f"step-{committed[-1]:08}"
        damage(newest)
        return run, committed

    def resumes_exactly(self, name, damage, file, kept=True):
        run, committed = self.interrupted_run(name, damage)
        self.assertLess(committed[-1], 120)
        self.plumbline("resume", run)
        aside = journal(run, "checkpoint_set_aside")
        self.assertEqual([(entry["data"]["step"], entry["data"]["instead"]) for entry in aside], [(committed[-1], committed[-2])])
        data = aside[0]["data"]
        self.assertTrue(data["file"].endswith(file), data)
        self.assertIn(f"the checkpoint of step {committed[-1]} is set aside", (run / "logs" / "coordinator.log").read_text())
        if kept:
            self.assertTrue((run / data["moved_to"]).is_dir(), "nothing is deleted")
        self.assertEqual(journal(run, "generation_started")[-1]["data"]["start_step"], committed[-2])
        self.assertEqual(weights_sha256(run), self.expected)
        self.assertEqual([step for kind, step in standing_metrics(run) if kind == "train"], list(range(1, 121)))

    def test_a_flipped_bit(self):
        def flip(folder):
            content = bytearray((folder / "model.safetensors").read_bytes())
            content[len(content) // 2] ^= 1
            (folder / "model.safetensors").write_bytes(content)

        self.resumes_exactly("flipped", flip, "model.safetensors")

    def test_a_cut_file(self):
        def cut(folder):
            path = folder / "optimizer-exp_avg.safetensors"
            os.truncate(path, path.stat().st_size // 2)

        self.resumes_exactly("cut", cut, "optimizer-exp_avg.safetensors")

    def test_a_folder_that_is_gone(self):
        self.resumes_exactly("gone", shutil.rmtree, "", kept=False)

    def killed_while_writing(self, name, workers, launcher):
        """A run of which everything is killed while a checkpoint is half written; none when that checkpoint was committed all the same."""
        run = self.dir / name
        train = self.start("train", "tiny.yaml", "--run", run, "--workers", workers, "--launcher", launcher, *STEPS)
        wait_until(lambda: len(journal(run, "checkpoint_committed")) >= 2, what="two checkpoints")
        pids = [worker["pid"] for worker in self.status(run)["workers"]]
        folder = while_a_checkpoint_is_written(run, lambda: train.poll() is not None)
        for pid in [train.pid, *pids]:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        train.wait()
        return run if folder is not None and folder.exists() else None

    def test_everything_killed_while_one_is_written(self):
        for workers, launcher in ((1, "local"), (3, "local"), (2, "mpirun")):
            with self.subTest(workers=workers, launcher=launcher):
                runs = (self.killed_while_writing(f"torn-{launcher}-{workers}-{attempt}", workers, launcher) for attempt in range(8))
                run = next(filter(None, runs), None)
                self.assertIsNotNone(run, "no kill met a checkpoint in the making")
                committed = [entry["data"]["step"] for entry in journal(run, "checkpoint_committed")]
                self.plumbline("resume", run)
                self.assertEqual(journal(run, "generation_started")[-1]["data"]["start_step"], committed[-1])
                self.assertEqual(weights_sha256(run), self.expected)
                self.assertEqual([step for kind, step in standing_metrics(run) if kind == "train"], list(range(1, 121)))
                self.assertEqual(list((run / "checkpoints").glob(".*")), [], "nothing half written is left")

    def test_none_that_verifies_is_an_error_and_settings_are_not_stored(self):
        def cut_all(newest):
            for folder in newest.parent.glob("step-*"):
                os.truncate(folder / "model.safetensors", 100)

        run, committed = self.interrupted_run("hopeless", cut_all)
        before = {file: (run / file).read_bytes() for file in ("config.yaml", "journal.jsonl")}
        folders = sorted(path.name for path in (run / "checkpoints").iterdir())
        _, err = self.plumbline("resume", run, "--set", "train.steps=240", status=3)
        self.assertIn("none of the run's checkpoints", err)
        self.assertIn(f"step-{committed[-1]:08}/model.safetensors", err)
        self.assertEqual({file: (run / file).read_bytes() for file in before}, before)
        self.assertEqual(sorted(path.name for path in (run / "checkpoints").iterdir()), folders)

    def test_settings_that_are_accepted_are_stored(self):
        self.plumbline("resume", "alone", "--set", "train.steps=128", "--set", "checkpoint.keep=4")
        run = self.dir / "alone"
        self.assertEqual(journal(run, "configuration_changed")[-1]["data"], {"train.steps": "128", "checkpoint.keep": "4"})
        self.assertEqual(journal(run, "run_finished")[-1]["data"]["step"], 128)
        self.assertIn("steps: 128", (run / "config.yaml").read_text())

    def test_what_retention_keeps(self):
        self.plumbline("train", "tiny.yaml", "--run", "kept", *STEPS, "--set", "evaluate.every=8", "--set", "checkpoint.keep=1",
                       "--set", "checkpoint.keep_every=40", "--set", "checkpoint.keep_best=1")
        run = self.dir / "kept"
        losses = {}
        for line in map(json.loads, (run / "metrics.jsonl").read_text().splitlines()):
            if line["kind"] == "heldout" and line["step"] > 0:
                losses[line["step"]] = sum(norm["loss"] for norm in line["norms"].values()) / len(line["norms"])
        best = min(losses, key=losses.get)
        kept = sorted(int(path.name.removeprefix("step-")) for path in (run / "checkpoints").iterdir())
        self.assertEqual(kept, sorted({40, 80, 120, best}))


if __name__ == "__main__":
    unittest.main()
