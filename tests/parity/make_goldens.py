#!/usr/bin/env python3
"""Makes tests/parity/goldens: what Hugging Face Transformers computes for two small random models.

    python3 tests/parity/make_goldens.py [OUT]        needs: torch, transformers, safetensors

gated/  T5 v1.1 (gated GELU, untied head);  relu/  T5 v1.0 (ReLU, tied, scaled). Each folder holds config.json and
model.safetensors, and golden.safetensors: inputs, fp32 logits, losses and gradients (fp64
model, so that they are exact to fp32), greedy outputs, relative position buckets. versions.json names what made them.
"""
import json
import platform
import sys
from pathlib import Path

import torch
import transformers
from safetensors.torch import save_file
from transformers import T5Config, T5ForConditionalGeneration
from transformers.models.t5.modeling_t5 import T5Attention

VOCAB, ROWS, SOURCE, OUTPUT, NEW_TOKENS = 96, 4, 21, 11, 24
PREFERENCE, DEMONSTRATION, PROHIBITION = 1, 0, 2
BETA, SMOOTHING, SFT_WEIGHT, ALPHA = 0.3, 0.1, 0.7, 0.8


def make_model(kind, seed):
    torch.manual_seed(seed)
    gated = kind == "gated"
    config = T5Config(vocab_size=VOCAB, d_model=32, d_kv=8, d_ff=48 if gated else 40, num_layers=2, num_decoder_layers=2,
                      num_heads=4, relative_attention_num_buckets=12, relative_attention_max_distance=16, dropout_rate=0.0,
                      feed_forward_proj="gated-gelu" if gated else "relu", tie_word_embeddings=not gated,
                      decoder_start_token_id=0)
    model = T5ForConditionalGeneration(config).eval()
    if gated:  # Transformers 5 ties what it makes itself, and keeps apart what it loads apart.
        model.lm_head.weight = torch.nn.Parameter(torch.empty_like(model.shared.weight))
    with torch.no_grad():
        for name, p in model.named_parameters():
            if "layer_norm" in name:
                p.copy_(1 + 0.2 * torch.randn_like(p))
            elif "relative_attention_bias" in name:
                p.copy_(torch.randn_like(p))
            elif name in ("shared.weight", "lm_head.weight"):
                p.copy_(torch.randn_like(p) * (0.3 if gated else 1.0))
            else:
                p.copy_(torch.randn_like(p) * 0.25)
    return model


def save_model(model, kind, folder):
    """config.json and model.safetensors with every tensor once; loaded again to see that they give the same logits."""
    folder.mkdir(parents=True, exist_ok=True)
    config = json.loads(model.config.to_json_string())
    config["tie_word_embeddings"] = kind == "relu"
    (folder / "config.json").write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")
    weights = {name: p.detach().contiguous() for name, p in model.named_parameters()}
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    loaded = T5ForConditionalGeneration.from_pretrained(folder).eval()
    tokens = torch.arange(12).view(2, 6)
    with torch.no_grad():
        same = torch.equal(*(m(input_ids=tokens, decoder_input_ids=tokens).logits for m in (model, loaded)))
    assert same, f"{folder} does not load as it was made"


def padded(lengths, width, generator):
    """Random tokens, each row ended by EOS (1) and padded with 0."""
    tokens = torch.zeros(len(lengths), width, dtype=torch.int64)
    for row, n in enumerate(lengths):
        tokens[row, : n - 1] = torch.randint(3, VOCAB, (n - 1,), generator=generator)
        tokens[row, n - 1] = 1
    return tokens


def shift_right(tokens):
    return torch.cat([torch.zeros_like(tokens[:, :1]), tokens[:, :-1]], 1)


def token_log_probs(model, source, tokens):
    """[B,T,V] log-softmax and the labels' log-probs, both fp64; padded places are 0."""
    logits = model(input_ids=source, attention_mask=(source != 0).long(), decoder_input_ids=shift_right(tokens)).logits
    log_probs = torch.log_softmax(logits.double(), -1)
    return log_probs, log_probs.gather(2, tokens.unsqueeze(2)).squeeze(2) * (tokens != 0)


