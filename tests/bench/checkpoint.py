"""The suite `checkpoint`: how long training stands still for a checkpoint, in our runs and in a PyTorch loop that calls torch.save."""
import datetime

import ratios
import training
from coordinator import Coordinator, beside_limit
from material import say
from sides import Side, timed

STALL_MS, AIM_MS, RATIO = 100, 50, 10
CASE = training.Case("checkpoint", data=(128, 128), objective="sft", batch={"small": 48, "t5-small": 12}, steps={"small": 6, "t5-small": 6},
                     limits=(128, 128), peers=())
KEPT = 2
DEADLINE = 900


def moment(line):
    return datetime.datetime.fromisoformat(line["time"].replace("Z", "+00:00")).timestamp()


def intervals(lines):
    """Seconds from each step's line to the next one's, by the step that the first is of: a checkpoint of that step is in it."""
    return {a["step"]: moment(b) - moment(a) for a, b in zip(lines, lines[1:])}


def beyond_the_others(seconds, every, first):
    """By how much each interval that has a checkpoint in it is longer than the median of those that have none, from step `first` on."""
    counted = {step: value for step, value in seconds.items() if step >= first}
    usual = ratios.median([value for step, value in counted.items() if step % every != 0])
    return [value - usual for step, value in counted.items() if step % every == 0]


def lost(seconds, every, first):
    """What a checkpoint costs in all, work that goes on beside training too: from each one on, the `every` intervals up to the next, less as
    many as there were before the first one, when nothing was written."""
    undisturbed = ratios.median([value for step, value in seconds.items() if 1 < step < first])
    windows = [[seconds[step] for step in range(begin, begin + every) if step in seconds]
               for begin in seconds if begin >= first and begin % every == 0]
    return [sum(window) - every * undisturbed for window in windows if len(window) == every]


class Measured:
    """One side's checkpoints of all rounds: each list has one list a round."""

    def __init__(self):
        self.stalls, self.longer, self.lost, self.losses, self.bytes = [], [], [], [], 0

    def add(self, stalls, seconds, every, first):
        self.stalls.append(stalls)
        self.longer.append(beyond_the_others(seconds, every, first))
        self.lost.append(lost(seconds, every, first))


class Comparison:
    """Runs of ours and the peer's steps in turn; every round begins at the same weights and has the same examples."""

    def __init__(self, name, options, material):
        self.options, self.material, self.every, self.count = options, material, CASE.steps[name], 2 if options.quick else 4
        self.steps = self.every * (self.count + 1)
        self.first = self.every  # Before the first checkpoint both sides warm up.
        model, (data, norm, _) = material.model(name), training.data_of(CASE, material)
        self.config = training.run_config(CASE, model, data, norm, CASE.batch[name], 10 * self.steps, threads=1)
        self.config |= {"checkpoint": {"every": self.every, "keep": KEPT}, "evaluate": {"every": 0, "examples": 4, "generations": 1},
                        "snapshot": {"examples": 4}}
        with Side("Plumbline", [material.bin / "bench_tool", "train", material.write_config(self.config)]) as tool:
            self.schedule = tool.ask({"do": "rows", "steps": self.steps})["rows"]
        self.peer = options.peer("hf_train.py", training.peer_setup(CASE, model, data, options.threads))
        self.variant = {"attention": "sdpa", "micro_rows": min(16, CASE.batch[name])}
        self.ours, self.theirs = Measured(), Measured()

    def run_ours(self):
        with Coordinator(self.material, self.config, "--workers", self.options.threads) as coordinator:
            coordinator.wait_for(lambda: len(coordinator.train_lines()) > self.steps, f"step {self.steps + 1}", DEADLINE)
            lines = coordinator.train_lines()[:self.steps + 1]
            self.ours.bytes = max(sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
                                  for folder in (coordinator.run / "checkpoints").glob("step-*"))
        # A step's line has what the checkpoint of the step before stood in its way.
        stalls = [line["phase_seconds"]["checkpoint"] for line in lines if line["step"] > self.first and (line["step"] - 1) % self.every == 0]
        self.ours.add(stalls, intervals(lines), self.every, self.first)
        self.ours.losses.append([line["loss"] for line in lines[:self.steps]])

    def run_theirs(self):
        self.peer.ask({"do": "reset"})
        stalls, seconds, losses, saved = [], {}, [], []
        for step, rows in enumerate(self.schedule, 1):
            time, answer = timed(self.peer, {"do": "train", "batching": "given", "reference": None, "steps": [rows], **self.variant})
            seconds[step - 1] = seconds.get(step - 1, 0) + time
            losses += answer["loss"]
            if step % self.every:
                continue
            saved.append(self.options.scratch / f"torch-{step}.pt")
            time, answer = timed(self.peer, {"do": "save", "file": str(saved[-1])})
            stalls.append(time)
            seconds[step] = time
            self.theirs.bytes = answer["bytes"]
            for file in saved[:-KEPT]:
                file.unlink(missing_ok=True)
        seconds.pop(self.steps)  # No step comes after it.
        for file in saved:
            file.unlink(missing_ok=True)
        self.theirs.add(stalls, seconds, self.every, self.first)
        self.theirs.losses.append(losses)

    def measure(self):
        for r in range(2 if self.options.quick else self.options.rounds):
            for run in (self.run_ours, self.run_theirs) if r % 2 == 0 else (self.run_theirs, self.run_ours):
                run()
        gates = [ratios.equal("loss", ours, theirs, CASE.tolerance) for ours, theirs in zip(self.ours.losses, self.theirs.losses)]
        return ratios.strictest(*gates)


def flat(rounds):
    return [value for one in rounds for value in one]


def medians(rounds):
    return [ratios.median(one) for one in rounds]


def rows_of(name, ours, theirs, gate):
    """The rows: what each side itself measured, beside the other and beside the limit; what the clock between two steps says."""
    about = {"model": name, "unit": "ms", "gate": gate, "aim": None}

    def beside(case, mine, others, target, pick):
        ratio = ratios.paired([pick(one) for one in mine], [pick(one) for one in others])
        return {**about, "case": case, "peer": "torch.save", "target": target, "ratio": ratio,
                "ours": 1000 * pick(flat(mine)), "theirs": 1000 * pick(flat(others)),
                "seconds": {"ours": mine, "theirs": others}, "bytes": {"ours": ours.bytes, "theirs": theirs.bytes}}
    yield beside("stall per checkpoint", ours.stalls, theirs.stalls, RATIO, ratios.median)
    yield beside("longest stall", ours.stalls, theirs.stalls, None, max)
    yield {**beside_limit("stall per checkpoint", "ms", [1000 * stall for stall in medians(ours.stalls)], STALL_MS), "model": name,
           "aim": STALL_MS / AIM_MS}
    for case, mine, others in (("a step with a checkpoint, beyond the median step", ours.longer, theirs.longer),
                               ("time lost until the next checkpoint", ours.lost, theirs.lost)):
        # Differences of long times, which may come out as nothing or less.
        mine, others = ([[max(value, 1e-3) for value in one] for one in side] for side in (mine, others))
        yield beside(case, mine, others, None, ratios.median)


def run(options, material):
    for name in options.models:
        if not options.wants(f"{CASE.name} {name}"):
            continue
        say(f"… {CASE.name}, {name}")
        comparison = Comparison(name, options, material)
        try:
            gate = comparison.measure()
        finally:
            comparison.peer.close()
        yield from rows_of(name, comparison.ours, comparison.theirs, gate)
