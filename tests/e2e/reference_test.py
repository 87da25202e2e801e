"""The start model's log-probs: kept beside the dataset, shared by runs, gone on with after a kill, never moving a bit."""

import os
import shutil
import signal
import unittest

from harness import EndToEnd, journal, wait_until, weights_sha256, write_jsonl, tiny_rows

COMPUTING = "computing the start model's log-probs"


class Reference(EndToEnd):
    def setUp(self):
        super().setUp()
        self.make_dataset()

    def train(self, run, *options, workers=1):
        self.plumbline("train", "tiny.yaml", "--run", run, "--workers", workers, *options)
        return weights_sha256(self.dir / run), self.log(run)

    def log(self, run):
        return (self.dir / run / "logs" / "worker-0000.log").read_text()

    def parts(self, folder="data/reference"):
        return sorted((self.dir / folder).glob("*/*.h5"))

    def test_a_second_run_reads_what_the_first_computed(self):
        expected, log = self.train("first")
        self.assertIn(COMPUTING, log)
        files = self.parts()
        self.assertTrue(files)
        self.assertFalse((self.dir / "first" / "reference").exists())
        again, log = self.train("second", workers=3)
        self.assertEqual(again, expected)
        self.assertIn("read from cache", log)
        self.assertNotIn(COMPUTING, log)
        self.assertEqual(self.parts(), files)
        # Other steps, another learning rate and another objective that compares: the same start model.
        _, log = self.train("longer", "--set", "train.steps=30", "--set", "norms.polite.objective=ipo", "--set", "optimizer.learning_rate=1e-3")
        self.assertNotIn(COMPUTING, log)
        _, log = self.train("another", "--set", "seed=6")
        self.assertIn(COMPUTING, log)
        self.assertEqual(len({file.parent for file in self.parts()}), 2, "a folder a model")

    def test_a_shorter_runs_share_is_read_by_a_longer_one(self):
        few = ["--set", "train.steps=1", "--set", "evaluate.examples=2"]
        self.train("short", *few)
        files = self.parts()
        expected, log = self.train("long")
        self.assertRegex(log, r"reference log-probs: [1-9]\d* of \d+ groups")
        self.assertIn(COMPUTING, log)
        self.assertLess(set(files), set(self.parts()))
        shutil.rmtree(self.dir / "data" / "reference")
        self.assertEqual(self.train("anew")[0], expected)

    def test_a_damaged_part_is_named_and_computed_again(self):
        expected, _ = self.train("first")
        file = self.parts()[0]
        content = bytearray(file.read_bytes())
        content[len(content) // 2] ^= 1
        file.write_bytes(content)
        again, log = self.train("second")
        self.assertEqual(again, expected)
        self.assertIn(file.name, log)
        self.assertIn(COMPUTING, log)

    def test_a_dataset_that_cannot_be_written_to_leaves_them_in_the_run(self):
        expected, _ = self.train("first")
        shutil.rmtree(self.dir / "data" / "reference")
        (self.dir / "data" / "reference").write_text("in the way, also of root")
        again, log = self.train("second")
        self.assertEqual(again, expected)
        self.assertIn("cannot be kept in", log)
        self.assertTrue(self.parts("second/reference"))

    def test_killed_while_it_computes_and_gone_on_with(self):
        for file, rows in tiny_rows(count=400).items():
            write_jsonl(self.dir / file, rows)
        self.plumbline("curate", "recipe.yaml", "--out", "larger")
        # Large enough that computing takes a few seconds, of which the first part takes half a one.
        options = ["--data", "larger", "--set", "model.d_model=256", "--set", "model.num_layers=6", "--set", "model.num_decoder_layers=6",
                   "--set", "train.steps=3", "--set", "train.global_batch=96", "--set", "norms.mirror.objective=kto", "--set", "norms.no-secret.objective=kto"]
        run = self.dir / "killed"
        train = self.start("train", "tiny.yaml", "--run", run, "--workers", 2, *options)
        wait_until(lambda: self.parts("larger/reference"), what="a part")
        workers = self.status(run)["workers"]
        self.assertEqual({worker["phase"] for worker in workers}, {"reference"}, "there is more to compute")
        os.kill(workers[-1]["pid"], signal.SIGKILL)
        self.assertEqual(train.wait(240), 0)
        self.assertGreaterEqual(len(journal(run, "generation_started")), 2)
        starts = self.log("killed").split("groups of examples are read from cache")
        self.assertRegex(starts[0], r"log-probs: 0 of \d+ $")
        self.assertRegex(starts[1], r"log-probs: [1-9]\d* of \d+ $", "what was there is not computed again")
        shutil.rmtree(self.dir / "larger" / "reference")
        self.plumbline("train", "tiny.yaml", "--run", "alone", "--workers", 1, *options)
        self.assertEqual(weights_sha256(run), weights_sha256(self.dir / "alone"))


if __name__ == "__main__":
    unittest.main()
