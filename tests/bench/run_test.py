"""Ratios, gates and the table of `plumbline bench`; its sides, with stand-ins for the programs."""
import math
import pathlib
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import checkpoint
import coordinator
import machine
import ratios
import sides
import training
from material import RECIPE, Material

ECHO = """\
import json, sys
print(json.dumps({"ready": True}), flush=True)
for line in sys.stdin:
    command = json.loads(line)
    if command["do"] == "die":
        sys.exit("the reason")
    print(json.dumps({"error": "no"} if command["do"] == "complain" else {"did": command["do"], "who": sys.argv[1]}), flush=True)
"""
PIPES = """\
import json, sys
print(json.dumps({"ready": True}), flush=True)
with open(sys.argv[1] + ".0") as zero, open(sys.argv[1] + ".1") as one:
    for line, other in zip(zero, one):
        print(json.dumps({"same": line == other, "did": json.loads(line)["do"]}), flush=True)
"""


def row(**changes):
    return {"case": "a case", "model": "small", "peer": "HF", "unit": "examples/s", "target": 1.15, "aim": 1.25, "ours": 123.4,
            "theirs": 98.76, "ratio": {"median": 1.2, "min": 1.1, "max": 1.3, "rounds": 3},
            "gate": ratios.equal("loss", [1.0], [1.0], 1e-3), **changes}


