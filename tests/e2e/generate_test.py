"""A trained model answers the lines of a file or of a pipe: in their order, over any number of windows, with the model's own
outputs, and wrong inputs leave nothing half-written."""

import json
import os
import subprocess
import unittest

from harness import PLUMBLINE, EndToEnd, tiny_rows

USAGE, DATA, ENVIRONMENT = 2, 3, 6
SHORT = ["--max-new-tokens", 24]


class Generate(EndToEnd):
    def setUp(self):
        super().setUp()
        self.make_dataset()
        self.plumbline("train", "tiny.yaml", "--run", "run", "--workers", 1, "--set", "train.steps=4", "--set", "checkpoint.every=4")
        self.sources = [row["source"] for row in tiny_rows()["mirror.jsonl"]][:12] + ["", "naïve ≥ 3"]
        self.put("in.txt", "".join(source + "\n" for source in self.sources))
        self.put("in.jsonl", "".join(json.dumps({"id": i, "source": source}) + "\n" for i, source in enumerate(self.sources)))

    def put(self, name, text):
        (self.dir / name).write_text(text, encoding="utf-8")

    def generate(self, *args, status=0, stdin=None, model="run"):
        """Exit status checked; (stdout, stderr)."""
        command = [str(PLUMBLINE), "generate", model, *map(str, SHORT), *map(str, args)]
        done = subprocess.run(command, cwd=self.dir, input=stdin, capture_output=True, timeout=120,
                              **({} if stdin is not None else {"stdin": subprocess.DEVNULL}))
        self.assertEqual(done.returncode, status, f"{' '.join(command)}\n{done.stderr.decode()}")
        return done.stdout.decode(), done.stderr.decode()

    def objects(self, text):
        return [json.loads(line) for line in text.split("\n") if line]

    def test_file_pipe_and_windows_give_the_same_in_order(self):
        self.generate("--input", "in.jsonl", "--json", "--out", "out.jsonl")
        answers = self.objects((self.dir / "out.jsonl").read_text(encoding="utf-8"))
        self.assertEqual([answer["source"] for answer in answers], self.sources)
        self.assertTrue(all(set(answer) == {"source", "output", "complete"} for answer in answers), "an id is not handed on")
        self.assertEqual(len(list(self.dir.glob(".out*"))), 0)

        plain, _ = self.generate("--input", "in.txt")
        escaped = [answer["output"].replace("\n", "\\n").replace("\r", "\\r") for answer in answers]
        self.assertEqual(plain.split("\n"), escaped + [""])
        piped, _ = self.generate(stdin=(self.dir / "in.txt").read_bytes())
        self.assertEqual(piped, plain)
        # Many more lines than a window of 64 batches of one row; each line's answer is in its place.
        many, error = self.generate("--batch-rows", 1, stdin=(self.dir / "in.txt").read_bytes() * 11)
        self.assertEqual(many.split("\n"), escaped * 11 + [""])
        self.assertIn(f"answered {11 * len(self.sources)} sources", error)
        checkpoint, _ = self.generate("--input", "in.txt", model="run/checkpoints/step-00000004")
        self.assertEqual(checkpoint, plain)

    def test_beams_and_samples(self):
        greedy, _ = self.generate("--input", "in.txt", "--beams", 1)
        out, _ = self.generate("--input", "in.jsonl", "--json", "--beams", 4, "--length-penalty", 0.5)
        beams = self.objects(out)
        self.assertEqual([answer["source"] for answer in beams], self.sources)
        self.assertTrue(all(answer["score"] < 0 for answer in beams))
        again, _ = self.generate("--input", "in.jsonl", "--json", "--beams", 4, "--length-penalty", 0.5, "--batch-rows", 3)
        self.assertEqual([answer["output"] for answer in self.objects(again)], [answer["output"] for answer in beams])

        draw = ["--input", "in.jsonl", "--json", "--temperature", 1.5, "--samples", 3]
        out, _ = self.generate(*draw)
        drawn = self.objects(out)
        self.assertEqual([(answer["source"], answer["sample"]) for answer in drawn], [(s, i) for s in self.sources for i in range(3)])
        self.assertGreater(len({answer["output"] for answer in drawn}), len(self.sources))
        self.assertEqual(self.generate(*draw)[0], out)
        self.assertNotEqual(self.generate(*draw, "--seed", 2)[0], out)
        self.assertNotEqual(greedy, self.generate("--input", "in.txt", "--temperature", 1.5)[0])

    def test_a_long_source_is_cut_and_counted(self):
        self.put("long.jsonl", json.dumps({"source": "short"}) + "\n\n" + json.dumps({"source": "x" * 90 + "the end"}) + "\n")
        out, error = self.generate("--input", "long.jsonl", "--json", "--max-source-tokens", 8)
        answers = self.objects(out)
        self.assertEqual([answer.get("cut") for answer in answers], [None, True])
        self.assertIn("1 of 2 sources", error)
        self.assertIn("long.jsonl:3", error)
        end, _ = self.generate("--json", stdin=b'{"source": "the end"}')
        self.assertEqual(self.objects(end)[0]["output"], answers[1]["output"])

    def test_nothing_in_nothing_out(self):
        out, _ = self.generate("--out", "none.txt", stdin=b"")
        self.assertEqual((out, (self.dir / "none.txt").read_text(encoding="utf-8")), ("", ""))

    def test_a_reader_that_leaves_ends_it_quietly(self):
        with subprocess.Popen([str(PLUMBLINE), "generate", "run", *map(str, SHORT), "--batch-rows", "1"], cwd=self.dir, text=True,
                              stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as child:
            self.children.append(child)
            child.stdin.write("river\n" * 3000)
            child.stdin.flush()
            self.assertTrue(child.stdout.readline())
            child.stdout.close()
            self.assertEqual(child.wait(60), 0)
            self.assertNotIn("plumbline", child.stderr.read())
            try:
                child.stdin.close()
            except BrokenPipeError:
                pass

    def test_wrong_inputs(self):
        self.put("bad.jsonl", '{"source": "a"}\n{"source": \n')
        (self.dir / "bad.txt").write_bytes(b"a\nb\nc\xff\n")
        self.put("there.txt", "mine")
        for args, status, fragments in (
                (["--input", "bad.jsonl", "--json"], DATA, ["bad.jsonl:2"]),
                (["--input", "bad.txt"], DATA, ["bad.txt:3", "UTF-8"]),
                (["--input", "in.txt", "--json"], DATA, ["in.txt:1"]),
                (["--input", "absent.txt"], DATA, ["absent.txt"]),
                (["--input", "in.txt", "--beams", 2, "--temperature", 1], USAGE, ["--beams"]),
                (["--input", "in.txt", "--samples", 2], USAGE, ["--temperature"]),
                (["--input", "in.txt", "--temperature", "nan"], USAGE, ["--temperature"])):
            _, error = self.generate(*args, "--out", "x.txt", status=status)
            for fragment in fragments:
                self.assertIn(fragment, error)
            self.assertEqual([path.name for path in self.dir.iterdir() if "x.txt" in path.name], [], args)
        _, error = self.generate("--input", "in.txt", "--out", "there.txt", status=USAGE)
        self.assertIn("--replace", error)
        self.assertEqual((self.dir / "there.txt").read_text(encoding="utf-8"), "mine")
        self.generate("--input", "in.txt", "--out", "there.txt", "--replace")
        self.assertEqual((self.dir / "there.txt").read_text(encoding="utf-8").count("\n"), len(self.sources))
        _, error = self.generate("--input", "in.txt", "--out", "in.txt/x", status=ENVIRONMENT)
        self.assertIn("in.txt/x", error)

    def test_wrong_models(self):
        for model in ("absent", "data"):
            _, error = self.generate("--input", "in.txt", model=model, status=USAGE)
            self.assertIn("neither a run directory nor a folder with a model", error)
        weights = self.dir / "run/checkpoints/step-00000004/model.safetensors"
        weights.write_bytes(weights.read_bytes()[:1000])
        _, error = self.generate("--input", "in.txt", "--out", "x.txt", status=DATA)
        self.assertIn("model.safetensors", error)
        self.assertFalse((self.dir / "x.txt").exists())

    @unittest.skipUnless(os.path.exists("/dev/full"), "there is no /dev/full here")
    def test_a_full_disk(self):
        with open("/dev/full", "wb") as full:
            done = subprocess.run([str(PLUMBLINE), "generate", "run", "--input", "in.txt", *map(str, SHORT)], cwd=self.dir, stdout=full,
                                  stderr=subprocess.PIPE, timeout=120)
        self.assertEqual(done.returncode, 4)
        self.assertIn(b"cannot be written", done.stderr)


if __name__ == "__main__":
    unittest.main()
