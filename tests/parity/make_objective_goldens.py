#!/usr/bin/env python3
"""Makes tests/parity/goldens/objectives.json: what TRL computes for the losses of pairs, in float64.

    ./plumbline setup parity
    .venv-trl/bin/python tests/parity/make_objective_goldens.py [OUT]

The file holds logits and labels of desired and undesired outputs, a reference's log-probs, and cases. A case has an
objective with its settings, the loss over the batch, the mean rewards, and of the loss's gradient by all logits the
norm and the product with the logits. "by" says who computed it: "trl" (the unbound methods of its trainers) or
"formula" (this file, for what TRL 0.11.4 does not have: DPO-Positive and unlikelihood).

pair_tokens "differing" goes through TRL too: labels that both outputs share are masked before TRL sees them.

"end_of_sequence" is a batch whose longest outputs end with EOS, with TRL's numbers, and those that it would give without
the last column: what TRL 0.19 to 0.28 computes for encoder-decoders.
"""
import json
import platform
import sys
import warnings
from pathlib import Path
from types import SimpleNamespace

warnings.filterwarnings("ignore")
import torch
import torch.nn.functional as F
import transformers
import trl
from trl import CPOTrainer, DPOTrainer, KTOTrainer, ORPOTrainer

VOCAB = 12
IGNORED = -100
ACCELERATOR = SimpleNamespace(device="cpu")
# Pairs that share a beginning, an end, both or nothing; one that has tokens more than the other, one that was cut and
# lost its EOS (1).
DESIRED = [[5, 6, 7, 8, 1], [3, 4, 1], [9, 9, 10, 1], [2, 1], [5, 4, 3, 6, 7, 8, 9, 10], [4, 5, 1]]
UNDESIRED = [[5, 6, 9, 8, 1], [3, 4, 5, 1], [9, 10, 1], [7, 8, 9, 1], [5, 4, 3, 6, 7, 8, 9, 11], [4, 5, 5, 5, 5, 5, 1]]


def padded(rows):
    width = max(map(len, rows))
    return torch.tensor([row + [IGNORED] * (width - len(row)) for row in rows])


def differing(desired, undesired):
    """Labels without what both outputs share at their beginning and end; the token where they part stays."""
    masked = [], []
    for d, u in zip(desired, undesired):
        shorter = min(len(d), len(u))
        prefix = next((i for i in range(shorter) if d[i] != u[i]), shorter)
        ends = list(zip(reversed(d[prefix + 1:]), reversed(u[prefix + 1:])))
        suffix = next((i for i, (a, b) in enumerate(ends) if a != b), len(ends))
        for out, row in zip(masked, (d, u)):
            out.append([t if prefix <= i < len(row) - suffix else IGNORED for i, t in enumerate(row)])
    return masked


def log_probs(logits, labels, average=False):
    if average:
        return ORPOTrainer.get_batch_logps(logits, labels.clone(), average_log_prob=True, is_encoder_decoder=True)
    return DPOTrainer.get_batch_logps(logits, labels.clone(), is_encoder_decoder=True)[0]


def trl_losses(case, logits, labels, reference):
    """Losses, rewards of desired, rewards of undesired, by pair."""
    objective = case["objective"]
    sums = [log_probs(l, y) for l, y in zip(logits, labels)]
    counts = [(y != IGNORED).sum(1).clamp(min=1) for y in labels]
    if objective in ("dpo", "ipo"):
        loss_type = "ipo" if objective == "ipo" else case.get("dpo_variant", "sigmoid")
        if objective == "ipo":  # As DPOTrainer.concatenated_forward and compute_ref_log_probs divide.
            sums = [s / n for s, n in zip(sums, counts)]
            reference = [r / n for r, n in zip(reference, counts)]
        settings = SimpleNamespace(accelerator=ACCELERATOR, reference_free=False, f_divergence_type="reverse_kl",
                                   f_divergence_params=None, beta=case["beta"], label_smoothing=case["label_smoothing"],
                                   loss_type=loss_type)
        return DPOTrainer.dpo_loss(settings, *sums, *reference)
    if objective == "orpo":
        settings = SimpleNamespace(accelerator=ACCELERATOR, beta=case["beta"])
        loss, desired, undesired, case["log_odds_ratio"], case["log_odds_chosen"] = ORPOTrainer.odds_ratio_loss(
            settings, *(s / n for s, n in zip(sums, counts)))
        case["log_odds_ratio"], case["log_odds_chosen"] = case["log_odds_ratio"].item(), case["log_odds_chosen"].item()
        return -loss, desired, undesired
    settings = SimpleNamespace(accelerator=ACCELERATOR, beta=case["beta"], label_smoothing=case["label_smoothing"],
                               loss_type="simpo" if objective == "simpo" else "sigmoid",
                               simpo_gamma=case.get("simpo_gamma", 0))
    if objective == "simpo":
        sums = [s / n for s, n in zip(sums, counts)]
    return CPOTrainer.cpo_loss(settings, *sums)


