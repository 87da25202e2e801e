"""Runs every command of README.md, in order, in a scratch folder.

Files shown in the README ("File `NAME`:" before a fenced block) are written as shown. `./plumbline` there is the built program.
What differs from a reader's session, so that the test ends in minutes: quickstart and the ParaDetox training take few steps,
`./plumbline test` is the run that this test belongs to, ParaDetox is a small stand-in with the same columns, and sbatch is a
script that runs the job's batch script at once.
"""

import os
import re
import subprocess
import unittest

from harness import BIN, PLUMBLINE, SOURCE, EndToEnd, wait_until

QUICK = {
    "quickstart": ["--sources", "16", "--set", "train.steps=4", "--set", "evaluate.generations=8", "--set", "evaluate.examples=16"],
    "train configs/paradetox.yaml": ["--set", "train.steps=3", "--set", "evaluate.generations=4", "--set", "evaluate.examples=8",
                                     "--set", "evaluate.max_new_tokens=8"],
}


def blocks(text):
    """(kind, file name or None, content) of each fenced block."""
    pattern = re.compile(r"(?:File `([^`]+)`:\n\n)?```(\w+)\n(.*?)```", re.S)
    return [(kind, name or None, content) for name, kind, content in pattern.findall(text)]


class Readme(EndToEnd):
    def test_every_command(self):
        text = (SOURCE / "README.md").read_text()
        for folder in ("configs", "slurm"):
            (self.dir / folder).symlink_to(SOURCE / folder)
        tools = self.dir / "tools"
        tools.mkdir()
        (tools / "sbatch").write_text("#!/bin/sh\nSLURM_JOB_ID=1 SLURM_NTASKS=2 SLURM_SUBMIT_DIR=$PWD exec bash \"$@\"\n")
        (tools / "sbatch").chmod(0o755)
        (self.dir / "plumbline").symlink_to(PLUMBLINE)
        rows = ["toxic\tneutral1\tneutral2\tneutral3"]
        rows += [f"you stupid thing number {i} is broken\tthing number {i} is broken\t\t" for i in range(200)]
        (self.dir / "paradetox.tsv").write_text("\n".join(rows) + "\n")
        env = {**os.environ, "PATH": f"{tools}:{os.environ['PATH']}", "PLUMBLINE_BIN": str(BIN), "PLUMBLINE_HOME": str(SOURCE),
               "OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1", "OMPI_MCA_rmaps_base_oversubscribe": "1"}
        ran = 0
        background = []
        for kind, name, content in blocks(text):
            if name:
                (self.dir / name).write_text(content)
                continue
            if kind != "sh":
                continue
            for line in content.strip().splitlines():
                if line.strip() == "./plumbline test":
                    continue
                for words, extra in QUICK.items():
                    if words in line:
                        line = f"{line} {' '.join(extra)}"
                with self.subTest(command=line):
                    in_background = line.endswith("&")
                    child = subprocess.Popen(["bash", "-c", ("exec " + line[:-1]) if in_background else line], cwd=self.dir, env=env, text=True,
                                             stdin=subprocess.DEVNULL, stdout=subprocess.PIPE if not in_background else subprocess.DEVNULL, stderr=subprocess.STDOUT)
                    self.children.append(child)
                    ran += 1
                    if in_background:
                        background.append(child)
                        run = self.dir / re.search(r"--run (\S+)", line).group(1)
                        external = "external" in line
                        wait_until(lambda: (run / "coordinator.json").exists() and (external or (run / "metrics.jsonl").exists()), what=f"the start of {run}")
                        continue
                    out, _ = child.communicate(timeout=600)
                    self.assertEqual(child.returncode, 0, out[-4000:])
        for child in background:
            self.assertIn(child.wait(120), (0, 5))
        self.assertGreater(ran, 12, "the README's commands were found")
        self.assertTrue((self.dir / "runs/quickstart/report.html").exists())


if __name__ == "__main__":
    unittest.main()
