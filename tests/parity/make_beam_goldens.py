#!/usr/bin/env python3
"""Makes tests/parity/goldens/beams.json: what Hugging Face Transformers' beam search writes for the models and sources
of goldens/gated and goldens/relu.

    python3 tests/parity/make_beam_goldens.py [OUT]      needs: torch, transformers, safetensors

For each model a list of cases: the settings, and for each source the tokens (without the start and the padding) and
the score (sum of log-probs / tokens^length_penalty). Transformers 5.24.0 and 4.45.2 write the same here, though they do
not always search equally long.
"""
import json
import platform
import sys
from pathlib import Path

import torch
import transformers
from safetensors.torch import load_file
from transformers import T5ForConditionalGeneration

SETTINGS = [(beams, penalty, early, 24) for beams in (2, 4, 7) for penalty in (0.0, 1.0, 2.0) for early in (False, True)]
SETTINGS += [(4, -1.0, False, 24), (4, 1.0, False, 1), (4, 1.0, False, 5), (64, 1.0, False, 6)]


def written(row):
    """Tokens up to the EOS, which padding follows; all of them where there is none: then the limit ended the output."""
    tokens = row.tolist()[1:]
    return tokens[:tokens.index(1) + 1] if 1 in tokens else tokens


def main():
    goldens = Path(__file__).parent / "goldens"
    out = Path(sys.argv[1]) if len(sys.argv) > 1 else goldens / "beams.json"
    torch.set_num_threads(1)
    made = {"made_by": {"script": "tests/parity/make_beam_goldens.py", "python": platform.python_version(),
                        "torch": torch.__version__.split("+")[0], "transformers": transformers.__version__}}
    for kind in ("gated", "relu"):
        model = T5ForConditionalGeneration.from_pretrained(goldens / kind).eval()
        source = load_file(goldens / kind / "golden.safetensors")["source"]
        made[kind] = []
        for beams, penalty, early, limit in SETTINGS:
            found = model.generate(input_ids=source, attention_mask=(source != 0).long(), num_beams=beams, length_penalty=penalty,
                                   early_stopping=early, do_sample=False, max_new_tokens=limit, output_scores=True,
                                   return_dict_in_generate=True)
            made[kind].append({"beams": beams, "length_penalty": penalty, "early_stopping": early, "max_new_tokens": limit,
                               "tokens": [written(row) for row in found.sequences], "scores": found.sequences_scores.tolist()})
    text = json.dumps(made, separators=(",", ":"))
    out.write_text(text.replace('{"beams"', '\n{"beams"') + "\n")


if __name__ == "__main__":
    main()
