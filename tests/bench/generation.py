"""The suite `generate`: the same sources answered by `plumbline-worker --generate`, by Transformers and by CTranslate2."""
import dataclasses
import random

import ratios
from material import TRAINED_SMALL, say
from sides import Side, take_turns
from training import choose_variant

RESIDUES = "ACDEFGHIKLMNPQRSTVWY"


@dataclasses.dataclass(frozen=True)
class Peer:
    name: str
    script: str
    attentions: tuple
    target: float
    aim: float


@dataclasses.dataclass(frozen=True)
class Case:
    name: str
    beams: int
    sources: dict  # by model, a round
    peers: tuple


HF = Peer("HF generate", "hf_generate.py", ("sdpa", "eager"), 3, 5)
CT2 = Peer("CTranslate2", "ct2_generate.py", (None,), 0.8, 1)
CASES = (
    Case("greedy", 1, {"small": 256, "t5-small": 64}, (HF, CT2)),
    Case("beam 4", 4, {"small": 64, "t5-small": 64}, (HF, CT2)),
)
ALIKE = 0.98  # Share of outputs that are ours, letter for letter; where two candidates are equal but for rounding they may differ.
# The small model is a trained one and ends its outputs itself; random weights do not, so all their outputs have this length.
LONGEST = {"small": 170, "t5-small": 64}


def protein_pairs(count):
    """What the small model was trained to align: a protein of 32 to 44 residues and a relative of it."""
    draw = random.Random(3)
    pairs = []
    for _ in range(count):
        one = draw.choices(RESIDUES, k=draw.randint(32, 44))
        other = [draw.choice(RESIDUES) if draw.random() < 0.45 else residue for residue in one if draw.random() > 0.04]
        pairs.append("".join(one) + "|" + "".join(other))
    return pairs


class Ours(Side):
    """The worker that `plumbline generate` starts; answers come one by one and in any order."""

    def __init__(self, worker, model, threads, beams, longest):
        task = {"model": str(model), "max_new_tokens": longest, "max_source_tokens": 2048, "batch_rows": 32, "temperature": 0, "top_p": 1,
                "top_k": 0, "seed": 1, "samples": 1, "beams": beams, "length_penalty": 1, "early_stopping": False}
        super().__init__("Plumbline", [worker, "--generate", "--threads", threads, "--log-level", "error"], greeting=task)

    def ask(self, command):
        self.send({"first": 0, "sources": command["sources"]})
        outputs = [""] * len(command["sources"])
        for _ in outputs:
            answer = self.answer()
            outputs[answer["source"]] = answer["outputs"][0]["text"]
        return {"outputs": outputs}


def measure(case, name, peer, options, material):
    model = TRAINED_SMALL if name == "small" else material.model(name)
    setup = {"model": str(model), "threads": options.threads, "beams": case.beams, "max_new_tokens": LONGEST[name],
             "converted": str(material.home / f"ctranslate2-{model.name}")}
    warm_up, rounds = (1, 2) if options.quick else (1, options.rounds)
    count = case.sources[name]
    sources = protein_pairs(count * (warm_up + rounds))
    sizes = (32,) if options.quick else (16, 32, 64)
    variants = [{"attention": attention, "rows": rows} for attention in peer.attentions for rows in sizes if rows <= max(16, count)]
    seconds, outputs = ([], []), ([], [])
    with Ours(material.bin / "plumbline-worker", model, options.threads, case.beams, LONGEST[name]) as ours, \
            options.peer(peer.script, setup) as theirs:
        variant = choose_variant(theirs, {"do": "generate", "sources": sources[:count]}, variants)
        told = [{"do": "generate", "sources": sources[i:i + count]} for i in range(0, len(sources), count)]
        for counts, done in take_turns(ours, theirs, warm_up, rounds, lambda r: (told[r], {**told[r], **variant})):
            for side, (time, answer) in enumerate(done):
                outputs[side].extend(answer["outputs"])
                if counts:
                    seconds[side].append(time)
    about = ", ".join(str(word) for word in (variant["attention"], f"{variant['rows']} rows") if word)
    return {"case": case.name, "model": name, "peer": f"{peer.name} ({about})", "unit": "outputs/s", "target": peer.target, "aim": peer.aim,
            "ratio": ratios.paired(*seconds), "ours": ratios.median([count / s for s in seconds[0]]),
            "theirs": ratios.median([count / s for s in seconds[1]]), "gate": ratios.same("other outputs", *outputs, ALIKE),
            "seconds": {"ours": seconds[0], "theirs": seconds[1]},
            "letters": ratios.median([len(output) for output in outputs[0]])}


def run(options, material):
    for name in options.models:
        for case in CASES:
            for peer in case.peers:
                if options.wants(f"{case.name} {name} {peer.name}"):
                    say(f"… {case.name}, {name}, {peer.name}")
                    yield measure(case, name, peer, options, material)
