"""The suites `train` and `preference`: one optimizer step after another, on the same examples on both sides."""
import dataclasses

import ratios
from material import say
from sides import MpiSide, Side, take_turns

LEARNING_RATE = 3e-4
BETA = 0.1


@dataclasses.dataclass(frozen=True)
class Peer:
    """One way in which the peer trains. `gate`: "steps": the losses of the same steps agree; "first": of the first step's examples."""
    name: str
    batching: str
    target: float
    aim: float | None = None
    gate: str = "steps"
    reference: str | None = None


@dataclasses.dataclass(frozen=True)
class Case:
    """`data`: (source tokens, output tokens) of fixed lengths, or the name of real data. `batch` and `steps` by model: examples an
    optimizer step, and optimizer steps a round."""
    name: str
    data: tuple | str
    objective: str
    batch: dict
    steps: dict
    limits: tuple
    peers: tuple
    precision: str = "float32"
    first_tolerance: float = 1e-5  # of the first step, before which both sides have the same weights
    tolerance: float = 1e-3  # of all steps: differences of rounding grow


FIXED = dict(data=(128, 128), limits=(128, 128), batch={"small": 96, "t5-small": 96}, steps={"small": 2, "t5-small": 1})
PARADETOX = dict(data="paradetox", limits=(256, 256), batch={"small": 96, "t5-small": 24}, steps={"small": 4, "t5-small": 4})
HH = dict(data="hh-harmless", limits=(512, 256), batch={"small": 24, "t5-small": 12}, steps={"small": 4, "t5-small": 2})
OWN_LENGTHS = (Peer("HF, dynamic padding", "random", 1.5, 2), Peer("HF, length-grouped", "grouped", 1.15, gate="first"))
LOOPS = (Peer("HF/TRL-style loop", "random", 2, 2.5, reference="each step"),
         Peer("HF/TRL-style loop, cached reference", "random", 1.5, reference="cached"))

TRAIN = (
    Case("sft, fixed lengths", objective="sft", peers=(Peer("HF", "given", 1.15, 1.25),), **FIXED),
    Case("sft, ParaDetox", objective="sft", peers=OWN_LENGTHS, **PARADETOX),
    Case("sft, HH", objective="sft", peers=OWN_LENGTHS, **HH),
    Case("sft, fixed lengths, bf16", objective="sft", peers=(Peer("HF, bf16 autocast", "given", 1.25, 1.5),), precision="bfloat16",
         first_tolerance=2e-2, tolerance=2e-2, **FIXED),
)
PREFERENCE = (
    Case("dpo, fixed lengths", objective="dpo", peers=LOOPS, **FIXED),
    Case("dpo, ParaDetox", objective="dpo", peers=LOOPS, **PARADETOX),
    Case("dpo, HH", objective="dpo", peers=LOOPS, **HH),
)


def run_config(case, model, folder, norm, batch, steps, threads):
    """Ours: the defaults of a run, and what the peer is told too."""
    train = {"steps": steps, "global_batch": batch, "lanes": min(12, batch), "max_source_tokens": case.limits[0],
             "max_output_tokens": case.limits[1]}
    if case.precision == "bfloat16":
        train["precision"] = "bf16"
    return {"seed": 1, "data": str(folder), "model": {"init": str(model)}, "train": train,
            "norms": {norm: {"objective": case.objective, **({"beta": BETA, "sft_weight": 0} if case.objective == "dpo" else {})}},
            "optimizer": {"learning_rate": LEARNING_RATE, "schedule": "constant", "clip_norm": 1.0}, "workers": {"threads": threads}}


def peer_setup(case, model, folder, threads):
    return {"model": str(model), "data": str(folder), "threads": threads, "precision": case.precision, "objective": case.objective,
            "beta": BETA, "learning_rate": LEARNING_RATE, "clip_norm": 1.0, "max_source_tokens": case.limits[0],
            "max_output_tokens": case.limits[1]}


def data_of(case, material):
    """The dataset, its norm, and the case's name with what the data are."""
    if isinstance(case.data, tuple):
        return material.fixed(*case.data), "bench", case.name
    folder, about = material.real(case.data)
    norm = {"paradetox": "detoxify", "hh-harmless": "harmless"}[case.data]
    return (folder, norm, case.name) if about == case.data else (folder, "bench", f"{case.name} ({about})")


def variants(batch, quick):
    """What a person tries who wants the peer fast: both attentions, and micro-batches of some sizes."""
    sizes = sorted({min(size, batch) for size in ((16,) if quick else (8, 16, 32, batch))})
    return [{"attention": attention, "micro_rows": size} for attention in ("sdpa", "eager") for size in sizes]


def choose_variant(side, command, candidates, repeats=2):
    """The fastest, its best of several."""
    seconds = {}
    for _ in range(repeats):
        for i, variant in enumerate(candidates):
            seconds.setdefault(i, []).append(side.timed({**command, **variant})[0])
    return candidates[ratios.fastest(seconds)]


