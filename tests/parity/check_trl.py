#!/usr/bin/env python3
"""Does TRL compute what tests/parity/goldens/objectives.json holds, and do Plumbline's objectives compute what TRL does?

    check_trl.py --tests build/release/bin/worker_objective_test --python .venv-trl/bin/python

Makes the goldens anew, compares every number with the repository's to 1e-6, and runs the tests of the objectives on the
fresh ones (those on the repository's run with the other tests). Exit status: 0 the same, 1 not, 77 TRL cannot be imported.
"""
import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
TESTS = "PairsGolden.*"


def differences(ours, theirs, where=""):
    """(place, largest difference) of two JSON values; another shape or text is infinitely far."""
    if isinstance(ours, dict) and isinstance(theirs, dict) and ours.keys() == theirs.keys():
        for key in ours:
            yield from differences(ours[key], theirs[key], f"{where}/{key}")
    elif isinstance(ours, list) and isinstance(theirs, list) and len(ours) == len(theirs):
        for i, pair in enumerate(zip(ours, theirs)):
            yield from differences(*pair, f"{where}/{i}")
    elif all(isinstance(value, (int, float)) and not isinstance(value, bool) for value in (ours, theirs)):
        yield where, abs(ours - theirs)
    else:
        yield where, 0.0 if ours == theirs else float("inf")


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--tests", type=Path, required=True)
    arguments.add_argument("--python", type=Path, required=True)
    arguments = arguments.parse_args()
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    if not arguments.python.exists():
        print(f"skipped: there is no {arguments.python}; `./plumbline setup parity` installs TRL there")
        sys.exit(77)
    imports = subprocess.run([arguments.python, "-c", "import torch, transformers, trl; print(trl.__version__)"], env=environment,
                             text=True, capture_output=True, check=False)
    if imports.returncode != 0:
        print(imports.stderr, f"\nskipped: {arguments.python} cannot import TRL; `./plumbline setup parity` installs it", sep="")
        sys.exit(77)

    with tempfile.TemporaryDirectory() as scratch:
        fresh_file = Path(scratch) / "objectives.json"
        subprocess.run([arguments.python, HERE / "make_objective_goldens.py", fresh_file], env=environment, check=True)
        fresh, kept = (json.loads(file.read_text()) for file in (fresh_file, HERE / "goldens/objectives.json"))
        made_by = fresh.pop("made_by")
        versions = [f"{name} {version}" for name, version in made_by.items() if name != "script"]
        same_version = kept.pop("made_by")["trl"] == made_by["trl"]
        compared = list(differences(fresh, kept))
        place, largest = max(compared, key=lambda entry: entry[1])
        good = same_version and len(compared) > 1000 and largest <= 1e-6
        print(f"{', '.join(versions)}: {len(compared)} values, {len(fresh['cases'])} cases; from the repository's {largest:.1e} at most, "
              f"at {place}{'' if good else '   WRONG'}", flush=True)
        done = subprocess.run([arguments.tests, f"--gtest_filter={TESTS}"], text=True, capture_output=True, check=False,
                              env={**environment, "PLUMBLINE_OBJECTIVE_GOLDENS": str(fresh_file)})
        print(done.stdout[-4000:], done.stderr[-2000:], sep="", flush=True)
        passed = re.search(r"\[  PASSED  \] (\d+) tests?", done.stdout)
        good = good and done.returncode == 0 and passed is not None and int(passed.group(1)) >= 4
    print("the objectives compute what TRL computes" if good else "FAILED")
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
