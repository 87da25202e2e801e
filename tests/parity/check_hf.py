#!/usr/bin/env python3
"""Does Hugging Face Transformers load our checkpoints as they stand, and compute the same logits?

    check_hf.py --tool build/bin/parity_logits [CHECKPOINT…]

Without CHECKPOINT two random ones are made. Exit status: 0 the same to 1e-4, 1 not, 77 Transformers cannot be
imported here.
"""
import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

try:
    import torch
    from safetensors.torch import load_file
    from transformers import T5ForConditionalGeneration
except Exception as error:  # ImportError, or OSError from a library that is not there
    print(f"skipped: Transformers cannot be imported by {sys.executable}: {error}")
    sys.exit(77)


def check(tool, checkpoint, scratch):
    out = Path(scratch) / "logits.safetensors"
    subprocess.run([tool, "logits", str(checkpoint), str(out)], check=True)
    ours = load_file(out)
    model, info = T5ForConditionalGeneration.from_pretrained(checkpoint, output_loading_info=True)
    wrong = {key: list(value) for key, value in info.items() if key != "error_msgs" and value} | (
        {"error_msgs": info["error_msgs"]} if info.get("error_msgs") else {})
    with torch.no_grad():
        logits = model.eval()(input_ids=ours["source"], attention_mask=(ours["source"] != 0).long(),
                              decoder_input_ids=ours["input"]).logits
    difference = (logits - ours["logits"]).abs().max().item()
    good = not wrong and difference < 1e-4
    print(f"{checkpoint}: largest difference of a logit {difference:.2e}; keys that do not fit: {wrong or 'none'}; "
          f"{'ok' if good else 'WRONG'}")
    return good


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tool", required=True)
    parser.add_argument("checkpoints", nargs="*", type=Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        for kind in () if arguments.checkpoints else ("gated", "relu"):
            folder = Path(scratch) / kind
            folder.mkdir()
            subprocess.run([arguments.tool, "make", kind, str(folder)], check=True)
            arguments.checkpoints.append(folder)
        results = [check(arguments.tool, folder, scratch) for folder in arguments.checkpoints]
    sys.exit(0 if all(results) else 1)


if __name__ == "__main__":
    main()
