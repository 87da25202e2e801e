"""What the end-to-end tests share: running the built programs in a scratch folder, and a tiny dataset with three norms.

The programs are taken from $PLUMBLINE_BIN (the build's bin/ folder). Nothing here sleeps for a fixed time: waits poll a
condition under a deadline.
"""

import contextlib
import json
import os
import pathlib
import random
import shutil
import signal
import subprocess
import tempfile
import threading
import time
import unittest

SOURCE = pathlib.Path(__file__).resolve().parents[2]
BIN = pathlib.Path(os.environ.get("PLUMBLINE_BIN", SOURCE / "build" / "release" / "bin"))
PLUMBLINE = BIN / "plumbline"
SHARED = pathlib.Path(os.environ.get("PLUMBLINE_SHARED_DATA", SOURCE.parent / "shared" / "data"))

RECIPE = """\
name: tiny
seed: 3
held_out: 0.2
norms:
  polite:
    description: No insult is left.
    objective: dpo
    judge: rules
    rules: {forbidden_words: [fool, idiot]}
    score: chrf
  mirror:
    description: The output repeats the source in capitals.
    objective: sft
    judge: rules
    rules: {not_a_copy: true}
    score: chrf
  no-secret:
    description: The output names no password.
    objective: unlikelihood
    judge: rules
    rules: {forbidden_patterns: ["password [0-9]+"]}
    score: chrf
sources:
  - {name: polite, norm: polite, format: jsonl, path: polite.jsonl}
  - {name: mirror, norm: mirror, format: jsonl, path: mirror.jsonl}
  - {name: no-secret, norm: no-secret, format: jsonl, path: secret.jsonl}
"""

CONFIG = """\
name: tiny
seed: 5
data: data
model: {d_model: 32, d_kv: 8, d_ff: 64, num_layers: 2, num_decoder_layers: 2, num_heads: 4, dropout_rate: 0.1}
train: {steps: 12, global_batch: 24, lanes: 12, micro_batch_tokens: 256, max_source_tokens: 64, max_output_tokens: 64}
optimizer: {learning_rate: 3.0e-3, warmup_steps: 2, clip_norm: 0.5, weight_decay: 0.01}
evaluate: {every: 6, examples: 16, generations: 8, max_new_tokens: 16, batch_rows: 8}
checkpoint: {every: 4, keep: 3}
snapshot: {examples: 24, sizes: [8, 2, 1]}
"""

WORDS = "river stone cloud maple tiger lamp north seven quiet amber glass paper march violet copper distant".split()


def tiny_rows(seed=7, count=60):
    """Rows of the three sources: preferences, demonstrations and prohibitions of uneven lengths."""
    rng = random.Random(seed)

    def phrase():
        return " ".join(rng.choice(WORDS) for _ in range(rng.randint(2, 7)))

    polite = []
    mirror = []
    secret = []
    for i in range(count):
        text = f"{phrase()} {i}"
        polite.append({"source": "you fool " + text, "desired": "friend " + text, "undesired": "you idiot " + text})
        text = f"{phrase()} {i}"
        mirror.append({"source": text, "desired": text.upper()})
        text = f"{phrase()} {i}"
        secret.append({"source": text, "undesired": f"the password {i} of {text}"})
    return {"polite.jsonl": polite, "mirror.jsonl": mirror, "secret.jsonl": secret}


