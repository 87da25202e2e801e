"""Makes chrf_goldens.json: sentence chrF2 by sacreBLEU for pairs of texts. Run with sacrebleu installed:

    python3 tests/common/text/make_chrf_goldens.py
"""

import json
import pathlib

import sacrebleu

PAIRS = [
    ("the cat sat on the mat", "the cat sat on the mat"),
    ("the cat sat on the mat", "a cat was sitting on a mat"),
    ("completely unrelated", "zyx 123"),
    ("ab", "abc"),
    ("abc", "ab"),
    ("a", "a"),
    ("aaaaaa", "aaa"),
    ("", "abc"),
    ("abc", ""),
    ("", ""),
    ("  spaced\tout\u00a0text\u3000here\n", "spaced out text here"),
    ("l'été à Zürich", "l'ete a Zurich"),
    ("Case Matters", "case matters"),
    ("日本語の文章です", "日本語の文です"),
    ("he was brave too !", "he was a brave man too!"),
    ("👍🏽 great", "👍 great"),
    ("The quick brown fox jumps over the lazy dog.", "A quick brown dog jumps over the lazy fox."),
]

metric = sacrebleu.CHRF(char_order=6, word_order=0, beta=2)
goldens = {
    "made_by": f"sacrebleu {sacrebleu.__version__}, CHRF(char_order=6, word_order=0, beta=2)",
    "pairs": [
        {"hypothesis": h, "reference": r, "chrf": metric.sentence_score(h, [r]).score / 100} for h, r in PAIRS
    ],
}
out = pathlib.Path(__file__).with_name("chrf_goldens.json")
out.write_text(json.dumps(goldens, indent=1, ensure_ascii=False) + "\n")
