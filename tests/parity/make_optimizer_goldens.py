#!/usr/bin/env python3
"""Makes tests/parity/goldens/optimizers.json: the weights after each step of torch's AdamW and Transformers' Adafactor.

    python3 tests/parity/make_optimizer_goldens.py [OUT]        needs: torch, transformers

The file holds parameters (names, shapes, values), gradients and learning rates of some steps, and cases: the settings of
Plumbline's `optimizer` section and the weights after each step, computed in float64. Weight decay leaves layer norms and
relative position biases out, by parameter groups. The embedding has a row without a gradient, and a step's gradients are
large enough for Adafactor to clip its updates.
"""
import json
import platform
import sys
from pathlib import Path

import torch
import transformers
from transformers.optimization import Adafactor

SHAPES = {"shared.weight": (6, 5), "encoder.block.0.layer.0.SelfAttention.q.weight": (7, 5),
          "encoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight": (8, 2),
          "encoder.block.0.layer.0.layer_norm.weight": (5,), "encoder.final_layer_norm.weight": (5,),
          "lm_head.weight": (6, 5)}
RATES = [0.01, 0.02, 0.03, 0.02, 0.005]
CASES = [dict(name="adamw"),
         dict(name="adamw", weight_decay=0.1, beta1=0.8, beta2=0.95, epsilon=1e-6),
         dict(name="adafactor"),
         dict(name="adafactor", weight_decay=0.1),
         dict(name="adafactor", scale_parameter=True, weight_decay=0.1),
         dict(name="adafactor", beta1=0.9),
         dict(name="adafactor", beta1=0.8, scale_parameter=True, weight_decay=0.05)]


def rounded(tensor):
    """float64, with values that float32 holds exactly."""
    return tensor.float().double()


def groups_of(parameters, decay):
    excluded = {name for name in parameters if "layer_norm" in name or "relative_attention_bias" in name}
    return [dict(params=[p for name, p in parameters.items() if (name in excluded) == out], weight_decay=0.0 if out else decay)
            for out in (False, True)]


def optimizer_of(case, parameters):
    groups = groups_of(parameters, case.get("weight_decay", 0.0))
    if case["name"] == "adamw":
        return torch.optim.AdamW(groups, lr=1.0, betas=(case.get("beta1", 0.9), case.get("beta2", 0.999)), eps=case.get("epsilon", 1e-8))
    return Adafactor(groups, lr=1.0, relative_step=False, warmup_init=False, scale_parameter=case.get("scale_parameter", False),
                     beta1=case.get("beta1"))


def weights_after_each_step(case, values, gradients):
    parameters = {name: torch.nn.Parameter(value.clone()) for name, value in values.items()}
    optimizer = optimizer_of(case, parameters)
    after = []
    for rate, step in zip(RATES, gradients):
        for group in optimizer.param_groups:
            group["lr"] = rate
        for name, p in parameters.items():
            p.grad = step[name].clone()
        optimizer.step()
        after.append({name: [float(f"{x:.9g}") for x in p.detach().flatten().tolist()] for name, p in parameters.items()})
    return after


def main():
    out = Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parent / "goldens/optimizers.json")
    generator = torch.Generator().manual_seed(5)
    random = lambda shape: rounded(torch.randn(shape, generator=generator))
    values = {name: random(shape) for name, shape in SHAPES.items()}
    values["encoder.final_layer_norm.weight"] *= 0  # where scale_parameter takes its least scale
    gradients = [{name: rounded(random(shape) * size) for name, shape in SHAPES.items()} for size in (0.5, 0.1, 40.0, 1e-3, 1.0)]
    for step in gradients:
        step["shared.weight"][2] = 0
    flat = lambda tensors: {name: tensor.flatten().tolist() for name, tensor in tensors.items()}
    golden = {"made_by": {"script": "tests/parity/make_optimizer_goldens.py", "python": platform.python_version(),
                          "torch": torch.__version__.split("+")[0], "transformers": transformers.__version__},
              "shapes": SHAPES, "values": flat(values), "rates": RATES, "gradients": [flat(step) for step in gradients],
              "cases": [dict(optimizer=case, weights=weights_after_each_step(case, values, gradients)) for case in CASES]}
    text = json.dumps(golden, separators=(",", ":"))
    out.write_text(text.replace('},{"', '},\n{"').replace('"cases":[', '"cases":[\n') + "\n")


if __name__ == "__main__":
    main()
