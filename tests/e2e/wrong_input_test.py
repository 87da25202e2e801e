"""Wrong inputs: each gives one clear message with file, line or key and the right exit status, and leaves nothing half-written."""

import json
import os
import pathlib
import shutil
import socket
import subprocess
import unittest

from harness import CONFIG, PLUMBLINE, RECIPE, EndToEnd, journal, tiny_rows, wait_until, write_jsonl

USAGE, DATA, RUN, STOPPED, ENVIRONMENT = 2, 3, 4, 5, 6


class WrongInput(EndToEnd):
    def assert_error(self, args, status, *fragments, env=None, absent=()):
        _, err = self.plumbline(*args, status=status, env=env)
        for fragment in fragments:
            self.assertIn(fragment, err)
        self.assertNotIn("terminate called", err)
        for path in absent:
            self.assertFalse((self.dir / path).exists(), f"{path} was left behind")
        return err

    def recipe(self, text=RECIPE, **rows):
        for file, content in {**tiny_rows(), **rows}.items():
            write_jsonl(self.dir / file, content)
        (self.dir / "recipe.yaml").write_text(text)

    # --- the command line and the configuration
    def test_unknown_key(self):
        self.make_dataset()
        (self.dir / "bad.yaml").write_text(CONFIG.replace("train: {steps: 12", "train: {stepz: 12"))
        self.assert_error(["train", "bad.yaml", "--run", "r"], USAGE, "bad.yaml:5", "train.stepz", "steps", absent=["r"])

    def test_wrong_type(self):
        self.make_dataset()
        (self.dir / "bad.yaml").write_text(CONFIG.replace("seed: 5", "seed: five"))
        self.assert_error(["train", "bad.yaml", "--run", "r"], USAGE, "bad.yaml:2", "seed", absent=["r"])
        self.assert_error(["train", "tiny.yaml", "--run", "r", "--set", "train.lanes=many"], USAGE, "train.lanes", absent=["r"])

    def test_missing_files(self):
        self.assert_error(["train", "absent.yaml"], USAGE, "absent.yaml")
        self.assert_error(["curate", "absent.yaml", "--out", "d"], USAGE, "absent.yaml", absent=["d"])
        (self.dir / "tiny.yaml").write_text(CONFIG)
        self.assert_error(["train", "tiny.yaml", "--run", "r"], DATA, "data", "curate", absent=["r"])
        self.assert_error(["resume", "nowhere"], DATA, "nowhere")
        self.assert_error(["status", "nowhere"], DATA, "nowhere")
        self.assert_error(["inspect", "nowhere"], DATA, "nowhere")

    def test_a_source_that_is_not_there(self):
        self.recipe()
        (self.dir / "mirror.jsonl").unlink()
        self.assert_error(["curate", "recipe.yaml", "--out", "d"], DATA, "mirror.jsonl", absent=["d"])

    def test_a_column_that_stands_twice(self):
        (self.dir / "twice.csv").write_text("q,a,q\nx,y,z\n")
        (self.dir / "recipe.yaml").write_text(
            "name: n\nnorms: {n: {description: d, objective: sft, judge: rules, rules: {not_a_copy: true}}}\n"
            "sources: [{name: s, norm: n, format: csv, path: twice.csv, columns: {source: q, desired: a}}]\n")
        self.assert_error(["curate", "recipe.yaml", "--out", "d"], DATA, "twice.csv:1", 'several columns "q"', absent=["d"])

    def test_what_a_file_holds_does_not_reach_the_terminal_as_a_command(self):
        self.recipe()
        (self.dir / "mirror.jsonl").write_text('{"source": "x", "\\u001b[31mfoo": "y"}\n')
        err = self.assert_error(["curate", "recipe.yaml", "--out", "d"], DATA, "mirror.jsonl:1", "foo", absent=["d"])
        self.assertNotIn("\x1b", err)

    def test_sampling_that_is_no_number(self):
        self.make_dataset()
        self.plumbline("train", "tiny.yaml", "--run", "run", "--workers", 1, "--set", "train.steps=1")
        for option in ("--temperature", "--top-p"):
            self.assert_error(["refine", "run", "--data", "data", "--norm", "mirror", "--out", "o.jsonl", option, "nan"], USAGE, option,
                              absent=["o.jsonl", "o.jsonl.parts"])

    def test_two_refines_with_one_output(self):
        self.make_dataset()
        self.plumbline("train", "tiny.yaml", "--run", "run", "--workers", 1, "--set", "train.steps=1")
        words = ["refine", "run", "--data", "data", "--norm", "mirror", "--out", "o.jsonl", "--samples", 32, "--max-new-tokens", 200]
        first = self.start(*words, "--workers", 1)
        wait_until(lambda: (self.dir / "o.jsonl.parts/task.json").exists(), what="the first one's start")
        self.assert_error([*words, "--workers", 1], USAGE, "another refine is at work", "o.jsonl")
        self.assertEqual(first.wait(120), 0)

    def test_quickstart_leaves_other_runs_alone(self):
        self.make_dataset()
        self.plumbline("train", "tiny.yaml", "--run", "mine", "--workers", 1, "--set", "train.steps=1")
        for more in ([], ["--replace"]):
            self.assert_error(["quickstart", "--run", "mine", *more], USAGE, "mine", "left alone")
        self.assertTrue((self.dir / "mine/journal.jsonl").exists())
        self.assert_error(["quickstart", "--run", "mine", "--replace", "--set", "train.stepz=1"], USAGE, "train.stepz")
        self.assertTrue((self.dir / "mine/journal.jsonl").exists())

    def test_quickstart_leaves_other_folders_beside_its_run_alone(self):
        self.make_dataset()
        (self.dir / "data").rename(self.dir / "q-pairs")
        (self.dir / "p-preferences").mkdir()
        (self.dir / "p-preferences/notes.txt").write_text("mine")
        for run, theirs in (("q", "q-pairs"), ("p", "p-preferences")):
            for more in ([], ["--replace"]):
                self.assert_error(["quickstart", "--run", run, *more], USAGE, theirs, "left alone", absent=[run])
        self.assertTrue((self.dir / "q-pairs/dataset.json").exists())
        self.assertTrue((self.dir / "p-preferences/notes.txt").exists())

    def test_more_workers_than_lanes(self):
        self.make_dataset()
        self.assert_error(["train", "tiny.yaml", "--run", "r", "--workers", 13], USAGE, "lanes", absent=["r"])

    def test_unknown_command(self):
        self.plumbline("trian", status=USAGE)
        self.plumbline(status=USAGE)

    # --- the data
    def test_broken_json_in_line_7(self):
        self.recipe()
        lines = (self.dir / "polite.jsonl").read_text().splitlines()
        lines[6] = lines[6][:-5]
        (self.dir / "polite.jsonl").write_text("\n".join(lines) + "\n")
        self.assert_error(["curate", "recipe.yaml", "--out", "d"], DATA, "polite.jsonl:7", absent=["d"])

    def test_bad_utf8(self):
        self.recipe()
        lines = (self.dir / "polite.jsonl").read_bytes().splitlines()
        lines[2] = lines[2].replace(b"friend", b"fri\xff\xfend")
        (self.dir / "polite.jsonl").write_bytes(b"\n".join(lines) + b"\n")
        self.assert_error(["curate", "recipe.yaml", "--out", "d"], DATA, "polite.jsonl:3", "UTF-8", absent=["d"])

    def test_empty_dataset(self):
        self.recipe(**{"polite.jsonl": [], "mirror.jsonl": [], "secret.jsonl": []})
        self.assert_error(["curate", "recipe.yaml", "--out", "d"], DATA, "no example", absent=["d"])

    def test_ragged_fasta(self):
        (self.dir / "a.fasta").write_text(">x\nAC-GT\n>y\nACG\n>z\nACGGT\n")
        (self.dir / "recipe.yaml").write_text(
            "name: f\nseed: 1\nheld_out: 0.5\nnorms:\n  valid: {description: d, objective: sft, judge: rules, rules: {alignment: true}, "
            "fallback: left_justified, score: column}\nsources:\n  - {name: f, norm: valid, format: fasta, path: a.fasta}\n")
        self.assert_error(["curate", "recipe.yaml", "--out", "d"], DATA, "a.fasta", "y", absent=["d"])

    def test_truncated_shard(self):
        data = self.make_dataset()
        shard = data / "train-00000.h5"
        shard.write_bytes(shard.read_bytes()[:-200])
        self.assert_error(["train", "tiny.yaml", "--run", "r"], DATA, "train-00000.h5", absent=["r"])
        self.assert_error(["inspect", shard], DATA, "train-00000.h5")

    def test_dataset_of_another_tokenizer(self):
        data = self.make_dataset()
        info = json.loads((data / "dataset.json").read_text())
        info["tokenizer"] = "sentencepiece"
        (data / "dataset.json").write_text(json.dumps(info))
        self.assert_error(["train", "tiny.yaml", "--run", "r"], DATA, "tokenizer", absent=["r"])

    def test_curate_does_not_overwrite(self):
        self.make_dataset()
        before = (self.dir / "data" / "dataset.json").read_bytes()
        self.assert_error(["curate", "recipe.yaml", "--out", "data"], USAGE, "--replace")
        self.assertEqual((self.dir / "data" / "dataset.json").read_bytes(), before)

    # --- the run
    def test_a_flipped_byte_in_a_checkpoint(self):
        self.make_dataset()
        run = self.dir / "run"
        self.plumbline("train", "tiny.yaml", "--run", run)
        newest = sorted((run / "checkpoints").glob("step-*"))[-1]
        model = newest / "model.safetensors"
        content = bytearray(model.read_bytes())
        content[len(content) // 2] ^= 1
        model.write_bytes(content)
        self.assert_error(["inspect", newest], DATA, "model.safetensors")
        self.assert_error(["train", "tiny.yaml", "--run", "r2", "--set", f"model={{init: {newest}}}"], DATA, "model.safetensors", absent=["r2"])

    def test_train_refuses_an_existing_run(self):
        self.make_dataset()
        self.plumbline("train", "tiny.yaml", "--run", "run")
        before = (self.dir / "run" / "journal.jsonl").read_bytes()
        self.assert_error(["train", "tiny.yaml", "--run", "run"], USAGE, "resume")
        self.assertEqual((self.dir / "run" / "journal.jsonl").read_bytes(), before)

    def test_a_port_in_use(self):
        self.make_dataset()
        with socket.socket() as busy:
            busy.bind(("127.0.0.1", 0))
            busy.listen()
            port = busy.getsockname()[1]
            self.assert_error(["train", "tiny.yaml", "--run", "r", "--set", f"control.port={port}"], ENVIRONMENT, str(port), "control.port")

    def test_no_mpirun(self):
        self.make_dataset()
        tools = self.dir / "bin"
        tools.mkdir()
        self.assert_error(["train", "tiny.yaml", "--run", "r", "--workers", 2, "--launcher", "mpirun"], ENVIRONMENT, "mpirun", "openmpi-bin", env={"PATH": str(tools)})

    def test_a_peer_without_the_secret(self):
        self.make_dataset()
        run = self.dir / "run"
        train = self.start("train", "tiny.yaml", "--run", run, "--set", "train.steps=400")
        wait_until(lambda: (run / "coordinator.json").exists(), what="coordinator.json")
        impostor = self.dir / "impostor"
        impostor.mkdir()
        shutil.copy(run / "coordinator.json", impostor)
        for file in ("journal.jsonl", "config.yaml"):
            shutil.copy(run / file, impostor)
        (impostor / "secret").write_text("0" * 64)
        (impostor / "secret").chmod(0o600)
        _, err = self.plumbline("stop", impostor, status=USAGE)
        self.assertIn("secret", err)
        self.assertIsNone(train.poll(), "the run goes on")
        self.plumbline("stop", run)
        self.assertEqual(train.wait(60), STOPPED)

    def test_two_coordinators_for_one_run(self):
        self.make_dataset()
        run = self.dir / "run"
        train = self.start("train", "tiny.yaml", "--run", run, "--set", "train.steps=400")
        wait_until(lambda: journal(run, "generation_started"), what="the run's start")
        self.assert_error(["resume", run], USAGE, str(train.pid))
        self.plumbline("stop", run)
        self.assertEqual(train.wait(60), STOPPED)

    @unittest.skipUnless(os.geteuid() == 0, "mounting a small file system needs root")
    def test_a_full_disk_while_saving(self):
        self.make_dataset()
        small = self.dir / "small"
        small.mkdir()
        mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", str(small)], capture_output=True, text=True)
        if mounted.returncode != 0:
            self.skipTest(f"no tmpfs can be mounted here: {mounted.stderr.strip()}")
        self.addCleanup(lambda: subprocess.run(["umount", "-l", str(small)]))
        run = small / "run"
        wide = ["--set", "model.d_model=64", "--set", "model.d_ff=256"]
        _, err = self.plumbline("train", "tiny.yaml", "--run", run, *wide, status=RUN)
        self.assertIn("disk is full", err)
        self.assertEqual(list((run / "checkpoints").glob(".step-*.partial/model.safetensors")), [])
        # With room again the run ends as if nothing had happened.
        subprocess.run(["mount", "-o", "remount,size=200m", str(small)], check=True)
        self.plumbline("resume", run)
        self.plumbline("train", "tiny.yaml", "--run", "alone", *wide)
        hashes = {json.loads((r / "evaluation" / "summary.json").read_text())["weights_sha256"] for r in (run, self.dir / "alone")}
        self.assertEqual(len(hashes), 1)


if __name__ == "__main__":
    unittest.main()
