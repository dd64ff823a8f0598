"""What sacrebleu says of some translations, for tests/metrics/bleu_test.cpp.

Run: python tests/goldens/bleu.py  (needs `sacrebleu`; writes bleu.json beside this file)

Each corpus is a list of hypotheses with one reference each; the score is corpus_bleu() with its
defaults (13a, case kept, exponential smoothing). The tokens are those of the tokeniser 13a, after
rstrip() as corpus_bleu() has it.
"""
import json
import pathlib

import sacrebleu
from sacrebleu.tokenizers.tokenizer_13a import Tokenizer13a

TEXTS = [
    "", " ", "Ein Mann, der läuft.", "a-b c - d 3-4 3 -4 -5- x--y 2--3", "1,000.5 1.000,5 .5 5. ,5 5, a.b a,b 1.a a.1",
    "...", ". . .", "a..b,,c 1..2 1,,2", "\"quoted\" 'single' it's l'eau", "„Anführung“ »so« ‚und‘ – — … •", "50% von $3 & €5 #1 @x",
    "&quot;x&quot; &amp;amp; &lt;b&gt; &amp;lt;", "<skipped>a<skip<skipped>ped>", "x-\ny\nz-\n", "\u00a0a\u00a0b\u2003c\u3000", "a\u0085b\u2028c\x1cd",
    "\ufeffa\u200bb", "中文。日本、語", "١٢٣.٤ ½.5 ².", "é.è,ü", "{}[]()<>^_`|~\\/+=*!?;:", "1-й 2-e ٣-٤", "z. B. d.h. u.s.w. Nr.5", "😀.😀,1",
    "tab\there \r", "50.-- 3.-€", "a.\u00a0b", "-1 --2", "ＡＢ．，１",
]

CORPORA = [
    [],
    [("Ein Mann fährt Fahrrad.", "Ein Mann fährt Fahrrad.")],
    [("Ein Mann fährt Rad.", "Ein Mann fährt auf einem Fahrrad.")],
    [("", "Ein Mann fährt auf einem Fahrrad.")],
    [("", ""), ("", "x")],
    [("Ein Mann fährt auf einem roten Fahrrad durch die Stadt.", "Ein Mann fährt mit einem roten Fahrrad durch die Stadt."),
     ("", "Zwei Hunde spielen im Schnee."), ("Eine Frau, die singt", "Eine Frau, die in ein Mikrofon singt.")],
    [("der der der der", "der Hund")], [("x y z", "a b c")], [("a b c", "a b c")], [("a b c d", "a b c e")],
    [("Ein mann steht .", "Ein Mann steht.")], [("„Halt“ – 1,5 km bis 3-4 Uhr", "„Halt“ – 1,5 km bis 3-4 Uhr!")],
    [("a b c d e f g h", "a b c d")], [("a b c d e", "a b x c d e"), ("1 2 3 4", "4 3 2 1")],
    [(text, text) for text in TEXTS], list(zip(TEXTS, reversed(TEXTS))),
]


def main():
    tokenizer = Tokenizer13a()
    tokens = [{"text": text, "tokens": tokenizer(text.rstrip()).split()} for text in TEXTS]
    corpora = []
    for pairs in CORPORA:
        hypotheses, references = [given for given, _ in pairs], [right for _, right in pairs]
        score = sacrebleu.corpus_bleu(hypotheses, [references]) if pairs else None
        corpora.append({"hypotheses": hypotheses, "references": references, "score": score.score if score else 0,
                        "brevity_penalty": score.bp if score else 1})
    golden = {"sacrebleu": sacrebleu.__version__, "tokens": tokens, "corpora": corpora}
    path = pathlib.Path(__file__).with_name("bleu.json")
    path.write_text(json.dumps(golden, ensure_ascii=False, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
