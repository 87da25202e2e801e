"""Ratios of paired rounds, the equality that they are gated on, and the table. Pure.

A row is what one comparison came to, as JSON holds it: case, model, peer, target and aim (None where there is none), ratio (median,
min, max, rounds; above 1 ours is better), ours and theirs (medians, in `unit`), gate (None where there is nothing to be equal to), and
what else the suite adds.
"""
import math
import statistics


def paired(ours, theirs):
    """Theirs ÷ ours, round by round: of the seconds that both took for the same examples, or of the bytes. Above 1 ours is better."""
    if len(ours) != len(theirs) or not ours:
        raise ValueError(f"{len(ours)} rounds of ours and {len(theirs)} of theirs make no pairs")
    ratios = [b / a for a, b in zip(ours, theirs)]
    return {"median": statistics.median(ratios), "min": min(ratios), "max": max(ratios), "rounds": len(ratios)}


median = statistics.median


def equal(what, ours, theirs, tolerance):
    """A gate: do two series of numbers agree, each to `tolerance` of itself? Series that are empty or uneven, or hold what is no number,
    do not."""
    worst = math.inf
    if len(ours) == len(theirs) and ours:
        differences = [abs(a - b) / max(abs(b), 1e-12) if math.isfinite(a) and math.isfinite(b) else math.inf
                       for a, b in zip(ours, theirs)]
        worst = max(differences)
    return {"what": what, "compared": len(ours), "worst": worst if math.isfinite(worst) else None, "tolerance": tolerance,
            "holds": worst <= tolerance}


def strictest(*gates):
    """The first that does not hold; the last when all do."""
    return next((gate for gate in gates if not gate["holds"]), gates[-1])


def same(what, ours, theirs, share):
    """A gate: are at least `share` of the outputs the same?"""
    alike = sum(a == b for a, b in zip(ours, theirs)) / len(ours) if ours and len(ours) == len(theirs) else 0.0
    return {"what": what, "compared": len(ours), "worst": 1 - alike, "tolerance": 1 - share, "holds": alike >= share}


def rates(amounts, ours, theirs):
    """The median rates at which both sides did the same amounts, round by round."""
    return {side: statistics.median(amount / second for amount, second in zip(amounts, seconds))
            for side, seconds in (("ours", ours), ("theirs", theirs))}


def fastest(seconds):
    """The name with the least seconds, its best of several."""
    return min(seconds, key=lambda name: min(seconds[name]))


def counts(row):
    """Does its ratio say anything?"""
    return bool(row.get("skipped")) or row["gate"] is None or row["gate"]["holds"]


def verdict(row):
    """What the row says to somebody who reads one word."""
    if row.get("skipped"):
        return "skipped"
    if not counts(row):
        return "NOT EQUAL"
    if row["target"] is None:
        return ""
    good = row["ratio"]["median"] >= row["target"]
    if good and row.get("aim") and row["ratio"]["median"] >= row["aim"]:
        return "aim reached"
    return "reached" if good else "below"


def number(value):
    """Three significant figures, without an exponent."""
    if value is None:
        return "-"
    digits = max(0, 2 - math.floor(math.log10(abs(value)))) if value else 0
    return f"{value:.{digits}f}"


def gate_text(gate):
    if gate is None:
        return ""
    sign = "≤" if gate["holds"] else ">"
    worst = "not comparable" if gate["worst"] is None else f"{gate['worst']:.0e}"
    return f"{gate['what']}: {worst} {sign} {gate['tolerance']:.0e}"


HEADER = ["case", "model", "against", "unit", "ours", "theirs", "ratio", "min to max", "target", "", "equal"]


def cells(row):
    if row.get("skipped"):
        return [row["case"], row["model"], row["peer"], "", "", "", "", "", number(row["target"]), "skipped", row["skipped"]]
    ratio = row["ratio"]
    return [row["case"], row["model"], row["peer"], row["unit"], number(row["ours"]), number(row["theirs"]), f"{ratio['median']:.2f}",
            f"{ratio['min']:.2f} to {ratio['max']:.2f}", number(row["target"]), verdict(row), gate_text(row["gate"])]


def table(rows):
    """Lines of a Markdown table that is also even in a terminal."""
    lines = [HEADER, *map(cells, rows)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(HEADER))]
    text = ["| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths)) + " |" for line in lines]
    text.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return text


def phase_text(phases):
    """Where our time went, in percent."""
    total = sum(phases.values())
    shares = sorted(phases.items(), key=lambda item: -item[1])
    return ", ".join(f"{name} {100 * seconds / total:.0f}%" for name, seconds in shares) if total else ""


def profile(reports):
    """Of bench_tool's reports on the counted rounds: phases in all, and the model's own FLOP/s (by the seconds of the phases)."""
    phases = {name: sum(report["phases"][name] for report in reports) for name in reports[0]["phases"]}
    return {"phases": phases, "model_flops_per_second": sum(report["model_flops"] for report in reports) / sum(phases.values())}
