"""What the peers share: commands and answers on pipes as bench_tool's, and the dataset read from its shards with h5py."""
import json
import os
import sys
from pathlib import Path


def listen():
    """The setup file's content, and a stream for the answers. Libraries that print do so to the standard error stream."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    return json.loads(Path(sys.argv[1]).read_text()), answers


def obey(answers, ready, actions):
    """Answers each command {"do": NAME, …} with what actions[NAME](command) returns, until the commands end."""
    print(json.dumps({"ready": True, **ready}), file=answers)
    for line in sys.stdin:
        command = json.loads(line)
        print(json.dumps(actions[command["do"]](command)), file=answers)


class Rows:
    """Tokens of a split by row, cut as Plumbline cuts them: sources on the left, outputs on the right."""

    def __init__(self, folder, split, max_source_tokens, max_output_tokens):
        import h5py
        import numpy as np
        self.limits = {"source": max_source_tokens, "desired": max_output_tokens, "undesired": max_output_tokens}
        self.sides = {side: [] for side in self.limits}
        for shard in json.loads((Path(folder) / "dataset.json").read_text())["shards"]:
            if shard["split"] != split:
                continue
            with h5py.File(Path(folder) / shard["file"]) as file:
                for side, rows in self.sides.items():
                    tokens, offsets = file[side]["tokens"][:].astype(np.int64), file[side]["offsets"][:]
                    rows.extend(tokens[a:b] for a, b in zip(offsets[:-1], offsets[1:]))

    def __len__(self):
        return len(self.sides["source"])

    def tokens(self, row, side):
        tokens, limit = self.sides[side][row], self.limits[side]
        return tokens[-limit:] if side == "source" else tokens[:limit]

    def length(self, row, sides=("source", "desired")):
        return sum(len(self.tokens(row, side)) for side in sides)
