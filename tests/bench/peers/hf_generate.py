"""Hugging Face Transformers' generate, told what to do by run.py.

    hf_generate.py SETUP.json        SETUP: model, threads, beams, max_new_tokens

Command: {"do": "generate", "sources": [text, …], "attention": "sdpa", "rows": 32} -> {"outputs": [text, …]}. Batches of `rows` sources
of like length, which generate itself leaves to its caller.
"""
from peer import listen, obey
from texts import EOS, decode, encode

SETUP, ANSWERS = listen()

import torch
import transformers

torch.set_num_threads(SETUP["threads"])
MODEL = transformers.AutoModelForSeq2SeqLM.from_pretrained(SETUP["model"]).eval()
SEARCH = {"num_beams": SETUP["beams"], "do_sample": False, "max_new_tokens": SETUP["max_new_tokens"]}
if SETUP["beams"] > 1:
    SEARCH |= {"length_penalty": 1.0, "early_stopping": False}


def generate(command):
    if MODEL.config._attn_implementation != command["attention"]:
        MODEL.set_attn_implementation(command["attention"])
    sources = [encode(text) for text in command["sources"]]
    order = sorted(range(len(sources)), key=lambda i: len(sources[i]))
    outputs = [""] * len(sources)
    for first in range(0, len(order), command["rows"]):
        batch = order[first:first + command["rows"]]
        longest = max(len(sources[i]) for i in batch)
        tokens = torch.tensor([sources[i] + [0] * (longest - len(sources[i])) for i in batch])
        with torch.inference_mode():
            written = MODEL.generate(input_ids=tokens, attention_mask=(tokens != 0).long(), **SEARCH)
        for i, row in zip(batch, written[:, 1:].tolist()):
            outputs[i] = decode(row)
    return {"outputs": outputs}


assert MODEL.generation_config.eos_token_id == EOS
obey(ANSWERS, {"torch": torch.__version__, "transformers": transformers.__version__}, {"generate": generate})
