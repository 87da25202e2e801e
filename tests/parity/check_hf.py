#!/usr/bin/env python3
"""Does Hugging Face Transformers load our checkpoints as they stand, and compute the same logits, outputs and token ids?

    check_hf.py --tool build/bin/parity_logits [--python OTHER] [CHECKPOINT…]

Without CHECKPOINT two of random models are made. Exit status: 0 logits and scores the same to 1e-4, outputs (greedy and of
beams, padded sources) token for token; 1 not; 77 Transformers cannot be imported here. OTHER is a Python that is tried when this one cannot import it.
"""
import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

TEXT = "MKV-LL|naïve ≥ 3 \t𝛼"


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
        self.tool, self.out = arguments.tool, Path(scratch) / "out.safetensors"

    def ours(self, verb, argument):
        subprocess.run([self.tool, verb, str(argument), str(self.out)], check=True)
        return self.load_file(self.out)

    def model(self, checkpoint):
        ours = self.ours("logits", checkpoint)
        model, info = self.transformers.T5ForConditionalGeneration.from_pretrained(checkpoint, output_loading_info=True)
        wrong = {key: list(value) for key, value in info.items() if value}
        with self.torch.no_grad():
            logits = model.eval()(input_ids=ours["source"], attention_mask=(ours["source"] != 0).long(),
                                  decoder_input_ids=ours["input"]).logits
        difference = (logits - ours["logits"]).abs().max().item()
        print(f"{checkpoint}: largest difference of a logit {difference:.2e}; keys that do not fit: {wrong or 'none'}")
        return not wrong and difference < 1e-4

    def outputs(self, checkpoint):
        """Greedy and with beams. Without their cache: Transformers 5.24 makes it with as many layers as the encoder has."""
        ours = self.ours("generate", checkpoint)
        model = self.transformers.T5ForConditionalGeneration.from_pretrained(checkpoint).eval()
        results = []
        for name in sorted(key for key in ours if key == "greedy" or key.startswith("beams_")):
            beams = int(name.partition("_")[2] or 1)
            theirs = model.generate(input_ids=ours["source"], attention_mask=(ours["source"] != 0).long(), num_beams=beams, do_sample=False, use_cache=False,
                                    max_new_tokens=ours[name].shape[1], return_dict_in_generate=True, output_scores=True,
                                    **({"length_penalty": 1.0, "early_stopping": False} if beams > 1 else {}))
            tokens = self.torch.zeros_like(ours[name])
            tokens[:, :theirs.sequences.shape[1] - 1] = theirs.sequences[:, 1:]
            ended = (tokens == 1).cumsum(1)
            tokens[(ended - (tokens == 1).long()) > 0] = 0  # Transformers 5 pads beams with the EOS.
            same = self.torch.equal(tokens, ours[name])
            difference = (theirs.sequences_scores - ours[f"scores_{beams}"]).abs().max().item() if beams > 1 else 0.0
            ends = [row.tolist().index(1) if 1 in row else None for row in ours[name]]
            print(f"{checkpoint}: {name}, EOS at {ends}: {'the same' if same else 'OTHER'} tokens; largest difference of a score {difference:.2e}")
            if not same:
                print(f"  ours   {ours[name].tolist()}\n  theirs {tokens.tolist()}")
            results.append(same and difference < 1e-4)
        return all(results)

    def tokenizer(self, checkpoint):
        ours = self.ours("tokens", TEXT)["ids"].tolist()
        tokenizer = self.transformers.AutoTokenizer.from_pretrained(checkpoint)
        theirs = tokenizer(TEXT).input_ids
        same = theirs == ours and tokenizer.decode(ours, skip_special_tokens=True) == TEXT
        print(f"{checkpoint}: {type(tokenizer).__name__} of {len(tokenizer)} ids, {'the same' if same else 'OTHER'} ids")
        return same and tokenizer.pad_token_id == 0 and tokenizer.eos_token_id == 1


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tool", required=True)
    parser.add_argument("--python", type=Path)
    parser.add_argument("checkpoints", nargs="*", type=Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        check = Check(arguments, scratch)
        for kind in () if arguments.checkpoints else ("gated", "relu"):
            folder = Path(scratch) / kind
            subprocess.run([arguments.tool, "make", kind, str(folder)], check=True)
            arguments.checkpoints.append(folder)
        results = [part(folder) for folder in arguments.checkpoints for part in (check.model, check.outputs, check.tokenizer)]
    print("ok" if all(results) else "WRONG")
    sys.exit(0 if all(results) else 1)


if __name__ == "__main__":
    main()
