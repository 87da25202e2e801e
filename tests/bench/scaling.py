"""The suite `scaling`: two workers of ours beside two that do not communicate, and beside DistributedDataParallel with gloo."""
import pathlib
import tempfile

import ratios
import training
from material import say
from sides import MpiSide, Side, Together, take_turns

CASE = training.Case("two workers, sft, fixed lengths", objective="sft", peers=(), **training.FIXED)
ALONE = "two workers that do not communicate"
DDP = "HF, DDP with gloo"
TARGETS = {ALONE: (0.95, None), DDP: (1.1, None)}


class Scaling:
    """The sides for one model: each has two processes, which share the threads."""

    def __init__(self, name, options, material):
        self.name, self.options, self.material = name, options, material
        self.batch, self.steps = CASE.batch[name], CASE.steps[name]
        self.threads = max(1, options.threads // 2)
        self.warm_up, self.rounds = (1, 2) if options.quick else (2, options.rounds)
        self.total = self.steps * (self.warm_up + self.rounds)
        self.model, (self.data, self.norm, _) = material.model(name), training.data_of(CASE, material)

    def command(self, batch, seed=1, lanes=12):
        config = training.run_config(CASE, self.model, self.data, self.norm, batch, self.total, self.threads)
        config["seed"], config["train"]["lanes"] = seed, lanes
        return [self.material.bin / "bench_tool", "train", self.material.write_config(config)]

    def ours(self):
        return MpiSide("Plumbline", 2, self.command(self.batch), self.options.scratch)

    def one_worker(self):
        return Side("Plumbline, one worker", self.command(self.batch))

    def alone(self):
        """Each does what one of the two workers does: half of the lanes of half of the batch, and the whole optimizer step."""
        return Together([Side(ALONE, self.command(self.batch // 2, seed, lanes=6)) for seed in (1, 2)])

    def ddp(self):
        store = pathlib.Path(tempfile.mkdtemp(dir=self.options.scratch)) / "store"
        setup = training.peer_setup(CASE, self.model, self.data, self.threads)
        return Together(self.options.peers("hf_train.py", [{**setup, "rank": rank, "world": 2, "store": str(store)} for rank in range(2)]))


def train_in_turns(scaling, ours, theirs, commands):
    """`commands`: what theirs is told in each round. Returns the seconds and losses of both sides, and our profile."""
    seconds, losses, reports = ([], []), ([], []), []
    mine = {"do": "train", "steps": scaling.steps}
    for counts, done in take_turns(ours, theirs, scaling.warm_up, scaling.rounds, lambda r: (mine, commands[r])):
        for side, (time, answer) in enumerate(done):
            losses[side].extend(answer["loss"])
            if counts:
                seconds[side].append(time)
        if counts:
            reports.append(done[0][1])
    return seconds, losses, ratios.profile(reports)


def beside_alone(scaling):
    """Gated on the promise that the number of workers does not move a bit."""
    ours, theirs, one = scaling.ours(), scaling.alone(), scaling.one_worker()
    try:
        command = {"do": "train", "steps": scaling.steps}
        expected = one.ask(command)["loss"]
        seconds, losses, profile = train_in_turns(scaling, ours, theirs, [command] * (scaling.warm_up + scaling.rounds))
    finally:
        for side in (ours, theirs, one):
            side.close()
    return seconds, ratios.equal("loss on one worker", losses[0][:len(expected)], expected, 0.0), profile, ""


def beside_ddp(scaling):
    ours, theirs = scaling.ours(), scaling.ddp()
    try:
        schedule = ours.ask({"do": "rows", "steps": scaling.total})["rows"]
        command = {"do": "train", "batching": "given"}
        variant = training.choose_variant(theirs, {**command, "steps": schedule[:1]},
                                          training.variants(scaling.batch // 2, scaling.options.quick))
        theirs.ask({"do": "reset"})
        steps = [schedule[i:i + scaling.steps] for i in range(0, scaling.total, scaling.steps)]
        seconds, losses, profile = train_in_turns(scaling, ours, theirs, [{**command, **variant, "steps": rows} for rows in steps])
    finally:
        ours.close()
        theirs.close()
    return seconds, training.agree(CASE, *losses), profile, f" ({variant['attention']}, {variant['micro_rows']} rows)"


def measure(name, peer, options, material):
    scaling = Scaling(name, options, material)
    seconds, gate, profile, about = (beside_alone if peer == ALONE else beside_ddp)(scaling)
    target, aim = TARGETS[peer]
    examples = scaling.batch * scaling.steps
    return {"case": CASE.name, "model": name, "peer": peer + about, "unit": "examples/s", "target": target, "aim": aim,
            "ratio": ratios.paired(*seconds), "ours": ratios.median([examples / s for s in seconds[0]]),
            "theirs": ratios.median([examples / s for s in seconds[1]]), "gate": gate, **profile,
            "seconds": {"ours": seconds[0], "theirs": seconds[1]}}


def run(options, material):
    for name in options.models:
        for peer in TARGETS:
            if options.wants(f"{CASE.name} {name} {peer}"):
                say(f"… {CASE.name}, {name}, {peer}")
                yield measure(name, peer, options, material)
