"""Runs the Python of docs/formats.md against files and a coordinator of the built programs, and holds what the page says of
keys to what is there.

Each fenced block `python` is run by itself, in a folder with the dataset `data` and the finished run `run`. The block
`python run-in-progress` is run while `run` trains.
"""

import json
import re
import subprocess
import sys
import unittest

from harness import SOURCE, EndToEnd, journal, wait_until

PAGE = (SOURCE / "docs" / "formats.md").read_text()
BLOCKS = re.findall(r"^```python([^\n]*)\n(.*?)^```", PAGE, re.S | re.M)


def section(title):
    """The page's text from one heading to the next of at most its level."""
    level = title.split(" ")[0]
    return re.search(rf"^{re.escape(title)}\n(.*?)(?=^#{{1,{len(level)}}} |\Z)", PAGE, re.S | re.M).group(1)


def named(text):
    """Everything that the text sets in code."""
    return set(re.findall(r"`([^`\n]+)`", text))


class Formats(EndToEnd):
    def run_block(self, content):
        for module in ("h5py", "numpy", "xxhash"):
            if re.search(rf"^import .*\b{module}\b", content, re.M) and subprocess.run([sys.executable, "-c", f"import {module}"], capture_output=True).returncode:
                self.skipTest(f"{module} is not installed; ./plumbline test installs it")
        done = subprocess.run([sys.executable, "-c", content], cwd=self.dir, text=True, capture_output=True, timeout=60)
        self.assertEqual(done.returncode, 0, f"{content}\n--- stderr\n{done.stderr}")
        return done.stdout

    def assert_named(self, keys, title):
        self.assertLessEqual(set(keys), named(section(title)), f"docs/formats.md, {title}, does not name every key")

    def test_the_python_of_the_page(self):
        self.make_dataset()
        self.plumbline("train", "tiny.yaml", "--run", "run")
        blocks = [content for kind, content in BLOCKS if not kind.strip()]
        self.assertGreaterEqual(len(blocks), 8)
        for content in blocks:
            with self.subTest(block=content.splitlines()[:4]):
                self.run_block(content)
        self.keys_are_named()

    def keys_are_named(self):
        run = self.dir / "run"
        info = json.loads((self.dir / "data" / "dataset.json").read_text())
        self.assert_named(info, "## dataset.json")
        self.assert_named(info["shards"][0], "## dataset.json")
        self.assert_named(info["provenance"], "### Provenance")
        for norm in info["norms"]:
            self.assert_named([*norm, *norm["rules"]], "### A norm")
        for entry in journal(run):
            row = re.search(rf"^\| `{entry['event']}` \|.*$", section("## journal.jsonl"), re.M)
            self.assertIsNotNone(row, f"the event {entry['event']} is not described")
            self.assertLessEqual(set(entry["data"]), named(row.group(0)), entry["event"])
        for line in (run / "metrics.jsonl").read_text().splitlines():
            metrics = json.loads(line)
            self.assert_named([*metrics, *(key for norm in metrics["norms"].values() for key in norm)], "## metrics.jsonl")
        for file in run.glob("evaluation/step-*.jsonl"):
            for line in file.read_text().splitlines():
                self.assert_named(json.loads(line), "## Evaluation rows")
        summary = json.loads((run / "evaluation" / "summary.json").read_text())
        for norm in summary["norms"].values():
            self.assert_named([*summary, *norm, *norm["aligned"], *norm["difference"], *summary["probe"]], "## summary.json")
        judged = json.loads((run / "evaluation" / "judged.json").read_text())
        for row in judged["rows"]:
            self.assert_named(row, "## judged.json")
            self.assertLessEqual(set(row["aligned"]), {"output", "complete", "undesirable", "reason", "score"})
        for name in ("state.json", "MANIFEST.json"):
            self.assert_named(json.loads(next(run.glob(f"checkpoints/*/{name}")).read_text()), "## Checkpoint")

    def test_the_client_of_the_page(self):
        (client,) = [content for kind, content in BLOCKS if kind.strip() == "run-in-progress"]
        self.make_dataset()
        train = self.start("train", "tiny.yaml", "--run", "run", "--set", "train.steps=100000")
        wait_until(lambda: journal(self.dir / "run", "generation_started"), what="a generation")
        self.assert_named(json.loads((self.dir / "run" / "coordinator.json").read_text()), "## coordinator.json and secret")
        self.assertRegex(self.run_block(client), r"^\w+ \d+\n$")
        self.plumbline("stop", "run")
        train.wait(60)


if __name__ == "__main__":
    unittest.main()
