"""LoRA: the adapter's bits on any number of workers and through a stop, what a checkpoint of it is, and refusals."""

import hashlib
import json
import unittest

from harness import EndToEnd, journal, wait_until, weights_sha256

LORA = ["--set", "lora={rank: 4, alpha: 8, dropout: 0.1, targets: [q, v, wo]}"]
DATA, USAGE = 3, 2


def newest(run):
    return sorted((run / "checkpoints").glob("step-*"))[-1]


def adapter_bytes(run):
    return (newest(run) / "adapter/adapter_model.safetensors").read_bytes()


class Lora(EndToEnd):
    def setUp(self):
        super().setUp()
        self.make_dataset()

    def test_stopped_and_resumed_the_same_bits(self):
        run = self.dir / "stopped"
        steps = [*LORA, "--set", "train.steps=160", "--set", "checkpoint.every=8"]
        train = self.start("train", "tiny.yaml", "--run", run, "--workers", 2, *steps)
        wait_until(lambda: journal(run, "checkpoint_committed"), what="a checkpoint")
        self.plumbline("stop", run)
        self.assertEqual(train.wait(60), 5)
        self.assertLess(journal(run, "checkpoint_committed")[-1]["data"]["step"], 160)
        self.plumbline("resume", run, "--workers", 3)
        self.plumbline("train", "tiny.yaml", "--run", "alone", "--workers", 1, *steps)
        self.assertEqual(weights_sha256(run), weights_sha256(self.dir / "alone"))
        self.assertEqual(adapter_bytes(run), adapter_bytes(self.dir / "alone"))

    def test_a_checkpoint_starts_runs_by_its_weights_and_by_its_adapter(self):
        self.plumbline("train", "tiny.yaml", "--run", "base", "--set", "train.steps=4")
        base, run = newest(self.dir / "base"), self.dir / "run"
        start = ["--set", f"model={{init: {base}}}"]
        self.plumbline("train", "tiny.yaml", "--run", run, *start, *LORA)
        saved = newest(run)
        out, _ = self.plumbline("inspect", saved, "--json")
        inspected = json.loads(out)
        self.assertEqual(inspected["adapter"]["rank"], 4)
        self.assertEqual(inspected["adapter"]["targets"], ["q", "v", "wo"])
        self.assertEqual(inspected["weights_sha256"], hashlib.sha256((saved / "model.safetensors").read_bytes()).hexdigest())
        self.assertEqual(inspected["weights_sha256"], weights_sha256(run))
        self.assertNotEqual((saved / "model.safetensors").read_bytes(), (base / "model.safetensors").read_bytes())
        for name, file in {f["name"]: f for f in json.loads((saved / "MANIFEST.json").read_text())["files"]}.items():
            self.assertEqual(file["sha256"], hashlib.sha256((saved / name).read_bytes()).hexdigest())
        self.plumbline("train", "tiny.yaml", "--run", "merged", "--set", f"model={{init: {saved}}}", "--set", "train.steps=1")
        again = f"lora={{rank: 4, alpha: 8, targets: [q, v, wo], init: {saved / 'adapter'}}}"
        self.plumbline("train", "tiny.yaml", "--run", "again", *start, "--set", again, "--set", "train.steps=1")
        losses = {name: self.held_out_at_start(name) for name in ("run", "merged", "again")}
        for norm in ("mirror", "no-secret"):
            self.assertAlmostEqual(losses["merged"][norm], losses["again"][norm], 5)
            self.assertNotAlmostEqual(losses["merged"][norm], losses["run"][norm], 4)
        # Each has its start model as dpo's reference: the merged weights, or those without the adapter.
        self.assertLess(losses["again"]["polite"], losses["run"]["polite"])
        self.assertNotAlmostEqual(losses["merged"]["polite"], losses["again"]["polite"], 3)

    def held_out_at_start(self, run):
        lines = [json.loads(line) for line in (self.dir / run / "metrics.jsonl").read_text().splitlines()]
        first = next(line for line in lines if line["kind"] == "heldout")
        self.assertEqual(first["step"], 0)
        return {name: norm["loss"] for name, norm in first["norms"].items()}

    def test_refusals(self):
        self.plumbline("train", "tiny.yaml", "--run", "base", "--set", "train.steps=4")
        self.plumbline("train", "tiny.yaml", "--run", "other", "--set", "train.steps=5", "--set", "seed=6")
        base = newest(self.dir / "base")
        start = ["--set", f"model={{init: {self.dir / 'start'}}}"]
        (self.dir / "start").mkdir()
        for name in ("config.json", "model.safetensors"):
            (self.dir / "start" / name).write_bytes((base / name).read_bytes())
        self.assert_refused(["--set", "lora={rank: 2, targets: [wi]}"], USAGE, "no projection wi")
        run = self.dir / "run"
        self.plumbline("train", "tiny.yaml", "--run", run, *start, *LORA)
        adapter = newest(run) / "adapter"
        self.assert_refused(["--set", f"lora={{rank: 8, init: {adapter}}}"], USAGE, "rank: 4, alpha: 8")
        weights = newest(self.dir / "other") / "model.safetensors"
        (self.dir / "start/model.safetensors").write_bytes(weights.read_bytes())
        _, error = self.plumbline("resume", run, "--set", "train.steps=16", status=DATA)
        self.assertIn("another start model", error)

    def assert_refused(self, options, code, words):
        _, error = self.plumbline("train", "tiny.yaml", "--run", "refused", *options, status=code)
        self.assertIn(words, error)
        self.assertFalse((self.dir / "refused").exists())


if __name__ == "__main__":
    unittest.main()
