"""Memory that runs out in a worker: the run ends at once with one error that says where, doing what, and which keys need less.

The fault library refuses tensors above a size to one worker, from the moment on at which a file is there.
"""

import unittest

from fault_library import faults
from harness import EndToEnd, journal

SETTINGS = ["--workers", "2", "--set", "train.steps=8", "--set", "checkpoint.every=2"]


class OutOfMemory(EndToEnd):
    def setUp(self):
        super().setUp()
        self.make_dataset()
        self.run_dir = self.dir / "run"

    def run_out(self, since, number, *more):
        env = faults("plumbline-worker", arguments=f"--worker {number}", memory=16384, since=since)
        _, error = self.plumbline("train", "tiny.yaml", "--run", self.run_dir, *SETTINGS, *more, status=6, env=env)
        self.assertEqual(len(journal(self.run_dir, "run_failed")), 1)
        self.assertEqual(len(journal(self.run_dir, "generation_started")), 1, "nobody tries it again")
        self.assertEqual(journal(self.run_dir, "worker_lost"), [])
        self.assertNotIn("frame #", error)
        self.assertNotIn("Exception raised from", error)
        return error[error.rindex("plumbline: "):]

    def test_in_a_step(self):
        error = self.run_out(self.run_dir / "metrics.jsonl", 1)
        for words in ('out of memory in the stage "', "MiB more were asked for", "are free", "worker 1 on "):
            self.assertIn(words, error)
        # Most of a step computes a batch, whose size is said then; the rest, sums and the optimizer, has none.
        self.assertRegex(error, r"sources? of up to \d+ tokens|train\.micro_batch_tokens|evaluate\.batch_rows")

    def test_while_the_model_is_built(self):
        error = self.run_out(self.run_dir / "config.yaml", 0)
        self.assertIn('out of memory in the stage "starting"', error)
        for key in ("optimizer.name: adafactor", "lora.rank"):
            self.assertIn(key, error)

    def test_a_run_that_needs_less_goes_on(self):
        self.run_out(self.run_dir / "checkpoints" / "step-00000004", 1, "--set", "evaluate.every=0")
        self.plumbline("resume", self.run_dir, "--set", "train.activations=recompute")
        self.assertEqual(journal(self.run_dir, "run_finished")[-1]["data"]["step"], 8)


if __name__ == "__main__":
    unittest.main()
