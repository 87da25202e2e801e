"""CTranslate2 in float32, told what to do by run.py.

    ct2_generate.py SETUP.json       SETUP: model, converted (a folder that need not exist), threads, beams, max_new_tokens

Command: {"do": "generate", "sources": [text, …], "rows": 32} -> {"outputs": [text, …]}. CTranslate2 sorts sources by length itself.
"""
import json
from pathlib import Path

from peer import listen, obey
from texts import decode, encode

SETUP, ANSWERS = listen()

import ctranslate2

FOLDER = Path(SETUP["converted"])


def convert():
    from ctranslate2.converters import TransformersConverter

    class Converter(TransformersConverter):
        """Transformers 5 says tie_word_embeddings of every T5, from which CTranslate2 would take an untied head's logits to be scaled too:
        then greedy outputs are right and beams are not."""

        def load_model(self, *words, **options):
            model = super().load_model(*words, **options)
            model.config.tie_word_embeddings = json.loads((Path(SETUP["model"]) / "config.json").read_text())["tie_word_embeddings"]
            return model

    Converter(SETUP["model"]).convert(str(FOLDER), quantization="float32")


if not FOLDER.exists():
    convert()
VOCABULARY = json.loads((FOLDER / "shared_vocabulary.json").read_text())
ID = {token: i for i, token in enumerate(VOCABULARY)}
# A batch a thread, as ours: on two cores faster than two threads on one batch (inter_threads=1), by a tenth or more.
TRANSLATOR = ctranslate2.Translator(str(FOLDER), device="cpu", compute_type="float32", inter_threads=SETUP["threads"], intra_threads=1)


def generate(command):
    sources = [[VOCABULARY[i] for i in encode(text)] for text in command["sources"]]
    results = TRANSLATOR.translate_batch(sources, beam_size=SETUP["beams"], length_penalty=1.0, max_batch_size=command["rows"],
                                         max_input_length=0, max_decoding_length=SETUP["max_new_tokens"])
    return {"outputs": [decode([ID[token] for token in result.hypotheses[0]]) for result in results]}


obey(ANSWERS, {"ctranslate2": ctranslate2.__version__}, {"generate": generate})