def objective_losses(model, source, desired, undesired, kinds, weights, reference):
    """The formulas of worker/objective, written down once more from the papers. Token counts are the batch's."""
    has_desired = torch.tensor([k != PROHIBITION for k in kinds])
    has_undesired = torch.tensor([k != DEMONSTRATION for k in kinds])
    both = has_desired & has_undesired
    w = torch.tensor(weights, dtype=torch.float64)
    _, lp_desired = token_log_probs(model, source, desired)
    undesired_all, lp_undesired = token_log_probs(model, source, undesired)
    desired_tokens = ((desired != 0) & has_desired[:, None]).sum()
    undesired_tokens = ((undesired != 0) & has_undesired[:, None]).sum()
    sft = (w * has_desired * -lp_desired.sum(1)).sum() / desired_tokens
    p = undesired_all.exp().gather(2, undesired.unsqueeze(2)).squeeze(2)
    ul = ((-torch.log1p(-p) * (undesired != 0)).sum(1) * w * has_undesired).sum() / undesired_tokens
    z = BETA * ((lp_desired.sum(1) - reference[:, 0]) - (lp_undesired.sum(1) - reference[:, 1]))
    logsigmoid = torch.nn.functional.logsigmoid
    pair = -(1 - SMOOTHING) * logsigmoid(z) - SMOOTHING * logsigmoid(-z)
    dpo = (pair * w * both).sum() / both.sum()
    return {"sft": sft, "unlikelihood": ALPHA * ul + SFT_WEIGHT * sft, "dpo": dpo + SFT_WEIGHT * sft}, lp_desired, lp_undesired


def greedy(model, source):
    """Token by token, the whole prefix each time: nothing of generate()'s machinery."""
    tokens = torch.zeros(source.shape[0], 1, dtype=torch.int64)
    done = torch.zeros(source.shape[0], dtype=torch.bool)
    for _ in range(NEW_TOKENS):
        logits = model(input_ids=source, attention_mask=(source != 0).long(), decoder_input_ids=tokens).logits[:, -1]
        following = torch.where(done, 0, logits.argmax(-1))
        done |= following == 1
        tokens = torch.cat([tokens, following[:, None]], 1)
    return tokens[:, 1:], done


def buckets(bidirectional):
    relative = torch.arange(-300, 301)
    return T5Attention._relative_position_bucket(relative, bidirectional=bidirectional, num_buckets=32, max_distance=128)


def main():
    out = Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parent / "goldens")
    torch.set_num_threads(1)
    generator = torch.Generator().manual_seed(7)
    source = padded([21, 9, 14, 2], SOURCE, generator)
    desired = padded([11, 4, 7, 9], OUTPUT, generator)
    undesired = padded([6, 11, 8, 3], OUTPUT, generator)
    kinds = [PREFERENCE, DEMONSTRATION, PROHIBITION, PREFERENCE]
    weights = [1.0, 0.5, 2.0, 1.5]
    reference = torch.tensor([[-40.0, -21.0], [-18.0, 0.0], [0.0, -30.0], [-33.0, -12.5]], dtype=torch.float64)
    for kind in ("gated", "relu"):
        # The first seed whose greedy outputs end at different places, some of them never: all of generation is used.
        for seed in range(1000):
            model = make_model(kind, seed)
            with torch.no_grad():
                written, done = greedy(model, source)
            if 0 < int(done.sum()) < ROWS and len({int((row != 0).sum()) for row in written}) > 2:
                break
        folder = out / kind
        save_model(model, kind, folder)
        tensors = {"source": source, "desired": desired, "undesired": undesired, "greedy": written,
                   "kinds": torch.tensor(kinds), "weights": torch.tensor(weights), "reference": reference.float(),
                   "buckets_bidirectional": buckets(True), "buckets_causal": buckets(False)}
        with torch.no_grad():
            mask = (source != 0).long()
            tensors["logits"] = model(input_ids=source, attention_mask=mask, decoder_input_ids=shift_right(desired)).logits
            tensors["memory"] = model.encoder(input_ids=source, attention_mask=mask).last_hidden_state
        exact = model.double()
        numbers = {}
        for objective in ("sft", "unlikelihood", "dpo"):
            exact.zero_grad()
            losses, lp_desired, lp_undesired = objective_losses(exact, source, desired, undesired, kinds, weights, reference)
            losses[objective].backward()
            numbers[objective] = losses[objective].item()
            named = dict(exact.named_parameters())
            numbers[f"{objective}_gradient_norm"] = sum(p.grad.square().sum() for p in named.values()).sqrt().item()
            for name in ("encoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight",
                         "decoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight",
                         "encoder.block.1.layer.0.SelfAttention.q.weight", "decoder.block.1.layer.1.EncDecAttention.k.weight",
                         "decoder.block.0.layer.2.layer_norm.weight", "encoder.final_layer_norm.weight"):
                tensors[f"{objective}.{name}"] = named[name].grad.float()
        tensors["log_prob_desired"] = lp_desired.sum(1).detach().float()
        tensors["log_prob_undesired"] = lp_undesired.sum(1).detach().float()
        save_file({k: v.contiguous() for k, v in tensors.items()}, folder / "golden.safetensors")
        numbers.update(beta=BETA, label_smoothing=SMOOTHING, sft_weight=SFT_WEIGHT, unlikelihood_alpha=ALPHA, seed=seed)
        (folder / "golden.json").write_text(json.dumps(numbers, indent=2) + "\n")
    versions = {"python": platform.python_version(), "torch": torch.__version__, "transformers": transformers.__version__}
    (out / "versions.json").write_text(json.dumps(versions, indent=2) + "\n")


if __name__ == "__main__":
    main()
