#!/usr/bin/env python3
"""Plumbline beside its peers, on the same weights, data and threads: `./plumbline bench [SUITE…]`. docs/benchmarks.md says what the cases
are and how to read the table.

Exit status: 0 all was measured (whatever the ratios are), 1 a comparison's results were not equal, so that its ratio says nothing,
4 something failed; what was measured before is printed and written all the same.
"""
import argparse
import fnmatch
import json
import os
import pathlib
import sys
import tempfile

import checkpoint
import coordinator
import generation
import machine
import memory
import ratios
import recovery
import scaling
import training
from material import MEASURED, SOURCE, Material, MaterialFailed, say
from sides import Side, SideFailed

SUITES = {"train": lambda options, material: training.run(training.TRAIN, options, material),
          "preference": lambda options, material: training.run(training.PREFERENCE, options, material),
          "generate": generation.run,
          "scaling": scaling.run,
          "memory": memory.run,
          "checkpoint": checkpoint.run,
          "coordinator": coordinator.run,
          "recovery": recovery.run}


class Options:
    """What was asked for, and how peers are started."""

    def __init__(self, arguments, about, scratch):
        self.rounds, self.quick, self.threads = arguments.rounds, arguments.quick, arguments.threads
        self.models = arguments.model or MEASURED
        self.pattern, self.python, self.scratch = arguments.case, arguments.python, pathlib.Path(scratch)
        self.bfloat16, self.versions = about["bfloat16"], {}

    def wants(self, name):
        return self.pattern is None or fnmatch.fnmatch(name.lower(), f"*{self.pattern.lower()}*")

    def peers(self, script, setups):
        """Peers that wait for one another before they are ready."""
        sides = [self.start(script, setup) for setup in setups]
        for side in sides:
            side.ready = side.answer()
            self.versions.update({name: version for name, version in side.ready.items() if name != "ready"})
        return sides

    def peer(self, script, setup):
        return self.peers(script, [setup])[0]

    def start(self, script, setup):
        """With as many threads as its setup says, and nothing of ours in its environment."""
        file = pathlib.Path(tempfile.mkstemp(suffix=".json", dir=self.scratch)[1])
        file.write_text(json.dumps(setup))
        threads = str(setup["threads"])
        return Side(script, [self.python, SOURCE / "tests/bench/peers" / script, file],
                    {"OMP_NUM_THREADS": threads, "MKL_NUM_THREADS": threads, "TRANSFORMERS_VERBOSITY": "error", "HF_HUB_OFFLINE": "1",
                     "HF_HUB_DISABLE_PROGRESS_BARS": "1"}, waits=False)


def arguments():
    parser = argparse.ArgumentParser(prog="plumbline bench", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("suites", nargs="*", metavar="SUITE", help=f"of {', '.join(SUITES)}; without one, all these; "
                        "or of plan, reduction and training, which measure single parts and take Google Benchmark's options")
    parser.add_argument("--rounds", type=int, default=7, help="paired rounds that count (default 7)")
    parser.add_argument("--quick", action="store_true", help="two rounds, few of the peers' variants: does it run at all?")
    parser.add_argument("--model", action="append", choices=MEASURED, help="only this one; may stand more than once")
    parser.add_argument("--case", metavar="PATTERN", help="only cases whose name or model holds this; * stands for anything")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)), help="of each side (default: the cores)")
    parser.add_argument("--json", metavar="FILE", type=pathlib.Path, help="write everything there as well")
    parser.add_argument("--parse-only", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--bin", type=pathlib.Path, default=SOURCE / "build/release/bin", help=argparse.SUPPRESS)
    parser.add_argument("--python", type=pathlib.Path, default=SOURCE / ".venv-bench/bin/python", help=argparse.SUPPRESS)
    given = parser.parse_args()
    unknown = [suite for suite in given.suites if suite not in SUITES]
    if unknown or given.rounds < 1 or given.threads < 1:
        parser.error(f"there is no suite {unknown[0]}; there are {', '.join(SUITES)}" if unknown else "--rounds and --threads begin at 1")
    return given


def utilisation(row, about):
    """MFU, beside the best matrix products that were seen on this machine."""
    if "model_flops_per_second" not in row:
        return {}
    peak = about["peak_flops_per_second"]["bfloat16" if "bf16" in row["case"] else "float32"]
    return {"mfu": row["model_flops_per_second"] / peak}


def show(row):
    if row.get("skipped"):
        say(f"  {row['peer']}: left out, {row['skipped']}")
        return
    ratio = row["ratio"]
    say(f"  {row['peer']}: {ratio['median']:.2f} ({ratio['min']:.2f} to {ratio['max']:.2f}), target {ratios.number(row['target'])}; "
        f"{ratios.gate_text(row['gate']) or 'nothing to be equal to'}")
    if row.get("phases"):
        tokens = row.get("real_tokens_per_second")
        say("    " + (f"{ratios.number(tokens['ours'])} real tokens/s beside {ratios.number(tokens['theirs'])}; " if tokens else "")
            + f"our time: {ratios.phase_text(row['phases'])}; {row['model_flops_per_second'] / 1e9:.0f} GFLOP/s of the model's own, "
            f"{100 * row['mfu']:.0f}% of what matrix products reach here")
    if row.get("reference_seconds"):
        say(f"    not in our time: the start model's log-probs of {row['reference_rows']} pairs, once, in {row['reference_seconds']:.1f} s")


def measure(suites, options, material, about, rows):
    """Adds to `rows` as they come, so that what is measured is not lost with what fails."""
    for suite in suites:
        for row in SUITES[suite](options, material):
            rows.append({"suite": suite, **row, **utilisation(row, about)})
            show(rows[-1])


def main():
    given = arguments()
    if given.parse_only:
        return
    about, rows, failure = machine.describe(SOURCE, given.bin / "bench_tool", given.threads), [], None
    with tempfile.TemporaryDirectory() as scratch:
        options = Options(given, about, scratch)
        try:
            measure(given.suites or SUITES, options, Material(given.bin), about, rows)
        except (SideFailed, MaterialFailed) as error:
            failure = str(error)
        except KeyboardInterrupt:
            failure = "interrupted"
    about["versions"] = options.versions
    say("\n" + "\n".join([*machine.as_text(about), "", *ratios.table(rows)]))
    if given.json:
        given.json.write_text(json.dumps({"machine": about, "rows": rows, "failure": failure}, indent=1) + "\n")
    if failure:
        print(f"plumbline bench: {failure}", file=sys.stderr)
        sys.exit(4)
    sys.exit(0 if all(ratios.counts(row) for row in rows) else 1)


if __name__ == "__main__":
    main()
