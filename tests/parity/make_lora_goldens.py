#!/usr/bin/env python3
"""Makes tests/parity/goldens/lora: an adapter that peft saved, and what peft computes with it beside goldens/gated.

    ./plumbline setup parity
    .venv-cuda/bin/python tests/parity/make_lora_goldens.py [OUT]        needs: torch, transformers, safetensors, peft

adapter_config.json (but for the model's path) and adapter_model.safetensors are as peft wrote them; golden.safetensors has
the logits of goldens/gated's inputs (fp32) and the gradients of their mean square by the adapter's matrices (fp64 model, so
that they are exact to fp32).
"""
import json
import platform
import sys
from pathlib import Path

import peft
import torch
import transformers
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file, save_file
from transformers import T5ForConditionalGeneration

GOLDENS = Path(__file__).parent / "goldens"


def main():
    out = Path(sys.argv[1] if len(sys.argv) > 1 else GOLDENS / "lora")
    out.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(3)
    config = LoraConfig(task_type="SEQ_2_SEQ_LM", r=3, lora_alpha=5, lora_dropout=0.25, target_modules=["q", "v", "o", "wi_1"])
    model = get_peft_model(T5ForConditionalGeneration.from_pretrained(GOLDENS / "gated"), config).eval()
    with torch.no_grad():
        for name, p in model.named_parameters():
            if "lora_B" in name:  # zero as peft makes it: the adapter would do nothing
                p.copy_(torch.randn_like(p) * 0.2)
    model.save_pretrained(out)
    (out / "README.md").unlink()
    (out / "adapter_model.safetensors").chmod(0o644)
    saved = json.loads((out / "adapter_config.json").read_text())
    saved["base_model_name_or_path"] = None  # a path of the machine
    saved["target_modules"].sort()  # a set, in no order of its own
    (out / "adapter_config.json").write_text(json.dumps(saved, indent=2) + "\n")
    inputs = load_file(GOLDENS / "gated/golden.safetensors")
    source, desired = inputs["source"], inputs["desired"]
    decoder_input = torch.cat([torch.zeros_like(desired[:, :1]), desired[:, :-1]], 1)
    given = dict(input_ids=source, attention_mask=(source != 0).long(), decoder_input_ids=decoder_input)
    with torch.no_grad():
        tensors = {"logits": model(**given).logits}
    exact = model.double()
    exact(**given).logits.square().mean().backward()
    for name, p in exact.named_parameters():
        if p.grad is not None:
            tensors["gradient." + name.replace(".default", "")] = p.grad.float()
    save_file({name: value.contiguous() for name, value in tensors.items()}, out / "golden.safetensors")
    (out / "golden.safetensors").chmod(0o644)
    versions = {"python": platform.python_version(), "torch": torch.__version__, "transformers": transformers.__version__,
                "peft": peft.__version__}
    (out / "versions.json").write_text(json.dumps(versions, indent=2) + "\n")


if __name__ == "__main__":
    main()