def agree(case, ours, theirs):
    """The gate on series of what the steps came to: their losses, under dpo each with its log-probs. The first step's are compared more
    closely."""
    what, first = ("loss and log-probs", 2) if case.objective == "dpo" else ("loss", 1)
    return ratios.strictest(ratios.equal(f"first {what}", ours[:first], theirs[:first], case.first_tolerance),
                            ratios.equal(what, ours, theirs, case.tolerance))


class Comparison:
    """Ours and the peers of one case, ready to take turns."""

    def __init__(self, case, name, options, material):
        self.case, self.name, self.options = case, name, options
        self.batch, self.steps = case.batch[name], case.steps[name]
        self.model = material.model(name)
        self.data, norm, self.about = data_of(case, material)
        self.warm_up, self.rounds = (1, 2) if options.quick else (2, options.rounds)
        total = self.steps * (self.warm_up + self.rounds)
        # One thread a worker, as `plumbline train` has it by default; as many workers as the peer has threads.
        config = run_config(case, self.model, self.data, norm, self.batch, total, threads=1)
        self.ours = MpiSide("Plumbline", options.threads, [material.bin / "bench_tool", "train", material.write_config(config)],
                            options.scratch)
        self.schedule = self.ours.ask({"do": "rows", "steps": total})["rows"]
        self.theirs = options.peer("hf_train.py", peer_setup(case, self.model, self.data, options.threads))

    def command(self, peer, steps):
        return {"do": "train", "batching": peer.batching, "reference": peer.reference, "steps": steps}

    def prepare(self, peer):
        """The peer at its start, and its fastest variant."""
        if peer.reference == "cached":
            self.theirs.ask({"do": "reference", "rows": sorted({row for rows in self.schedule for row in rows})})
        variant = choose_variant(self.theirs, self.command(peer, self.schedule[:1]), variants(self.batch, self.options.quick))
        self.theirs.ask({"do": "reset"})
        return variant

    def close(self):
        self.ours.close()
        self.theirs.close()


def compare(comparison, peer, variant):
    """Rounds of ours and theirs in turn, the first of a round alternating."""
    c = comparison
    first = c.theirs.ask({"do": "loss", "rows": c.schedule[0]})["loss"] if peer.gate == "first" else []
    told = [({"do": "train", "steps": c.steps}, {**c.command(peer, c.schedule[i:i + c.steps]), **variant})
            for i in range(0, len(c.schedule), c.steps)]
    seconds, series, reports, tokens = ([], []), ([], []), [], []
    for counts, done in take_turns(c.ours, c.theirs, c.warm_up, c.rounds, lambda r: told[r]):
        for side, (time, answer) in enumerate(done):
            steps = zip(answer["loss"], answer["chosen"]) if c.case.objective == "dpo" else zip(answer["loss"])
            series[side].extend(value for step in steps for value in step)
            if counts:
                seconds[side].append(time)
        if counts:
            reports.append(done[0][1])
            tokens.append(done[1][1]["tokens"])
    if peer.gate == "first":
        gate = ratios.equal("loss of the first step's examples", series[0][:1], first, c.case.first_tolerance)
    else:
        gate = agree(c.case, *series)
    return seconds, gate, {**ratios.profile(reports), "real_tokens_per_second": ratios.rates(tokens, *seconds)}


def references(ready):
    """What ours computed before the first step, which no round holds."""
    return {key: ready[key] for key in ("reference_seconds", "reference_rows") if key in ready}


def measure(case, name, options, material):
    """Rows, one a peer."""
    for peer in case.peers:
        row = {"case": case.name, "model": name, "peer": peer.name, "unit": "examples/s", "target": peer.target, "aim": peer.aim}
        if case.precision == "bfloat16" and not options.bfloat16:
            yield {**row, "skipped": "the processor has no instructions for bfloat16"}
            continue
        comparison = Comparison(case, name, options, material)
        try:
            variant = comparison.prepare(peer)
            seconds, gate, profile = compare(comparison, peer, variant)
        finally:
            comparison.close()
        examples = comparison.batch * comparison.steps
        ours, theirs = ([examples / s for s in side] for side in seconds)
        yield {**row, "case": comparison.about, "peer": f"{peer.name} ({variant['attention']}, {variant['micro_rows']} rows)",
               "ratio": ratios.paired(*seconds), "ours": ratios.median(ours), "theirs": ratios.median(theirs), "gate": gate,
               "seconds": {"ours": seconds[0], "theirs": seconds[1]}, **profile, **references(comparison.ours.ready)}


def run(cases, options, material):
    for name in options.models:
        for case in cases:
            if options.wants(f"{case.name} {name}"):
                say(f"… {case.name}, {name}")
                yield from measure(case, name, options, material)