def write_jsonl(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def weights_sha256(run):
    return json.loads((run / "evaluation" / "summary.json").read_text())["weights_sha256"]


def standing_metrics(run):
    """metrics.jsonl as docs/formats.md says to read it: {(kind, step): line} of what no later line makes void, in its order."""
    kept = {}
    for line in map(json.loads, (run / "metrics.jsonl").read_text().splitlines()):
        kind, step = line["kind"], line["step"]
        kept = {(k, s): old for (k, s), old in kept.items() if not (s > step or (s == step and (kind == "train" or k == "heldout")))}
        kept[kind, step] = line
    return kept


def wait_until(condition, timeout=60, what="the condition"):
    """Polls `condition` until it returns something true and returns it."""
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        value = condition()
        if value:
            return value
        time.sleep(0.02)
    raise AssertionError(f"{what} did not hold within {timeout} s")


def journal(run, event=None):
    """The journal's lines (of one event) that are whole."""
    path = run / "journal.jsonl"
    if not path.exists():
        return []
    entries = []
    for line in path.read_text().splitlines():
        try:
            entries.append(json.loads(line))
        except ValueError:
            continue
    return [e for e in entries if event is None or e["event"] == event]


def while_a_checkpoint_is_written(run, over, timeout=60):
    """Returns as soon as a part of a checkpoint lies in a partial folder of the run; None when over() first. Polls without a pause: such a
    folder is there for some milliseconds."""
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        for folder in (run / "checkpoints").glob(".step-*.partial"):
            try:
                if any(folder.iterdir()):
                    return folder
            except OSError:
                continue  # It is a checkpoint by now.
        if over():
            return None
    raise AssertionError(f"no checkpoint was written within {timeout} s")


@contextlib.contextmanager
def held_back(pids, share=0.88, period=0.17):
    """While it lasts, these processes are stopped for `share` of each `period` (seconds): they are slow, and none is silent for long."""
    halt = threading.Event()

    def signal_all(number):
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

    def hold_back():
        while not halt.wait(period * (1 - share)):
            signal_all(signal.SIGSTOP)
            time.sleep(period * share)
            signal_all(signal.SIGCONT)

    thread = threading.Thread(target=hold_back)
    thread.start()
    try:
        yield
    finally:
        halt.set()
        thread.join()


class EndToEnd(unittest.TestCase):
    """A scratch folder for each test; `self.plumbline(...)` runs the program there."""

    maxDiff = None

    def setUp(self):
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="plumbline-e2e-"))
        self.children = []
        self.addCleanup(self._clean_up)

    def _clean_up(self):
        for child in self.children:
            if child.poll() is None:
                child.send_signal(signal.SIGTERM)
                try:
                    child.wait(20)
                except subprocess.TimeoutExpired:
                    child.kill()
                    child.wait()
        self.end_workers()
        shutil.rmtree(self.dir, ignore_errors=True)

    def end_workers(self):
        """SIGKILL to all that work in the scratch folder, those whose coordinator was killed too. Returns once they are gone."""
        def here():
            found = []
            for process in pathlib.Path("/proc").glob("[0-9]*"):
                try:
                    if str(self.dir).encode() in (process / "cmdline").read_bytes():
                        os.kill(int(process.name), signal.SIGKILL)
                        found.append(process.name)
                except OSError:
                    continue
            return found

        wait_until(lambda: not here(), what="the workers' end")

    def plumbline(self, *args, status=0, timeout=300, env=None):
        """Runs the program to its end, checks its exit status, returns (stdout, stderr)."""
        command = [str(PLUMBLINE), *map(str, args)]
        done = subprocess.run(command, cwd=self.dir, text=True, capture_output=True, timeout=timeout, stdin=subprocess.DEVNULL,
                              env={**os.environ, **(env or {})})
        self.assertEqual(done.returncode, status, f"{' '.join(command)}\n--- stdout\n{done.stdout[-4000:]}\n--- stderr\n{done.stderr[-4000:]}")
        return done.stdout, done.stderr

    def start(self, *args, program=None, env=None, output=None):
        """Starts a program in the background. What it says is for communicate() to read, or at the end of the file `output`."""
        with open(output, "a") if output else contextlib.nullcontext(subprocess.PIPE) as out:
            child = subprocess.Popen([str(program or PLUMBLINE), *map(str, args)], cwd=self.dir, text=True, stdin=subprocess.DEVNULL,
                                     stdout=out, stderr=subprocess.STDOUT, env={**os.environ, **(env or {})})
        self.children.append(child)
        return child

    def make_dataset(self, name="data"):
        for file, rows in tiny_rows().items():
            write_jsonl(self.dir / file, rows)
        (self.dir / "recipe.yaml").write_text(RECIPE)
        (self.dir / "tiny.yaml").write_text(CONFIG)
        self.plumbline("curate", "recipe.yaml", "--out", name)
        return self.dir / name

    def status(self, run):
        out, _ = self.plumbline("status", run, "--json")
        return json.loads(out)
