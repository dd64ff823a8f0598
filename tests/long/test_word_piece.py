"""10,000 sentences and more, and the characters of Unicode, through Hugging Face's
BertTokenizerFast and Halftone's: tokens and places are the same. Seconds; part of make test-all.

Needs `transformers`; HALFTONE_BERT names a Hugging Face folder with an uncased vocabulary, and
HALFTONE_TEXTS files of UTF-8 lines (separated by ":"; .gz and .json too). Skipped without them."""

import gzip
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import unicodedata
import unittest
from unicodedata import ucd_3_2_0

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/python"))
from commands import BIN  # noqa: E402

TEST = pathlib.Path(BIN).parents[1] / "tests/test_data_codec"
SENTENCES = 10_000


def strings_of(value):
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        yield from strings_of(list(value.values()))
    elif isinstance(value, list):
        for item in value:
            yield from strings_of(item)


def lines_of(path):
    content = pathlib.Path(path).read_bytes()
    text = (gzip.decompress(content) if path.endswith(".gz") else content).decode()
    return strings_of(json.loads(text)) if path.endswith(".json") else text.splitlines()


class WordPieces(unittest.TestCase):
    def compare(self, texts):
        try:
            from transformers import BertTokenizerFast
        except ImportError:
            self.skipTest("no transformers")
        bert = os.environ.get("HALFTONE_BERT")
        if not bert:
            self.skipTest("HALFTONE_BERT is not set")
        tokenizer = BertTokenizerFast.from_pretrained(bert, split_special_tokens=True)
        texts = list(texts)
        given = tokenizer(texts, add_special_tokens=False, return_offsets_mapping=True, verbose=False)
        cases = [[text, tokens, [place for pair in pairs for place in pair]]
                 for text, tokens, pairs in zip(texts, given["input_ids"], given["offset_mapping"])]
        with tempfile.TemporaryDirectory() as folder:
            shutil.copy(pathlib.Path(bert) / "vocab.txt", folder)
            (pathlib.Path(folder) / "cases.json").write_text(json.dumps(cases))
            done = subprocess.run([TEST, "--gtest_filter=WordPiece.LongComparison"], text=True,
                                  capture_output=True, env={**os.environ, "HALFTONE_WORD_PIECE": folder})
        self.assertEqual(done.returncode, 0, done.stdout[-6000:])
        self.assertIn(f"compared {len(cases)} texts", done.stdout)
        print(f"\n  {len(cases)} texts are the same", end=" ", flush=True)

    def test_sentences(self):
        paths = [path for path in os.environ.get("HALFTONE_TEXTS", "").split(":") if path]
        if not paths:
            self.skipTest("HALFTONE_TEXTS is not set")
        texts = list(dict.fromkeys(line for path in paths for line in lines_of(path)))
        self.assertGreaterEqual(len(texts), SENTENCES)
        self.compare(texts)

    def test_characters(self):
        """Those whose category has been the same since Unicode 3.2: Hugging Face's tables are of 2016
        and take 568 newer ones (marks, punctuation) for letters."""
        known = [chr(code) for code in range(0x110000) if not 0xD800 <= code <= 0xDFFF]
        old = [c for c in known if ucd_3_2_0.category(c) == unicodedata.category(c) != "Cn"]
        self.compare([f"a{character}b" for character in old])


if __name__ == "__main__":
    unittest.main()