def formula_loss(case, logits, labels, reference):
    """Unlikelihood and DPO-Positive from their papers."""
    if case["objective"] == "dpo":
        (w, l), (ref_w, ref_l) = [log_probs(x, y) for x, y in zip(logits, labels)], reference
        h = (w - ref_w) - (l - ref_l) - case["dpo_positive_lambda"] * torch.clamp(ref_w - w, min=0)
        return -F.logsigmoid(case["beta"] * h).mean()
    mask = labels[1] != IGNORED
    p = logits[1].softmax(-1).gather(2, labels[1].clamp(min=0).unsqueeze(2)).squeeze(2)
    if case["unlikelihood_level"] == "token":
        return case["unlikelihood_alpha"] * (-torch.log(1 - p) * mask).sum() / sum(map(len, UNDESIRED))
    whole = torch.where(mask, p, torch.ones_like(p)).prod(1)
    return case["unlikelihood_alpha"] * -torch.log(1 - whole).mean()


def kto_case(case, logits, labels, reference, generator):
    """KTO's rows: what is kept of both sides, and log-probs of other examples' outputs."""
    case["kept"] = [[0, 1, 3, 5], [0, 2, 3, 4]] if case["mixed"] else [list(range(len(DESIRED)))] * 2
    policy = [log_probs(l, y) for l, y in zip(logits, labels)]
    rows = range(len(DESIRED))
    policy_kl = torch.randn(len(rows), generator=generator, dtype=torch.float64) - 8
    reference_kl = policy_kl - case.pop("moved") + 0.2 * torch.randn(len(rows), generator=generator, dtype=torch.float64)
    settings = SimpleNamespace(accelerator=SimpleNamespace(device="cpu", gather=lambda x: x), calculate_KL=True, loss_type="kto",
                               beta=case["beta"], desirable_weight=case["kto_desired_weight"],
                               undesirable_weight=case["kto_undesired_weight"])
    args = [x[k] for x in (policy, reference) for x, k in zip(x, case["kept"])]
    losses, desired, undesired, kl = KTOTrainer.kto_loss(settings, args[0], args[1], policy_kl, args[2], args[3], reference_kl)
    case["kl"] = kl.item()
    case["mean_of_differences"] = (policy_kl - reference_kl).mean().item()
    return losses, desired, undesired


def add_rewards(case, desired, undesired):
    """Means, and means of sizes: what rounding is relative to where rewards of both signs cancel."""
    case["rewards/chosen"], case["rewards/rejected"] = desired.mean().item(), undesired.mean().item()
    case["reward_sizes"] = [desired.abs().mean().item(), undesired.abs().mean().item()]


def cases():
    common = dict(beta=0.1, label_smoothing=0.0, sft_weight=0.0)
    for tokens in ("all", "differing"):
        yield dict(common, objective="dpo", pair_tokens=tokens)
        yield dict(common, objective="dpo", pair_tokens=tokens, beta=0.4, label_smoothing=0.1, sft_weight=1.0)
        yield dict(common, objective="dpo", pair_tokens=tokens, beta=0.3, label_smoothing=0.2, dpo_variant="robust")
        yield dict(common, objective="ipo", pair_tokens=tokens)
        yield dict(common, objective="orpo", pair_tokens=tokens, sft_weight=1.0)
        yield dict(common, objective="cpo", pair_tokens=tokens, sft_weight=1.0)
        yield dict(common, objective="cpo", pair_tokens=tokens, beta=0.5, label_smoothing=0.1)
        yield dict(common, objective="simpo", pair_tokens=tokens, beta=2.0, simpo_gamma=0.5)
        yield dict(common, objective="dpo", pair_tokens=tokens, dpo_positive_lambda=5.0)
        for level in ("token", "sequence"):
            yield dict(common, objective="unlikelihood", pair_tokens=tokens, unlikelihood_level=level, unlikelihood_alpha=0.8,
                       sft_weight=0.5)
    for moved, mixed in ((1.5, False), (-1.0, False), (0.7, True)):
        yield dict(common, objective="kto", pair_tokens="all", kto_desired_weight=1.2, kto_undesired_weight=0.7, moved=moved, mixed=mixed)


