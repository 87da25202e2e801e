"""Simulates protein evolution with msasim and writes the true alignments as lines of JSON.

    python simulate.py PARAMETERS OUT

PARAMETERS is a JSON object (coordinator/curate/simulation.cpp writes it); OUT gets one line an alignment:
{"rows": ["AC-G", "ACTG"], "attributes": {"root_length": 4, "divergence": 0.7}}. The same parameters give the same file.
`divergence` is the mean over pairs of sequences of the path between them on the tree, in substitutions a site.
"""

import json
import random
import sys

MISSING = 6  # exit status: the environment lacks something


class Draw:
    """Draws that depend on the seed alone: random() is the one generator that Python promises never to change."""

    def __init__(self, seed):
        self.random = random.Random(seed).random

    def real(self, bounds):
        low, high = bounds
        return low + (high - low) * self.random()

    def integer(self, bounds):
        low, high = bounds
        return low + int((high - low + 1) * self.random())


def random_tree(draw, leaves, branch_length):
    """A random binary tree: (Newick, mean path between two leaves)."""
    subtrees = [(f"S{i}", {i: 0.0}) for i in range(leaves)]  # text, depth of each leaf below the subtree's root
    paths = []
    while len(subtrees) > 1:
        joined, depths = [], []
        for _ in range(2):
            text, below = subtrees.pop(draw.integer((0, len(subtrees) - 1)))
            length = draw.real(branch_length)
            joined.append(f"{text}:{length:.6f}")
            depths.append({leaf: depth + length for leaf, depth in below.items()})
        paths += [a + b for a in depths[0].values() for b in depths[1].values()]
        subtrees.append((f"({','.join(joined)})", {**depths[0], **depths[1]}))
    return subtrees[0][0] + ";", sum(paths) / len(paths)


def sequence_of(row):
    """The residues of msasim's ">name\\nresidues"."""
    return "".join(row.split("\n")[1:])


CHARGE = {"K": 1, "R": 1, "D": -1, "E": -1}  # at neutral pH; histidine counts as neutral


def split_opposite_charges(rows, share, uniform):
    """Writes columns in which residues of opposite charge meet as two, each residue against a gap, as an aligner does
    that will not pair them. Of such columns a share is split, drawn by uniform(). Neutral residues stay in the first."""
    columns = []
    for column in zip(*rows):
        charges = [CHARGE.get(residue, 0) for residue in column]
        first = next((charge for charge in charges if charge), 0)
        if -first not in charges or not first or uniform() >= share:
            columns.append(column)
            continue
        columns.append(["-" if charge == -first else residue for residue, charge in zip(column, charges)])
        columns.append([residue if charge == -first else "-" for residue, charge in zip(column, charges)])
    return ["".join(row) for row in zip(*columns)]


class Simulation:
    def __init__(self, parameters):
        from msasim import ALPHABET_CODES, MODEL_CODES, ReplacementModelSpec, SiteRateModelSpec

        self.parameters = parameters
        self.draw = Draw(parameters["seed"])
        model = {"JTT": "JONES"}.get(parameters["model"], parameters["model"])
        rates = SiteRateModelSpec(gamma_alpha=parameters["gamma_alpha"], gamma_categories=parameters["gamma_categories"])
        self.replacement = ReplacementModelSpec(model=getattr(MODEL_CODES, model), alphabet=ALPHABET_CODES.PROTEIN,
                                                site_rate_model=rates)

    def once(self):
        from msasim import SimProtocol, Simulator, ZipfDistribution

        p, draw = self.parameters, self.draw
        tree, divergence = random_tree(draw, draw.integer(p["sequences"]), p["branch_length"])
        root_length = draw.integer(p["root_length"])
        protocol = SimProtocol(
            tree=tree,
            root_seq_size=root_length,
            insertion_rate=draw.real(p["insertion_rate"]),
            deletion_rate=draw.real(p["deletion_rate"]),
            insertion_dist=ZipfDistribution(draw.real(p["zipf_exponent"]), p["max_indel_length"]),
            deletion_dist=ZipfDistribution(draw.real(p["zipf_exponent"]), p["max_indel_length"]),
            minimum_seq_size=1,
            seed=draw.integer((1, 2**31 - 1)),
        )
        msa = Simulator(protocol, replacement_model=self.replacement)()
        rows = [sequence_of(msa.get_msa_row(i)) for i in range(msa.get_num_sequences())]
        return {"rows": rows, "attributes": {"root_length": root_length, "divergence": round(divergence, 6)}}

    def alignment(self):
        """An alignment in which no sequence was deleted whole."""
        for _ in range(1000):
            result = self.once()
            if all(row.strip("-") for row in result["rows"]):
                share = self.parameters["split_opposite_charges"]
                if share > 0:
                    result["rows"] = split_opposite_charges(result["rows"], share, self.draw.random)
                return result
        raise SystemExit("with these rates and lengths the sequences are deleted whole, time after time")


def main():
    parameters, out = json.loads(sys.argv[1]), sys.argv[2]
    try:
        simulation = Simulation(parameters)
    except ImportError as error:
        print(error, file=sys.stderr)
        sys.exit(MISSING)
    with open(out, "w", encoding="ascii") as file:
        for _ in range(parameters["examples"]):
            file.write(json.dumps(simulation.alignment()) + "\n")


if __name__ == "__main__":
    main()
