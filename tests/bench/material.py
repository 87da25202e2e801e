"""What both sides work on: model folders and datasets, made once and kept in build/bench under a name that says what they are of."""
import hashlib
import json
import os
import pathlib
import random
import shutil
import subprocess

SOURCE = pathlib.Path(__file__).resolve().parents[2]
SHARED = pathlib.Path(os.environ.get("PLUMBLINE_SHARED_DATA", SOURCE.parent / "shared" / "data"))
TRAINED_SMALL = SOURCE / "configs/models/protein-pairs-split"

# Architectures under config.json's names. `small` is that of the models in configs/models, which people train on CPUs; `t5-small` is T5
# v1.1 small's with the byte tokenizer's vocabulary.
MODELS = {
    "small": dict(d_model=192, d_kv=48, d_ff=288, num_layers=3, num_decoder_layers=3, num_heads=4, relative_attention_num_buckets=256,
                  relative_attention_max_distance=256),
    "t5-small": dict(d_model=512, d_kv=64, d_ff=1024, num_layers=8, num_decoder_layers=8, num_heads=6),
    "tiny": dict(d_model=64, d_kv=16, d_ff=128, num_layers=2, num_decoder_layers=2, num_heads=4),
}
MEASURED = ["small", "t5-small"]

RECIPE = """\
name: {name}
seed: 1
held_out: 0.02
max_source_tokens: 4096
max_output_tokens: 4096
norms:
  bench:
    description: The output is what it is.
    objective: sft
    judge: rules
    rules: {{not_a_copy: true}}
sources:
  - {{name: rows, norm: bench, format: jsonl, path: rows.jsonl, part: train}}
"""


def say(text):
    print(text, flush=True)


class MaterialFailed(Exception):
    """A model or a dataset could not be made; the message has the command and the end of what it said."""


class Material:
    def __init__(self, binaries):
        self.bin = binaries
        self.home = binaries.parent.parent / "bench"
        self.home.mkdir(parents=True, exist_ok=True)

    def run(self, *command):
        done = subprocess.run([str(word) for word in command], text=True, capture_output=True, stdin=subprocess.DEVNULL)
        if done.returncode != 0:
            raise MaterialFailed(f"{' '.join(map(str, command))} failed with status {done.returncode}:\n{done.stderr[-3000:]}")

    def kept(self, kind, name, content, make):
        """The folder for `content`, made by make(folder) when it is not there. Whole or absent."""
        digest = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:12]
        folder = self.home / kind / f"{name}-{digest}"
        if not folder.exists():
            say(f"making {folder.relative_to(SOURCE) if folder.is_relative_to(SOURCE) else folder} …")
            half = folder.with_name(folder.name + ".half")
            shutil.rmtree(half, ignore_errors=True)
            half.parent.mkdir(parents=True, exist_ok=True)
            make(half)
            half.rename(folder)
        return folder

    def write_config(self, config):
        """A run configuration. JSON is YAML."""
        text = json.dumps(config, indent=1)
        file = self.home / "configs" / f"{hashlib.sha256(text.encode()).hexdigest()[:12]}.yaml"
        file.parent.mkdir(exist_ok=True)
        file.write_text(text)
        return file

    def model(self, name):
        """Random weights."""
        config = {"seed": 1, "data": "none", "model": MODELS[name]}
        return self.kept("models", name, config, lambda folder: self.run(self.bin / "bench_tool", "make", self.write_config(config), folder))

    def curated(self, name, recipe, rows):
        """A dataset of rows {source, desired[, undesired]}."""
        def make(folder):
            work = folder.with_name(folder.name + ".rows")
            work.mkdir(parents=True, exist_ok=True)
            (work / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
            (work / "recipe.yaml").write_text(recipe)
            self.run(self.bin / "plumbline", "curate", work / "recipe.yaml", "--out", folder)
            shutil.rmtree(work)
        return self.kept("data", name, [recipe, rows], make)

    def fixed(self, source_tokens, output_tokens, count=4096):
        """Pairs whose sources and outputs all have the same lengths, the end-of-sequence token counted."""
        draw = random.Random(1)

        def letters(tokens):
            return "".join(draw.choices("ACDEFGHIKLMNPQRSTVWY", k=tokens - 1))
        rows = [{"source": letters(source_tokens), "desired": letters(output_tokens), "undesired": letters(output_tokens)}
                for _ in range(count)]
        return self.curated(f"fixed-{source_tokens}-{output_tokens}", RECIPE.format(name="fixed"), rows)

    def real(self, name):
        """ParaDetox or HH harmless, and whether it is them: without the shared data, random rows with lengths like theirs."""
        file = {"paradetox": SHARED / "paradetox/paradetox.tsv", "hh-harmless": SHARED / "hh-harmless/harmless-base.jsonl.gz"}[name]
        if not file.exists():
            return self.log_normal(name), f"{name}-like lengths"
        recipe = SOURCE / f"configs/data/{name}.yaml"
        content = [recipe.read_text(), file.stat().st_size]
        return self.kept("data", name, content, lambda folder: self.run(
            self.bin / "plumbline", "curate", recipe, "--source", f"{name}={file}", "--out", folder)), name

    def log_normal(self, name, count=4096):
        """Lengths as log-normal distributions that are fitted to the data by their medians and spreads."""
        source, output, spread = {"paradetox": (55, 42, 0.35), "hh-harmless": (420, 120, 0.9)}[name]
        draw = random.Random(2)

        def letters(median):
            length = min(2000, max(8, round(draw.lognormvariate(0, spread) * median)))
            return "".join(draw.choices("ACDEFGHIKLMNPQRSTVWY", k=length))
        rows = [{"source": letters(source), "desired": letters(output), "undesired": letters(output)} for _ in range(count)]
        return self.curated(f"{name}-like", RECIPE.format(name=f"{name}-like"), rows)