class Ratios(unittest.TestCase):
    def test_a_ratio_is_the_median_of_the_rounds_own(self):
        # The medians' ratio would be 1: the machine was slow in the second round, for both.
        ratio = ratios.paired([1.0, 10.0, 2.0], [2.0, 11.0, 2.0])
        self.assertEqual(ratio, {"median": 1.1, "min": 1.0, "max": 2.0, "rounds": 3})

    def test_beside_a_limit(self):
        kept = coordinator.beside_limit("a case", "ms", [10.0, 20.0, 40.0], 50)
        self.assertEqual((kept["ratio"]["median"], kept["ours"], kept["theirs"]), (2.5, 20.0, 50))
        self.assertEqual(ratios.verdict(kept), "reached")
        self.assertEqual(ratios.verdict(coordinator.beside_limit("a case", "ms", [60.0], 50)), "below")
        free = coordinator.beside_limit("a case", "s", [3.0], None)
        self.assertEqual(ratios.verdict(free), "")
        self.assertEqual(len({len(line) for line in ratios.table([kept, free])}), 1)

    def test_rounds_that_make_no_pairs(self):
        for ours, theirs in (([], []), ([1.0], [1.0, 2.0])):
            with self.assertRaises(ValueError):
                ratios.paired(ours, theirs)

    def test_the_gate_looks_at_the_worst_difference(self):
        gate = ratios.equal("loss", [5.0, 4.0, 3.0], [5.0, 4.002, 3.0], 1e-3)
        self.assertTrue(gate["holds"])
        self.assertAlmostEqual(gate["worst"], 0.002 / 4.002)
        self.assertFalse(ratios.equal("loss", [5.0, 4.0, 3.0], [5.0, 4.02, 3.0], 1e-3)["holds"])
        self.assertFalse(ratios.equal("log-probs", [-5.0], [5.0], 1e-3)["holds"])

    def test_what_cannot_be_compared_is_not_equal(self):
        for ours, theirs in (([], []), ([1.0], []), ([1.0, 2.0], [1.0]), ([math.nan], [math.nan]), ([math.inf], [math.inf])):
            gate = ratios.equal("loss", ours, theirs, 1e-3)
            self.assertFalse(gate["holds"])
            self.assertIsNone(gate["worst"], "JSON has no infinity")
            self.assertIn("not comparable", ratios.gate_text(gate))

    def test_the_first_step_is_compared_more_closely(self):
        case = training.TRAIN[0]
        self.assertTrue(training.agree(case, [5.0, 4.002], [5.0, 4.0])["holds"])
        self.assertEqual(training.agree(case, [5.0005, 4.0], [5.0, 4.0])["what"], "first loss")
        self.assertFalse(training.agree(case, [5.0005, 4.0], [5.0, 4.0])["holds"])
        self.assertFalse(training.agree(case, [5.0, 4.1], [5.0, 4.0])["holds"])
        pairs = training.PREFERENCE[0]
        self.assertFalse(training.agree(pairs, [0.693, -50.1, 0.7, -50.0], [0.693, -50.0, 0.7, -50.0])["holds"])

    def test_bit_for_bit(self):
        self.assertTrue(ratios.equal("loss", [0.1], [0.1], 0.0)["holds"])
        self.assertFalse(ratios.equal("loss", [math.nextafter(0.1, 1)], [0.1], 0.0)["holds"])

    def test_outputs_are_the_same_letter_for_letter(self):
        self.assertTrue(ratios.same("outputs", ["a"] * 49 + ["b"], ["a"] * 50, 0.98)["holds"])
        self.assertFalse(ratios.same("outputs", ["a"] * 48 + ["b"] * 2, ["a"] * 50, 0.98)["holds"])
        self.assertFalse(ratios.same("outputs", [], [], 0.98)["holds"])
        self.assertFalse(ratios.same("outputs", ["a"], ["a", "a"], 0.98)["holds"])

    def test_rates_are_of_each_round(self):
        self.assertEqual(ratios.rates([10, 30, 20], [1.0, 1.0, 1.0], [2.0, 3.0, 10.0]), {"ours": 20.0, "theirs": 5.0})

    def test_the_fastest_is_that_of_the_best_time(self):
        self.assertEqual(ratios.fastest({"eager": [3.0, 1.0], "sdpa": [2.0, 2.0]}), "eager")

    def test_verdicts(self):
        unequal = ratios.equal("loss", [1.0], [2.0], 1e-3)
        for expected, changes in (("reached", {}), ("aim reached", {"aim": 1.2}), ("below", {"target": 1.21}), ("", {"target": None}),
                                  ("reached", {"aim": None, "gate": None}), ("NOT EQUAL", {"gate": unequal}),
                                  ("skipped", {"skipped": "no instructions", "gate": unequal})):
            self.assertEqual(ratios.verdict(row(**changes)), expected, changes)
        self.assertEqual([ratios.counts(row(gate=gate)) for gate in (None, unequal)], [True, False])

    def test_the_table_is_even_and_markdown(self):
        lines = ratios.table([row(), row(case="another, longer case", gate=None), {"case": "c", "model": "m", "peer": "p", "target": 1.5,
                                                                                 "skipped": "no instructions"}])
        self.assertEqual(len({len(line) for line in lines}), 1)
        self.assertEqual({line.count("|") for line in lines}, {len(ratios.HEADER) + 1})
        self.assertEqual(len(lines), 5)
        for word in ("123", "98.8", "1.20", "1.10 to 1.30", "1.15", "reached", "loss: 0e+00 ≤ 1e-03"):
            self.assertIn(f"| {word} ", lines[2])
        self.assertIn("| skipped ", lines[4])
        self.assertIn("no instructions", lines[4])

    def test_numbers_have_three_figures(self):
        self.assertEqual([ratios.number(value) for value in (1234.5, 123.45, 12.345, 0.012345, 0, None)],
                         ["1234", "123", "12.3", "0.0123", "0", "-"])

    def test_the_profile_is_of_all_rounds(self):
        reports = [{"phases": {"forward": 1.0, "reduce": 0.0}, "model_flops": 4e9}, {"phases": {"forward": 2.0, "reduce": 1.0}, "model_flops": 4e9}]
        profile = ratios.profile(reports)
        self.assertEqual(profile, {"phases": {"forward": 3.0, "reduce": 1.0}, "model_flops_per_second": 2e9})
        self.assertEqual(ratios.phase_text(profile["phases"]), "forward 75%, reduce 25%")


