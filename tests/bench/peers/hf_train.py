"""Hugging Face Transformers as people train with it, told what to do by run.py: a plain PyTorch loop with fused AdamW.

    hf_train.py SETUP.json

SETUP: model, data, threads, precision (float32, or bfloat16: autocast), objective (sft or dpo), beta, learning_rate, clip_norm,
max_source_tokens, max_output_tokens; for two processes under DistributedDataParallel also rank, world and store (a file).

Commands:
  train      {"steps": [[row, …], …], "attention": "sdpa", "micro_rows": 16, "batching": "given" | "random" | "grouped",
              "reference": "each step" | "cached"}   one optimizer step for each list of rows
              -> {"loss": […], "chosen": […], "tokens": real tokens of them all}
  loss       {"rows": […]}: their mean loss, without training
  reference  {"rows": […]}: computes their reference log-probs once (dpo)
  reset      the weights and the optimizer as they were at the start
  save       {"file": …}: torch.save of both -> {"bytes": …}; the step after it begins when this is answered

Batching: "random" pads micro-batches of the step's examples in random order to their longest; "grouped" sorts the examples of all steps of
a command by length first, as Transformers' group_by_length does with 50 steps' examples, and so makes other steps of the same examples.
The loss is the mean over the tokens (sft) or pairs (dpo) of the whole step, whatever its micro-batches, as Transformers' Trainer has
it. Nothing here is slower than it need be: no cache of keys and values, no loss beside the one that trains, log-probs without a
softmax over the vocabulary that is kept.
"""
import contextlib
import copy
import os
import random

from peer import Rows, listen, obey

SETUP, ANSWERS = listen()

import numpy as np
import torch
import torch.nn.functional as F
import transformers

IGNORED = -100


def padded(rows, value):
    out = np.full((len(rows), max(map(len, rows))), value, dtype=np.int64)
    for i, row in enumerate(rows):
        out[i, :len(row)] = row
    return torch.from_numpy(out)


class MicroBatch:
    """Sources and a side's outputs, or for pairs both sides' behind one another, as TRL concatenates them."""

    def __init__(self, data, rows, sides):
        sources = [data.tokens(row, "source") for row in rows] * len(sides)
        self.tokens = padded(sources, 0)
        self.mask = padded([np.ones_like(row) for row in sources], 0)
        self.labels = padded([data.tokens(row, side) for side in sides for row in rows], IGNORED)