def end_of_sequence():
    """DPO's numbers of two pairs, as they are and ("dropped") with the last column of labels masked."""
    generator = torch.Generator().manual_seed(12)
    outputs = [[5, 1], [6, 7, 8, 1]], [[5, 9, 9, 9, 1], [6, 1]]
    labels = [padded(rows) for rows in outputs]
    logits = [torch.randn(*y.shape, VOCAB, generator=generator, dtype=torch.float64) * 2 for y in labels]
    made = {"beta": 0.5, "desired": outputs[0], "undesired": outputs[1], "desired_logits": logits[0].tolist(),
            "undesired_logits": logits[1].tolist()}
    for name in ("whole", "dropped"):
        if name == "dropped":
            for y in labels:
                y[:, -1] = IGNORED
        case = dict(objective="dpo", beta=made["beta"], label_smoothing=0.0)
        losses, desired, undesired = trl_losses(case, logits, labels, [torch.zeros(2, dtype=torch.float64)] * 2)
        made[name] = {"loss": losses.mean().item(), "rewards/chosen": desired.mean().item(), "rewards/rejected": undesired.mean().item(),
                      "log_probs": [log_probs(l, y).tolist() for l, y in zip(logits, labels)]}
    return made


def main():
    out = Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parent / "goldens/objectives.json")
    generator = torch.Generator().manual_seed(11)
    whole = [padded(rows) for rows in (DESIRED, UNDESIRED)]
    parts = [padded(rows) for rows in differing(DESIRED, UNDESIRED)]
    logits = [(torch.randn(*y.shape, VOCAB, generator=generator, dtype=torch.float64) * 2).requires_grad_(True) for y in whole]
    reference_logits = [l.detach() + 0.3 * torch.randn(l.shape, generator=generator, dtype=torch.float64) for l in logits]
    made = []
    reference = {}
    for tokens, labels in (("all", whole), ("differing", parts)):  # Kept as float32, so rounded before they are used.
        reference[tokens] = [log_probs(l, y).float().double() for l, y in zip(reference_logits, labels)]
    for case in cases():
        labels = whole if case["pair_tokens"] == "all" else parts
        case["by"] = "formula" if "unlikelihood_level" in case or "dpo_positive_lambda" in case else "trl"
        if case["objective"] == "kto":
            losses, desired, undesired = kto_case(case, logits, labels, reference["all"], generator)
            loss = losses.mean()
            add_rewards(case, desired, undesired)
        elif case["by"] == "trl":
            losses, desired, undesired = trl_losses(case, logits, labels, reference[case["pair_tokens"]])
            loss = losses.mean()
            add_rewards(case, desired, undesired)
            case["rewards/accuracies"] = (desired > undesired).double().mean().item()
        else:
            loss = formula_loss(case, logits, labels, reference[case["pair_tokens"]])
        nll = F.cross_entropy(logits[0].flatten(0, 1), whole[0].flatten(), ignore_index=IGNORED)  # As CPO and ORPO have it.
        loss = loss + case["sft_weight"] * nll
        gradients = torch.autograd.grad(loss, logits, allow_unused=True)
        case["loss"] = loss.item()
        case["gradient_norm"] = sum(g.square().sum() for g in gradients if g is not None).sqrt().item()
        case["gradient_times_logits"] = sum((g * l).sum() for g, l in zip(gradients, logits) if g is not None).item()
        made.append(case)
    golden = {"made_by": {"script": "tests/parity/make_objective_goldens.py", "python": platform.python_version(),
                          "torch": torch.__version__.split("+")[0], "transformers": transformers.__version__, "trl": trl.__version__},
              "desired": DESIRED, "undesired": UNDESIRED, "desired_logits": logits[0].tolist(), "undesired_logits": logits[1].tolist(),
              "reference": {k: [r.tolist() for r in v] for k, v in reference.items()},
              "log_probs": {k: [log_probs(l, y).tolist() for l, y in zip(logits, labels)] for k, labels in (("all", whole), ("differing", parts))},
              "end_of_sequence": end_of_sequence(), "cases": made}
    text = json.dumps(golden, separators=(",", ":"))
    out.write_text(text.replace('},{"', '},\n{"').replace('"cases":[', '"cases":[\n').replace(']],[[', ']],\n[[') + "\n")


if __name__ == "__main__":
    main()