class Checkpoints(unittest.TestCase):
    @staticmethod
    def lines(seconds):
        """Lines of metrics with these intervals between them."""
        at, lines = 0.0, []
        for step, interval in enumerate([*seconds, 0.0], 1):
            lines.append({"step": step, "time": f"2026-11-28T10:00:{at:09.6f}Z"})
            at += interval
        return lines

    def test_intervals_are_between_the_lines(self):
        found = checkpoint.intervals(self.lines([1.0, 2.0, 4.0]))
        self.assertEqual(sorted(found), [1, 2, 3])
        for step, seconds in ((1, 1.0), (2, 2.0), (3, 4.0)):
            self.assertAlmostEqual(found[step], seconds)

    def test_what_a_checkpoint_costs(self):
        # A checkpoint every three steps: each is followed by a long interval and one that is a little longer.
        seconds = checkpoint.intervals(self.lines([9.0, 1.0, 1.5, 1.25, 1.0, 1.5, 1.25, 1.0, 1.5]))
        for value in checkpoint.beyond_the_others(seconds, 3, 3):
            self.assertAlmostEqual(value, 1.5 - 1.125)
        costs = checkpoint.lost(seconds, 3, 3)
        self.assertEqual(len(costs), 2, "the last one's interval is not over")
        for value in costs:
            self.assertAlmostEqual(value, 0.75)

    def test_rows(self):
        ours, theirs = checkpoint.Measured(), checkpoint.Measured()
        for side, stall in ((ours, 0.04), (theirs, 1.0)):
            side.stalls, side.longer, side.lost, side.bytes = [[stall, 2 * stall, stall]] * 2, [[stall]] * 2, [[-stall]] * 2, 7
        rows = list(checkpoint.rows_of("t5-small", ours, theirs, ratios.equal("loss", [1.0], [1.0], 1e-3)))
        self.assertEqual([(row["case"], row["peer"], ratios.verdict(row)) for row in rows],
                         [("stall per checkpoint", "torch.save", "reached"), ("longest stall", "torch.save", ""),
                          ("stall per checkpoint", "the limit", "aim reached"),
                          ("a step with a checkpoint, beyond the median step", "torch.save", ""),
                          ("time lost until the next checkpoint", "torch.save", "")])
        self.assertEqual((rows[0]["ours"], rows[1]["ours"], rows[2]["ours"], rows[0]["theirs"]), (40, 80, 40, 1000))
        self.assertEqual(len({len(line) for line in ratios.table(rows)}), 1)


class Sides(unittest.TestCase):
    def setUp(self):
        scratch = tempfile.TemporaryDirectory()
        self.addCleanup(scratch.cleanup)
        self.dir = pathlib.Path(scratch.name)

    def program(self, text):
        file = self.dir / "program.py"
        file.write_text(text)
        return [sys.executable, file]

    def test_a_side_answers_until_it_is_closed(self):
        with sides.Side("echo", [*self.program(ECHO), "one"]) as side:
            self.assertEqual(side.ready, {"ready": True})
            seconds, answer = side.timed({"do": "this"})
            self.assertEqual(answer, {"did": "this", "who": "one"})
            self.assertGreater(seconds, 0)
            memory = side.memory()
            self.assertGreaterEqual(memory["peak"], memory["now"])
            self.assertGreater(memory["now"], 1_000_000)
        self.assertEqual(side.process.returncode, 0)

    def test_a_side_that_fails_says_why(self):
        for what, reason in (("die", "status 1.*the reason"), ("complain", "echo: no")):
            with sides.Side("echo", [*self.program(ECHO), "one"]) as side, self.assertRaisesRegex(sides.SideFailed, f"(?s){reason}"):
                side.ask({"do": what})

    def test_sides_together_are_told_before_any_is_waited_for(self):
        together = sides.Together([sides.Side(name, [*self.program(ECHO), name]) for name in ("one", "two")])
        self.assertEqual(together.ask({"do": "this"}), {"did": "this", "who": "one"})
        together.close()
        self.assertEqual([side.process.returncode for side in together.sides], [0, 0])

    def test_turns_alternate_and_the_first_rounds_do_not_count(self):
        heard = []

        class Spy:
            def __init__(self, name):
                self.name = name

            def timed(self, command):
                heard.append(self.name + str(command))
                return len(heard), command
        rounds = list(sides.take_turns(Spy("ours"), Spy("theirs"), 1, 2, lambda r: (r, 10 * r)))
        self.assertEqual(heard, ["ours0", "theirs0", "theirs10", "ours1", "ours2", "theirs20"])
        self.assertEqual(rounds, [(False, [(1, 0), (2, 0)]), (True, [(4, 1), (3, 10)]), (True, [(5, 2), (6, 20)])])

    def test_every_rank_of_an_mpi_side_is_told(self):
        ordinary, sides.mpirun = sides.mpirun, lambda ranks: []  # One process that reads both pipes.
        self.addCleanup(setattr, sides, "mpirun", ordinary)
        with sides.MpiSide("ranks", 2, self.program(PIPES), self.dir) as side:
            self.assertEqual(side.ask({"do": "this"}), {"same": True, "did": "this"})
        self.assertEqual(side.process.returncode, 0)


