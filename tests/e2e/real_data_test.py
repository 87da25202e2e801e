"""Real input: ParaDetox and HH harmless, curated and trained on two workers from a small random model. Skips, saying so, without the data."""

import json
import unittest

from harness import SHARED, SOURCE, EndToEnd

PARADETOX = SHARED / "paradetox" / "paradetox.tsv"
HH = SHARED / "hh-harmless" / "harmless-base.jsonl.gz"
BALIFAM = SHARED / "balifam" / "ref"


def held_out_losses(run, norm):
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [line["norms"][norm]["nll_loss"] for line in lines if line["kind"] == "heldout"]


class RealData(EndToEnd):
    def train(self, config, data, norm, *steps):
        run = self.dir / config
        self.plumbline("train", SOURCE / "configs" / f"{config}.yaml", "--data", data, "--run", run, "--workers", 2, *steps,
                       "--set", "evaluate.generations=16", "--set", "evaluate.examples=48", "--set", "snapshot.examples=32",
                       "--set", "evaluate.max_new_tokens=48", timeout=600)
        losses = held_out_losses(run, norm)
        self.assertLess(losses[-1], 0.9 * losses[0], f"held-out loss per token: {losses}")

    @unittest.skipUnless(PARADETOX.exists(), f"no {PARADETOX.name}: set PLUMBLINE_SHARED_DATA to the folder that holds paradetox/")
    def test_paradetox(self):
        self.plumbline("curate", SOURCE / "configs/data/paradetox.yaml", "--source", f"paradetox={PARADETOX}", "--out", "data")
        info = json.loads((self.dir / "data" / "dataset.json").read_text())
        left_out = info["provenance"]["left_out"]["paradetox"]
        # 110 pairs are the same byte for byte; 27 more differ in letter case, white space and punctuation only.
        self.assertEqual(left_out["desired_equals_undesired"]["count"], 110)
        self.assertEqual(left_out["desired_equals_undesired_in_words"]["count"], 27)
        lines = PARADETOX.read_text(encoding="utf-8").split("\n")
        for number in left_out["desired_equals_undesired"]["lines"]:
            cells = lines[number - 1].split("\t")
            self.assertIn(cells[0], cells[1:])
        card = (self.dir / "data" / "README.md").read_text()
        self.assertIn("**110** of paradetox", card)
        self.train("paradetox", self.dir / "data", "detoxify", "--set", "train.steps=30", "--set", "evaluate.every=15")

    @unittest.skipUnless(HH.exists(), f"no {HH.name}: set PLUMBLINE_SHARED_DATA to the folder that holds hh-harmless/")
    def test_hh_harmless(self):
        self.plumbline("curate", SOURCE / "configs/data/hh-harmless.yaml", "--source", f"hh-harmless={HH}", "--out", "data")
        self.train("hh-harmless", self.dir / "data", "harmless", "--set", "train.steps=16", "--set", "evaluate.every=8",
                   "--set", "optimizer.warmup_steps=4")

    @unittest.skipUnless(BALIFAM.exists(), "no balifam/ref: set PLUMBLINE_SHARED_DATA to the folder that holds balifam/")
    def test_balifam(self):
        self.plumbline("curate", SOURCE / "configs/data/balifam.yaml", "--source", f"balifam={BALIFAM}", "--out", "data")
        out, _ = self.plumbline("inspect", "data", "--json")
        json.loads(out)


if __name__ == "__main__":
    unittest.main()
