#!/usr/bin/env python3
"""Do Plumbline and peft load each other's LoRA adapters, and compute the same with them?

    check_peft.py --tool build/bin/parity_logits [--python OTHER]

For a gated and a plain model: peft loads the adapter of a checkpoint that Plumbline wrote, beside the model that it was made
for, and Transformers loads the checkpoint's merged weights; then Plumbline loads an adapter that peft made. Exit status: 0 the
same (logits to 1e-5, gradients of the adapter's matrices to 1e-4 of the largest, adapters bit for bit), 1 not, 77 peft cannot
be imported here. OTHER is a Python that is tried when this one cannot import it.
"""
import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

GOLDENS = Path(__file__).parent / "goldens"
KINDS = {"gated": ["q", "o", "wi_1", "wo"], "relu": ["q", "k", "v", "wi"]}


def go_on_elsewhere(arguments, error):
    print(f"peft cannot be imported by {sys.executable}: {error}", flush=True)
    other = arguments.python
    if other and other.exists() and other.absolute() != Path(sys.executable).absolute():
        os.execv(other, [str(other), __file__, "--tool", arguments.tool])
    print("skipped: no Python with torch, Transformers and peft here (tests/parity/requirements-peft.txt)")
    sys.exit(77)


class Check:
    def __init__(self, tool, scratch):
        import peft
        import torch
        from safetensors.torch import load_file
        from transformers import T5ForConditionalGeneration
        torch.set_num_threads(1)
        self.peft, self.torch, self.load_file = peft, torch, load_file
        self.base = lambda folder: T5ForConditionalGeneration.from_pretrained(folder).eval()
        self.tool, self.scratch = tool, Path(scratch)
        self.good = True

    def result(self, about, good):
        print(f"{about}{'' if good else '   WRONG'}", flush=True)
        self.good &= bool(good)

    def run(self, verb, *arguments):
        subprocess.run([self.tool, verb, *map(str, arguments)], check=True)

    def logits(self, model, ours):
        return model(input_ids=ours["source"], attention_mask=(ours["source"] != 0).long(), decoder_input_ids=ours["input"]).logits

    def compare(self, about, model, ours):
        """Logits and the gradients of their mean square."""
        logits = self.logits(model, ours)
        difference = ((logits - ours["logits"]).abs().max() / logits.abs().max().clamp(min=1)).item()
        logits.square().mean().backward()
        theirs = {"gradient." + name.replace(".default", ""): p.grad for name, p in model.named_parameters() if p.grad is not None}
        names = {name for name in ours if name.startswith("gradient.")}
        worst = max(((theirs[n] - ours[n]).abs().max() / theirs[n].abs().max().clamp(min=1e-12)).item() for n in names & theirs.keys())
        self.result(f"{about}: largest difference of a logit {difference:.1e}, of a gradient {worst:.1e}",
                    difference < 1e-5 and worst < 1e-4 and names == theirs.keys())

    def ours_in_peft(self, kind):
        checkpoint, out = self.scratch / f"{kind}-ours", self.scratch / "out.safetensors"
        self.run("adapt", GOLDENS / kind, checkpoint)
        both = self.scratch / f"{kind}-both"
        both.mkdir()
        for name in ("config.json", "model.safetensors"):
            (both / name).symlink_to(GOLDENS / kind / name)
        (both / "adapter").symlink_to(checkpoint / "adapter")
        self.run("adapted", both, out)
        ours = self.load_file(out)
        model = self.peft.PeftModel.from_pretrained(self.base(GOLDENS / kind), checkpoint / "adapter", is_trainable=True).eval()
        self.compare(f"{kind}: our adapter in peft", model, ours)
        written = self.load_file(checkpoint / "adapter/adapter_model.safetensors")
        theirs = self.peft.get_peft_model_state_dict(model)
        self.result(f"{kind}: {len(written)} matrices, bit for bit",
                    written.keys() == theirs.keys() and all(self.torch.equal(written[n], theirs[n]) for n in written))
        with self.torch.no_grad():
            merged = (self.logits(self.base(checkpoint), ours) - ours["logits"]).abs().max().item()
        self.result(f"{kind}: the checkpoint's merged weights in Transformers, largest difference of a logit {merged:.1e}", merged < 1e-4)

    def pefts_in_ours(self, kind):
        self.torch.manual_seed(len(kind))
        config = self.peft.LoraConfig(task_type="SEQ_2_SEQ_LM", r=5, lora_alpha=8, target_modules=KINDS[kind])
        model = self.peft.get_peft_model(self.base(GOLDENS / kind), config).eval()
        with self.torch.no_grad():
            for name, p in model.named_parameters():
                if "lora_B" in name:
                    p.copy_(self.torch.randn_like(p) * 0.2)
        both, out = self.scratch / f"{kind}-theirs", self.scratch / "out.safetensors"
        model.save_pretrained(both / "adapter")
        for name in ("config.json", "model.safetensors"):
            (both / name).symlink_to(GOLDENS / kind / name)
        self.run("adapted", both, out)
        self.compare(f"{kind}: peft's adapter in ours", model, self.load_file(out))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tool", required=True)
    parser.add_argument("--python", type=Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        try:
            check = Check(arguments.tool, scratch)
        except Exception as error:  # ImportError, or OSError from a library that is not there
            go_on_elsewhere(arguments, error)
        for kind in KINDS:
            check.ours_in_peft(kind)
            check.pefts_in_ours(kind)
    print("ok" if check.good else "WRONG")
    sys.exit(0 if check.good else 1)


if __name__ == "__main__":
    main()