class Cases(unittest.TestCase):
    def test_variants_fit_the_batch(self):
        sizes = {variant["micro_rows"] for variant in training.variants(12, quick=False)}
        self.assertEqual(sizes, {8, 12})
        self.assertEqual({variant["attention"] for variant in training.variants(12, quick=True)}, {"sdpa", "eager"})

    def test_both_sides_are_told_the_same(self):
        for case in (*training.TRAIN, *training.PREFERENCE):
            config = training.run_config(case, "m", "d", "norm", 12, 9, 1)
            setup = training.peer_setup(case, "m", "d", 1)
            self.assertEqual(config["norms"]["norm"]["objective"], setup["objective"])
            self.assertEqual(config["optimizer"]["learning_rate"], setup["learning_rate"])
            self.assertEqual(config["optimizer"]["clip_norm"], setup["clip_norm"])
            self.assertEqual((config["train"]["max_source_tokens"], config["train"]["max_output_tokens"]),
                             (setup["max_source_tokens"], setup["max_output_tokens"]))
            self.assertEqual(config["workers"]["threads"], setup["threads"])
            self.assertEqual(config["train"].get("precision") == "bf16", setup["precision"] == "bfloat16")

    def test_material_is_whole_or_absent(self):
        with tempfile.TemporaryDirectory() as scratch:
            material = Material(pathlib.Path(scratch) / "release/bin")

            def fail(folder):
                folder.mkdir()
                raise RuntimeError("no")
            with self.assertRaisesRegex(RuntimeError, "no"):
                material.kept("data", "name", RECIPE, fail)
            made = material.kept("data", "name", RECIPE, lambda folder: folder.mkdir())
            self.assertTrue(made.is_dir())
            self.assertEqual(material.kept("data", "name", RECIPE, fail), made)
            self.assertNotEqual(material.kept("data", "name", RECIPE + " ", lambda folder: folder.mkdir()), made)

    def test_the_machine_is_described_without_git(self):
        with tempfile.TemporaryDirectory() as scratch:
            self.assertIsNone(machine.commit(scratch))
        about = {"processor": "P", "cores": 2, "memory_gib": 4, "load_average": 0.5, "threads": 2, "bfloat16": False, "commit": "abc",
                 "date": "d", "system": "s", "versions": {"torch": "2"}, "peak_flops_per_second": {"float32": 1e11, "bfloat16": 2e11}}
        text = "\n".join(machine.as_text(about))
        for part in ("P, 2 cores", "100 GFLOP/s in float32, 200 in bfloat16 (which the processor has no instructions for)", "abc", "torch 2"):
            self.assertIn(part, text)

    def test_the_command_line(self):
        run = pathlib.Path(__file__).with_name("run.py")
        for words, status in ((["train", "--quick"], 0), (["speed"], 2), (["--rounds", "0"], 2), (["--model", "large"], 2)):
            done = subprocess.run([sys.executable, run, "--parse-only", *words], capture_output=True, text=True)
            self.assertEqual(done.returncode, status, done.stderr)


if __name__ == "__main__":
    unittest.main()