class Training:
    def __init__(self, setup):
        torch.set_num_threads(setup["threads"])
        self.setup = setup
        self.sides = ("desired", "undesired") if setup["objective"] == "dpo" else ("desired",)
        self.data = Rows(setup["data"], "train", setup["max_source_tokens"], setup["max_output_tokens"])
        self.bare = transformers.AutoModelForSeq2SeqLM.from_pretrained(setup["model"]).train()
        self.model, self.world = self.bare, setup.get("world", 1)
        if self.world > 1:
            torch.distributed.init_process_group("gloo", init_method=f"file://{setup['store']}", rank=setup["rank"],
                                                 world_size=self.world)
            self.model = torch.nn.parallel.DistributedDataParallel(self.bare, gradient_as_bucket_view=True)
        self.start = copy.deepcopy(self.bare.state_dict())
        self.random = random.Random(1)
        self.references = {}
        self.reference = None
        if setup["objective"] == "dpo":
            self.reference = copy.deepcopy(self.bare).eval().requires_grad_(False)
        self.reset({})

    def reset(self, _):
        self.bare.load_state_dict(self.start)
        self.optimizer = torch.optim.AdamW(self.bare.parameters(), lr=self.setup["learning_rate"], weight_decay=0.0, fused=True)
        return {}

    def choose_attention(self, name):
        for model in (self.bare, self.reference):
            if model is not None and model.config._attn_implementation != name:
                model.set_attn_implementation(name)

    def autocast(self):
        if self.setup["precision"] == "float32":
            return contextlib.nullcontext()
        return torch.autocast("cpu", dtype=torch.bfloat16)

    def logits(self, model, batch):
        with self.autocast():
            return model(input_ids=batch.tokens, attention_mask=batch.mask, use_cache=False,
                         decoder_input_ids=self.bare._shift_right(batch.labels)).logits

    def log_probs(self, model, batch):
        """Of each output: the sum over its tokens."""
        logits = self.logits(model, batch).float()
        kept = batch.labels != IGNORED
        picked = logits.gather(2, batch.labels.clamp(min=0).unsqueeze(2)).squeeze(2) - logits.logsumexp(2)
        return (picked * kept).sum(1)

    def reference_log_probs(self, rows, batch, cached):
        if cached:
            return torch.tensor([self.references[row][i] for i in range(2) for row in rows])
        with torch.no_grad():
            return self.log_probs(self.reference, batch)

    def sft(self, rows, total):
        batch = MicroBatch(self.data, rows, self.sides)
        logits = self.logits(self.model, batch)
        loss = F.cross_entropy(logits.float().view(-1, logits.shape[-1]), batch.labels.view(-1), reduction="sum",
                               ignore_index=IGNORED)
        return loss / total, 0.0

    def dpo(self, rows, total, cached):
        batch = MicroBatch(self.data, rows, self.sides)
        policy = self.log_probs(self.model, batch)
        ratio = policy - self.reference_log_probs(rows, batch, cached)
        margin = ratio[:len(rows)] - ratio[len(rows):]
        loss = -F.logsigmoid(self.setup["beta"] * margin).sum()
        return loss / total, policy[:len(rows)].sum().item() / total

    def total(self, rows):
        """What the step's loss is a mean over."""
        if self.reference is not None:
            return len(rows)
        return sum(len(self.data.tokens(row, "desired")) for row in rows)

    def step(self, rows, command):
        total, size = self.total(rows), command["micro_rows"]
        if self.world > 1:  # This process's half; the loss is over both, and DDP takes the mean of the gradients.
            rows = rows[self.setup["rank"]::self.world]
        losses, chosen = 0.0, 0.0
        micro_batches = [rows[i:i + size] for i in range(0, len(rows), size)]
        for i, micro in enumerate(micro_batches):
            waits = self.world > 1 and i + 1 < len(micro_batches)
            with self.model.no_sync() if waits else contextlib.nullcontext():
                if self.reference is not None:
                    loss, mean = self.dpo(micro, total, command.get("reference") == "cached")
                else:
                    loss, mean = self.sft(micro, total)
                (loss * self.world).backward()
            losses += loss.item()
            chosen += mean
        torch.nn.utils.clip_grad_norm_(self.bare.parameters(), self.setup["clip_norm"])
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        return losses, chosen

    def batched(self, steps, batching):
        if batching == "given":
            return steps
        if batching == "random":
            return [self.random.sample(rows, len(rows)) for rows in steps]
        pool = sorted((row for rows in steps for row in rows), key=lambda row: -self.data.length(row, ("source", *self.sides)))
        size = len(steps[0])
        grouped = [pool[i:i + size] for i in range(0, len(pool), size)]
        return self.random.sample(grouped, len(grouped))

    def train(self, command):
        self.choose_attention(command["attention"])
        steps = [self.step(rows, command) for rows in self.batched(command["steps"], command["batching"])]
        losses, chosen = torch.tensor(steps, dtype=torch.float64).T.contiguous()
        if self.world > 1:
            torch.distributed.all_reduce(losses)
        return {"loss": losses.tolist(), "chosen": chosen.tolist() if self.reference is not None else [],
                "tokens": sum(self.data.length(row, ("source", *self.sides)) for rows in command["steps"] for row in rows)}

    def loss(self, command):
        rows, total = command["rows"], self.total(command["rows"])
        with torch.no_grad():
            losses = [self.sft(rows[i:i + 16], total)[0].item() for i in range(0, len(rows), 16)]
        return {"loss": [sum(losses)]}

    def cache_references(self, command):
        for i in range(0, len(command["rows"]), 16):
            rows = command["rows"][i:i + 16]
            with torch.no_grad():
                values = self.log_probs(self.reference, MicroBatch(self.data, rows, self.sides))
            for j, row in enumerate(rows):
                self.references[row] = (values[j].item(), values[len(rows) + j].item())
        return {}

    def save(self, command):
        torch.save({"model": self.bare.state_dict(), "optimizer": self.optimizer.state_dict()}, command["file"])
        return {"bytes": os.path.getsize(command["file"])}


training = Training(SETUP)
obey(ANSWERS, {"torch": torch.__version__, "transformers": transformers.__version__},
     {"train": training.train, "loss": training.loss, "reference": training.cache_references, "reset": training.reset, "save": training.save})
