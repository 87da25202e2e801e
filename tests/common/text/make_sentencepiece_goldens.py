"""Makes spiece.model, a small SentencePiece model with T5's ids, and sentencepiece_goldens.json: what Transformers'
T5Tokenizer(legacy=False) makes of texts with it. Run with sentencepiece, protobuf and transformers 4.45 installed (the
last line of versions whose T5Tokenizer is SentencePiece itself):

    python3 tests/common/text/make_sentencepiece_goldens.py

The text is simulated below, so the model is the same each time. Its normalisation is a part of NFKC that keeps the file
small: nmt_nfkc's rules alone would be 240 kB.
"""

import io
import json
import pathlib
import random
import tempfile
import unicodedata

import sentencepiece
import transformers
from sentencepiece import sentencepiece_model_pb2

HERE = pathlib.Path(__file__).parent
WORDS = """align assay batch begin better binds calm carry cell chain change clear close copy cross deep desired drive early
ends every example fair field first folds friend gap gene grow hand helix high kind learn less letter line long loop model
more move near never norm open other output pair part plain point protein quick quiet rate read right row same score sheet
short side simple site small source split stay step strand text think time token train tree true turn under wait walk warm
water well wide word work write yield""".split()

TEXTS = ["", " ", "a", "hello", "The protein folds.", "the protein  folds ", "  the protein\tfolds\n", "proteins unfolded, 42%",
         "UPPER lower MiXeD", "ﬁne ½ Ａｌｉｇｎ", "e\u0301 café", "non\u00a0breaking\u3000spaces", "unknown: 日本 語 ☃ x", "☃☃☃",
         "▁the▁word", "the▁ word", "zero\u200bwidth", "hyphen-ated (brackets) [and] {more}",
         "<extra_id_0>", "the <extra_id_0> folds", "the<extra_id_0>folds", "<extra_id_0> the <extra_id_1>", "a <extra_id_99> b",
         "a <extra_id_100> b", "a <extra_id_01> b", "<extra_id_0><extra_id_1>", "<extra_id_0>  <extra_id_10> .", " <extra_id_2> walk ",
         "<extra_id_", "<extra_id_>", "<extra_id_0", "x <extra_id_3>▁y"]


def sentences():
    rng = random.Random(5)
    for _ in range(3000):
        words = [rng.choice(WORDS) + rng.choice(["", "", "", "s", "ed", "ing"]) for _ in range(rng.randint(3, 9))]
        text = " ".join(words)
        if rng.random() < 0.5:
            text = text.capitalize()
        yield text + rng.choice([".", "", "?", f" {rng.randint(0, 999)}%", f", {words[0]}-{words[-1]} (é)"])


def rules():
    """Some of NFKC, and white space: lines "source code points<tab>target code points" in hexadecimal."""
    chosen = [chr(c) for c in (*range(0xFF01, 0xFF5F), 0xFB01, 0xFB02, 0xBD, 0xA0, 0x3000)]
    pairs = [(c, unicodedata.normalize("NFKC", c)) for c in chosen] + [("\t", " "), ("\n", " "), ("\r", " "), ("\u200b", "")]
    pairs += [("e\u0301", "é")]
    return "".join(" ".join(f"{ord(c):X}" for c in s) + "\t" + " ".join(f"{ord(c):X}" for c in t) + "\n" for s, t in pairs)


def train():
    out = io.BytesIO()
    with tempfile.NamedTemporaryFile("w", suffix=".tsv") as tsv:
        tsv.write(rules())
        tsv.flush()
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(sentences()), model_writer=out, vocab_size=300, model_type="unigram", character_coverage=1.0,
            pad_id=0, eos_id=1, unk_id=2, bos_id=-1, normalization_rule_tsv=tsv.name, num_threads=1, minloglevel=2)
    model = sentencepiece_model_pb2.ModelProto.FromString(out.getvalue())
    model.normalizer_spec.ClearField("normalization_rule_tsv")  # a name on the machine that trained it
    return model.SerializeToString()


def goldens(extra_ids):
    tokenizer = transformers.T5Tokenizer(str(HERE / "spiece.model"), extra_ids=extra_ids, legacy=False,
                                         clean_up_tokenization_spaces=False)
    rows = []
    for text in TEXTS:
        ids = tokenizer(text).input_ids
        rows.append({"text": text, "ids": ids, "pieces": tokenizer.convert_ids_to_tokens(ids),
                     "decoded": tokenizer.decode([i for i in ids if i < tokenizer.sp_model.get_piece_size()],
                                                 skip_special_tokens=True) if len(ids) > 1 else ""})
    return {"extra_ids": extra_ids, "size": len(tokenizer), "pieces": tokenizer.sp_model.get_piece_size(), "texts": rows}


def main():
    (HERE / "spiece.model").write_bytes(train())
    golden = {"made_by": f"transformers {transformers.__version__}, sentencepiece {sentencepiece.__version__}",
              "tokenizers": [goldens(100), goldens(0)]}
    text = json.dumps(golden, ensure_ascii=False)
    (HERE / "sentencepiece_goldens.json").write_text(text.replace('{"text"', '\n{"text"') + "\n")


if __name__ == "__main__":
    main()
