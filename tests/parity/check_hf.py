#!/usr/bin/env python3
"""Do Plumbline and Hugging Face Transformers load each other's models as they stand, and compute the same?

    check_hf.py --tool build/bin/parity_logits [--python OTHER] [CHECKPOINT…]

With CHECKPOINTs: their logits, gradients, outputs and token ids. Without: random models of every feed-forward layer that
Plumbline wrote, and of every T5 family that Transformers wrote, tied and untied, whole, in shards and in half precision;
weights come back bit for bit. Exit status: 0 the same (logits to 1e-5 and gradients to 1e-4 of the largest, scores of
beams to 1e-4, outputs token for token), 1 not, 77 Transformers cannot be imported here. OTHER is a Python that is tried when this one cannot import it.
"""
import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

TEXT = "MKV-LL|naïve ≥ 3 \t𝛼"
TEXT_GOLDENS = Path(__file__).parent.parent / "common/text"
NAMES = ["gated-gelu", "gated-gelu_new", "gated-relu", "gated-silu", "relu", "gelu", "gelu_new", "silu",
         "relu+tied", "gated-gelu+tied"]
SMALL = dict(vocab_size=96, d_model=32, d_kv=8, d_ff=40, num_layers=2, num_heads=3, dropout_rate=0.0,
             relative_attention_num_buckets=12, relative_attention_max_distance=16, decoder_start_token_id=0)
# Name: which configuration, the keys in which the family differs, and whether the head is the shared embedding.
GATED = dict(feed_forward_proj="gated-gelu", tie_word_embeddings=False)
FAMILIES = {"t5-v1.0": ("T5", dict(feed_forward_proj="relu"), True),
            "t5-v1.1": ("T5", GATED, False),
            "flan-t5": ("T5", dict(GATED, n_positions=512, output_past=True), False),
            "byt5": ("T5", dict(GATED, num_decoder_layers=1, gradient_checkpointing=False), False),
            "mt5": ("MT5", dict(tie_word_embeddings=False), False)}


def import_transformers(arguments):
    """torch, load_file and transformers; goes on as the other Python, or ends the test, where they are not."""
    try:
        import torch
        import transformers
        from safetensors.torch import load_file
        return torch, load_file, transformers
    except Exception as error:  # ImportError, or OSError from a library that is not there
        print(f"Transformers cannot be imported by {sys.executable}: {error}", flush=True)
    other = arguments.python
    if other and other.exists() and other.absolute() != Path(sys.executable).absolute():
        os.execv(other, [str(other), __file__, "--tool", arguments.tool, *map(str, arguments.checkpoints)])
    print("skipped: no Python with torch and Transformers here (pip install torch transformers)")
    sys.exit(77)


