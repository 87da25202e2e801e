"""The suite `recovery`: how long training stands still for a fault, with the small base model: from the fault to the next step's line.

Every round is a fault in one run that goes on: a signal to a real process. A step is counted that the group after the fault took:
beyond where its generation began, by the journal.
"""
import datetime
import json
import os
import signal
import subprocess
import time

from coordinator import Coordinator, beside_limit
from material import TRAINED_SMALL, MaterialFailed, say

KILLED_S, STOPPED_S, RESTARTED_S = 2, 5, 10


def config(material):
    """Two workers of one thread, steps of half a second, and nothing else to do but a checkpoint now and then."""
    return {"seed": 1, "data": str(material.fixed(128, 128)), "model": {"init": str(TRAINED_SMALL)},
            "train": {"steps": 1_000_000, "global_batch": 12, "lanes": 12, "max_source_tokens": 128, "max_output_tokens": 128},
            "evaluate": {"every": 1_000_000, "examples": 12, "generations": 1, "max_new_tokens": 8}, "checkpoint": {"every": 10, "keep": 2},
            "snapshot": {"every": 1_000_000}, "norms": {"bench": {"objective": "sft"}}, "workers": {"threads": 1, "max_restarts": 1000}}


def seconds(entry):
    return datetime.datetime.fromisoformat(entry["time"].replace("Z", "+00:00")).timestamp()


class Faulty(Coordinator):
    """A run whose processes are at hand."""

    def lines(self, name):
        file = self.run / name
        return [json.loads(line) for line in file.read_text().splitlines()[:-1]] if file.exists() else []

    def steps(self):
        return [line for line in self.lines("metrics.jsonl") if line["kind"] == "train"]

    def generations(self):
        return [entry for entry in self.lines("journal.jsonl") if entry["event"] == "generation_started"]

    def workers(self):
        """Process numbers by rank, once both take part in steps; none before."""
        generations, steps = self.generations(), self.steps()
        whole = generations and generations[-1]["data"]["world"] == 2
        if not whole or len([step for step in steps if seconds(step) > seconds(generations[-1])]) < 3:
            return None
        told = subprocess.run([str(self.program), "status", str(self.run), "--json"], text=True, capture_output=True)
        workers = json.loads(told.stdout)["workers"] if told.returncode == 0 else []
        return {worker["rank"]: worker["pid"] for worker in workers} if len(workers) == 2 else None

    def settled(self):
        """As workers(), which it waits for."""
        found = []
        self.wait_for(lambda: found.append(self.workers()) or found[-1], "a group of two that trains")
        return found[-1]

    def recovery(self, fault):
        """What follows on fault(): seconds to the next step, and how many steps were taken anew."""
        before, newest = len(self.generations()), self.steps()[-1]["step"]
        at = time.time()
        fault()

        def next_step():
            begun = self.generations()[before:]
            return begun and next((step for step in reversed(self.steps())
                                   if seconds(step) > at and step["step"] == begun[0]["data"]["start_step"] + 1), None)
        self.wait_for(next_step, "a step after the fault")
        return {"seconds": seconds(next_step()) - at, "anew": max(0, newest - self.generations()[before]["data"]["start_step"])}

    def begin_again(self):
        """SIGKILL to the coordinator, and `plumbline resume` at once."""
        self.process.kill()
        self.process.wait()
        with self.log.open("a") as log:
            self.process = subprocess.Popen([str(self.program), "resume", str(self.run)], stdin=subprocess.DEVNULL, stdout=log, stderr=log)


def signalled(number):
    """The fault of round r: this signal to one of the two ranks in turn."""
    def fault(run, pids, r):
        return lambda: os.kill(pids[r % 2], number)
    return fault


CASES = [("elastic, SIGKILL of a worker", "local", signalled(signal.SIGKILL), KILLED_S, True),
         ("elastic, SIGSTOP of a worker", "local", signalled(signal.SIGSTOP), STOPPED_S, True),
         ("elastic, SIGKILL of the coordinator, and resume", "local", lambda run, pids, r: run.begin_again, None, True),
         ("mpirun, SIGKILL of a worker", "mpirun", signalled(signal.SIGKILL), RESTARTED_S, False)]


def measured(options, material, name, launcher, fault, limit, keeps_steps):
    rounds = []
    with Faulty(material, config(material), "--workers", 2, "--launcher", launcher) as run:
        for r in range(2 if options.quick else options.rounds):
            pids = run.settled()
            rounds.append(run.recovery(fault(run, pids, r)))
    anew = sum(one["anew"] for one in rounds)
    if keeps_steps and anew:
        raise MaterialFailed(f"{name}: {anew} steps were taken anew, none should be")
    took = ", ".join(f"{one['seconds']:.2f}" for one in rounds)
    say(f"  {name}: {took} s; {anew} steps taken anew")
    return {**beside_limit(name, "s", [one["seconds"] for one in rounds], limit, rounds=rounds), "model": "small"}


def run(options, material):
    for case in CASES:
        if options.wants(case[0]):
            say(f"… {case[0]}")
            yield measured(options, material, *case)
