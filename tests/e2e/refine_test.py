"""A model's own outputs become examples: the same ones after an interruption and on any number of workers, and `curate`
and `train` take them as they are."""

import json
import signal
import unittest

from harness import EndToEnd, wait_until

SECOND = """\
name: second
norms:
  mirror:
    description: The output repeats the source in capitals.
    objective: sft
    judge: rules
    rules: {not_a_copy: true}
sources:
  - {name: own, norm: mirror, format: jsonl, path: own.jsonl, part: train}
  - {name: test, norm: mirror, format: dataset, path: data, split: heldout, part: heldout}
"""

SAMPLING = ["--data", "data", "--norm", "mirror", "--samples", 6, "--batch-rows", 4, "--max-new-tokens", 40, "--temperature", 1.3]


class Refine(EndToEnd):
    def setUp(self):
        super().setUp()
        self.make_dataset()
        self.plumbline("train", "tiny.yaml", "--run", "run", "--workers", 1, "--set", "train.steps=4", "--set", "checkpoint.every=4")

    def refine(self, out, *more, status=0):
        return self.plumbline("refine", "run", *SAMPLING, "--out", out, *more, status=status)

    def lines(self, name):
        return [json.loads(line) for line in (self.dir / name).read_text().splitlines()]

    def test_samples_do_not_depend_on_workers_or_interruptions(self):
        out, _ = self.refine("one.jsonl", "--workers", 1, "--json")
        counts = json.loads(out)
        self.assertEqual(counts["outputs"], 6 * counts["sources"])
        self.assertEqual(counts["sources"], counts["preferences"] + counts["demonstrations"] + counts["prohibitions"] + counts["skipped"])
        self.refine("three.jsonl", "--workers", 3)
        self.assertEqual((self.dir / "one.jsonl").read_text(), (self.dir / "three.jsonl").read_text())

        parts = self.dir / "cut.jsonl.parts"
        child = self.start("refine", "run", *SAMPLING, "--out", "cut.jsonl", "--workers", 2)
        wait_until(lambda: any(p.stat().st_size for p in parts.glob("part-*.jsonl")), what="the first samples")
        child.send_signal(signal.SIGKILL)
        child.wait(20)
        self.assertFalse((self.dir / "cut.jsonl").exists(), "nothing half-written")
        part = max(parts.glob("part-*.jsonl"), key=lambda p: p.stat().st_size)
        part.write_bytes(part.read_bytes()[:-7])  # a line that a crash cut
        _, error = self.refine("cut.jsonl", "--workers", 1, status=2)
        self.assertIn("other settings", error)
        self.refine("cut.jsonl", "--workers", 2)
        self.assertEqual((self.dir / "one.jsonl").read_text(), (self.dir / "cut.jsonl").read_text())
        self.assertFalse(parts.exists())

    def test_curate_and_train_take_them(self):
        self.refine("own.jsonl", "--given")
        self.assertTrue(all("source" in line and "desired" in line for line in self.lines("own.jsonl")))
        (self.dir / "second.yaml").write_text(SECOND)
        self.plumbline("curate", "second.yaml", "--out", "second")
        checkpoint = self.dir / "run" / "checkpoints" / "step-00000004"
        self.plumbline("train", "tiny.yaml", "--run", "again", "--workers", 1, "--set", "data=second", "--set", "train.steps=2",
                       "--set", f"model={{init: {checkpoint}}}", "--set", "train.global_batch=12")
        rows = (self.dir / "again/evaluation/step-00000002.jsonl").read_text().splitlines()
        held_out = (self.dir / "run/evaluation/step-00000004.jsonl").read_text()
        self.assertTrue(rows, "held-out examples were answered")
        self.assertTrue(any(json.loads(row)["id"] in held_out for row in rows), "the first dataset's held-out examples are held out again")

    def test_wrong_inputs(self):
        _, error = self.plumbline("refine", "run", "--data", "data", "--out", "x.jsonl", status=2)
        self.assertIn("polite, mirror, no-secret", error)
        _, error = self.plumbline("refine", "data", "--data", "data", "--norm", "mirror", "--out", "x.jsonl", status=2)
        self.assertIn("neither a run directory nor a folder with a model", error)
        (self.dir / "there.jsonl").write_text("mine")
        _, error = self.refine("there.jsonl", status=2)
        self.assertIn("there already", error)
        self.assertEqual((self.dir / "there.jsonl").read_text(), "mine")
        weights = self.dir / "run/checkpoints/step-00000004/model.safetensors"
        weights.write_bytes(weights.read_bytes()[:1000])
        _, error = self.refine("x.jsonl", status=4)
        self.assertIn("model.safetensors", error)
        self.assertFalse((self.dir / "x.jsonl").exists())


if __name__ == "__main__":
    unittest.main()