class Check:
    def __init__(self, arguments, scratch):
        self.torch, self.load_file, self.transformers = import_transformers(arguments)
        self.torch.set_num_threads(1)
        self.tool, self.scratch = arguments.tool, Path(scratch)
        self.results = []

    def result(self, about, good):
        print(f"{about}{'' if good else '   WRONG'}", flush=True)
        self.results.append(bool(good))

    def run(self, verb, *arguments):
        subprocess.run([self.tool, verb, *map(str, arguments)], check=True)

    def ours(self, verb, argument):
        out = self.scratch / "out.safetensors"
        self.run(verb, argument, out)
        return self.load_file(out)

    def loaded(self, folder, **options):
        kind = json.loads((folder / "config.json").read_text())["architectures"][0]
        return getattr(self.transformers, kind).from_pretrained(folder, output_loading_info=True, **options)

    def model(self, folder, of_logits=1e-5, of_gradients=1e-4):
        """Logits and every gradient of the model in `folder`, ours beside theirs, in units of the largest."""
        ours = self.ours("logits", folder)
        model, info = self.loaded(folder)
        wrong = {key: list(value) for key, value in info.items() if value}
        # In float64, the measure of every fp32 computation: with weights as large as these Transformers' own is 3e-5 off.
        logits = model.double().eval()(input_ids=ours["source"], attention_mask=(ours["source"] != 0).long(),
                              decoder_input_ids=ours["input"]).logits
        logits.square().mean().backward()
        difference = ((logits - ours["logits"]).abs().max() / logits.abs().max().clamp(min=1)).item()
        gradients = {name: p.grad for name, p in model.named_parameters()}
        # A head that is the shared embedding and does not scale starts as a copy with us: its gradient is in two parts.
        if "gradient.lm_head.weight" in ours and "lm_head.weight" not in gradients:
            ours["gradient.shared.weight"] += ours.pop("gradient.lm_head.weight")
        names = {name.removeprefix("gradient.") for name in ours if name.startswith("gradient.")}
        worst = max(((gradients[n] - ours["gradient." + n]).abs().max() / gradients[n].abs().max().clamp(min=1e-12)).item()
                    for n in names & gradients.keys())
        self.result(f"{folder.name}: largest difference of a logit {difference:.1e}, of a gradient {worst:.1e}; "
                    f"keys that do not fit: {wrong or 'none'}",
                    not wrong and difference < of_logits and worst < of_gradients and names == gradients.keys())

    def outputs(self, folder):
        """Greedy and with beams. Without their cache: Transformers 5.24 makes it with as many layers as the encoder has."""
        ours = self.ours("generate", folder)
        model = self.loaded(folder)[0].eval()
        for name in sorted(key for key in ours if key == "greedy" or key.startswith("beams_")):
            beams = int(name.partition("_")[2] or 1)
            theirs = model.generate(input_ids=ours["source"], attention_mask=(ours["source"] != 0).long(), num_beams=beams,
                                    do_sample=False, use_cache=False, max_new_tokens=ours[name].shape[1],
                                    return_dict_in_generate=True, output_scores=True,
                                    **({"length_penalty": 1.0, "early_stopping": False} if beams > 1 else {}))
            tokens = self.torch.zeros_like(ours[name])
            tokens[:, :theirs.sequences.shape[1] - 1] = theirs.sequences[:, 1:]
            ended = (tokens == 1).cumsum(1)
            tokens[(ended - (tokens == 1).long()) > 0] = 0  # Transformers 5 pads beams with the EOS.
            same = self.torch.equal(tokens, ours[name])
            difference = (theirs.sequences_scores - ours[f"scores_{beams}"]).abs().max().item() if beams > 1 else 0.0
            ends = [row.tolist().index(1) if 1 in row else None for row in ours[name]]
            if not same:
                print(f"  ours   {ours[name].tolist()}\n  theirs {tokens.tolist()}")
            self.result(f"{folder.name}: {name}, EOS at {ends}: {'the same' if same else 'OTHER'} tokens; largest difference of a "
                        f"score {difference:.1e}", same and difference < 1e-4)

    def bytes_tokenizer(self, folder):
        ours = self.ours("tokens", TEXT)["ids"].tolist()
        tokenizer = self.transformers.AutoTokenizer.from_pretrained(folder)
        same = tokenizer(TEXT).input_ids == ours and tokenizer.decode(ours, skip_special_tokens=True) == TEXT
        self.result(f"{folder.name}: {type(tokenizer).__name__} of {len(tokenizer)} ids",
                    same and tokenizer.pad_token_id == 0 and tokenizer.eos_token_id == 1)

    def round_trip(self, folder):
        """Transformers loads what we wrote and saves it in shards; we read the same bits and write the same files."""
        shards, again = self.scratch / "shards", self.scratch / "again"
        model, _ = self.loaded(folder)
        model.save_pretrained(shards, max_shard_size="20KB")
        self.run("resave", shards, again)
        same = all((again / name).read_bytes() == (folder / name).read_bytes()
                   for name in ("model.safetensors", "config.json"))
        self.result(f"{folder.name}: {len(list(shards.glob('model-*.safetensors')))} shards and back, bit for bit",
                    same and (shards / "model.safetensors.index.json").exists())
        self.empty(shards)
        self.empty(again)

    def empty(self, folder):
        for file in folder.iterdir():
            file.unlink()

    def random_model(self, name, seed):
        """Of a family, with weights as Transformers initialises them."""
        kind, keys, shared = FAMILIES[name]
        self.torch.manual_seed(seed)
        config = getattr(self.transformers, kind + "Config")(**{**SMALL, **keys})
        model = getattr(self.transformers, kind + "ForConditionalGeneration")(config).eval()
        if not shared:  # Transformers 5 ties what it makes itself, and keeps apart what it loads apart.
            model.lm_head.weight = self.torch.nn.Parameter(self.torch.randn_like(model.shared.weight) * SMALL["d_model"]**-0.5)
        return model

    def initialised(self, name):
        """With weights of the size that T5 begins with, which fp32 computes well: seen were 5e-7 and 3e-6, and the same of Transformers'
        own fp32."""
        for seed in range(3):
            folder = self.scratch / f"{name}-initialised-{seed}"
            self.random_model(name, seed).save_pretrained(folder)
            self.model(folder, of_logits=1e-6, of_gradients=1e-5)

    def family(self, name):
        """A random model as Transformers writes it, in one file, in shards and in half precision; then as we write it. Its weights are
        large, and its scores far apart, so that every part weighs; what rounding moves is then large too. Over twelve seeds the median
        gradient of gated families was off by 2.8e-5 and the worst by 9.0e-5, that of Transformers' fp32 by 3.1e-5 and 6.9e-5, and as much
        when all our passes between products were computed in fp64."""
        model = self.random_model(name, len(name))
        with self.torch.no_grad():
            for key, p in model.named_parameters():
                p.copy_(1 + 0.2 * self.torch.randn_like(p) if "layer_norm" in key else self.torch.randn_like(p) * 0.25)
        folder, shards, ours = (self.scratch / f"{name}{suffix}" for suffix in ("", "-in-shards", "-as-ours"))
        model.save_pretrained(folder)
        model.save_pretrained(shards, max_shard_size="20KB")
        for made in (folder, shards):
            self.model(made)
        self.run("resave", shards, ours)
        self.model(ours)
        written, theirs = self.load_file(ours / "model.safetensors"), dict(model.named_parameters())
        self.result(f"{name}: the same bits as we write them", written.keys() == theirs.keys() and
                    all(self.torch.equal(written[key], theirs[key]) for key in written))
        for half in (self.torch.float16, self.torch.bfloat16):
            narrow = self.scratch / f"{name}-{half}"
            model.to(half).save_pretrained(narrow)
            self.run("resave", narrow, ours)
            written = self.load_file(ours / "model.safetensors")
            self.result(f"{narrow.name}: widened exactly", all(
                self.torch.equal(written[key], value.float()) for key, value in model.named_parameters()))

    def shared_mt5_head(self):
        """An mT5 whose head is the shared embedding: no scaling, so the head starts as a copy with us."""
        folder = self.scratch / "mt5-shared"
        config = self.transformers.MT5Config(**SMALL)
        model = self.transformers.MT5ForConditionalGeneration(config).eval()
        if not config.tie_word_embeddings:
            return  # before Transformers 5 an mT5's head is its own
        model.save_pretrained(folder)
        self.model(folder)

    def sentencepiece_tokenizer(self):
        """The files that a checkpoint has for a SentencePiece model, in AutoTokenizer."""
        try:
            import google.protobuf  # noqa: F401
            import sentencepiece  # noqa: F401
        except ImportError as error:
            print(f"the SentencePiece tokenizer is left out: {error}")
            return
        folder = self.scratch / "spiece"
        self.run("spiece", TEXT_GOLDENS / "spiece.model", folder)
        (folder / "config.json").write_text('{"model_type": "t5"}')
        tokenizer = self.transformers.AutoTokenizer.from_pretrained(folder, use_fast=False)
        golden = json.loads((TEXT_GOLDENS / "sentencepiece_goldens.json").read_text())["tokenizers"][0]
        # Transformers 5 has an own algorithm, with other marks at a beginning and behind an extra id.
        texts = [row for row in golden["texts"] if "<extra_id_" not in row["text"] and "▁" not in row["text"]
                 and row["text"] == row["text"].lstrip()]
        same = [tokenizer(row["text"]).input_ids == row["ids"] for row in texts]
        extra = [tokenizer.convert_tokens_to_ids(f"<extra_id_{i}>") == golden["size"] - 1 - i for i in range(100)]
        self.result(f"{type(tokenizer).__name__} of {len(tokenizer)} ids, {sum(same)} of {len(same)} texts",
                    all(same) and all(extra))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tool", required=True)
    parser.add_argument("--python", type=Path)
    parser.add_argument("checkpoints", nargs="*", type=Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        check = Check(arguments, scratch)
        for folder in arguments.checkpoints:
            check.model(folder)
            check.outputs(folder)
            check.bytes_tokenizer(folder)
        if not arguments.checkpoints:
            for name in NAMES:
                folder = Path(scratch) / name
                check.run("make", name, folder)
                check.model(folder)
                check.round_trip(folder)
                if name in ("gated-gelu", "relu+tied"):
                    check.outputs(folder)
            check.bytes_tokenizer(folder)
            for name in FAMILIES:
                check.initialised(name)
                check.family(name)
            check.shared_mt5_head()
            check.sentencepiece_tokenizer()
    print("ok" if all(check.results) else "WRONG")
    sys.exit(0 if all(check.results) else 1)


if __name__ == "__main__":
    main()
