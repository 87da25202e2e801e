"""The suite `memory`: the most that is resident while both sides take the same steps, and what 2,000 steps of ours leave behind."""
import ratios
import training
from material import say
from sides import Side

STEPS = 3
CASE = training.Case("peak memory, sft, fixed lengths", objective="sft", peers=(), **training.FIXED)
GROWTH = "memory over 2,000 steps"
SETTLED, LAST = 500, 2000
MIB = 2**20


def in_a_fresh_process(make, command, rows=None):
    """Bytes at the peak, those of them since the model was loaded, and the losses. `rows`: of how many steps to ask for first."""
    with make() as side:
        loaded = side.memory()["now"]
        schedule = side.ask({"do": "rows", "steps": rows})["rows"] if rows else None
        losses = side.ask(command)["loss"]
        peak = side.memory()["peak"]
    return {"peak": peak, "since": peak - loaded, "loss": losses, "schedule": schedule}


def least(runs):
    return min(runs, key=lambda run: run["peak"])


def peaks(name, options, material):
    """Two rows. The peer is the variant that needs least; each runs in processes of its own."""
    repeats = 1 if options.quick else 3
    batch, model = CASE.batch[name], material.model(name)
    data, norm, _ = training.data_of(CASE, material)
    config = material.write_config(training.run_config(CASE, model, data, norm, batch, STEPS, options.threads))
    setup = training.peer_setup(CASE, model, data, options.threads)
    ours = [in_a_fresh_process(lambda: Side("Plumbline", [material.bin / "bench_tool", "train", config]), {"do": "train", "steps": STEPS},
                               STEPS) for _ in range(repeats)]
    command = {"do": "train", "batching": "given", "steps": ours[0]["schedule"]}
    runs = {(variant["attention"], variant["micro_rows"]): [
        in_a_fresh_process(lambda: options.peer("hf_train.py", setup), {**command, **variant}) for _ in range(repeats)]
        for variant in training.variants(batch, options.quick)}
    variant = min(runs, key=lambda v: least(runs[v])["peak"])
    theirs = runs[variant]
    gate = training.agree(CASE, least(ours)["loss"], least(theirs)["loss"])
    for about, key, target in ((CASE.name, "peak", 1.0), (f"{CASE.name}, since loading", "since", None)):
        yield {"case": about, "model": name, "peer": f"HF ({variant[0]}, {variant[1]} rows)", "unit": "MiB", "target": target, "aim": None,
               "ratio": ratios.paired([run[key] for run in ours], [run[key] for run in theirs]), "gate": gate,
               "ours": ratios.median([run[key] / MIB for run in ours]), "theirs": ratios.median([run[key] / MIB for run in theirs])}


def growth(options, material):
    """Ours at its 500th step beside ours at its 2,000th: rows of uneven lengths, so that memory is asked for in ever other sizes."""
    data = material.log_normal("paradetox")
    model = material.model("tiny")
    case = training.Case(GROWTH, "", "sft", {}, {}, (64, 64), ())
    config = training.run_config(case, model, data, "bench", 4, LAST, threads=1)
    config["train"]["lanes"] = 2
    with Side("Plumbline", [material.bin / "bench_tool", "train", material.write_config(config)]) as side:
        resident = {}
        for step in range(SETTLED, LAST + 1, SETTLED):
            side.ask({"do": "train", "steps": SETTLED})
            resident[step] = side.memory()["now"]
    return {"case": GROWTH, "model": "tiny", "peer": f"itself at step {SETTLED}", "unit": "MiB", "target": 0.99, "aim": None, "gate": None,
            "ratio": ratios.paired([resident[LAST]], [resident[SETTLED]]), "ours": resident[LAST] / MIB, "theirs": resident[SETTLED] / MIB,
            "resident": resident}


def run(options, material):
    for name in options.models:
        if options.wants(f"{CASE.name} {name}"):
            say(f"… {CASE.name}, {name}")
            yield from peaks(name, options, material)
    if options.wants(GROWTH):
        say(f"… {GROWTH}")
        yield growth(options, material)
