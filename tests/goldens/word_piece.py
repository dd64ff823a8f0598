"""Tokens and places that Hugging Face's tokenizers gives, for tests/data/codec/word_piece_test.cpp.

Run: python tests/goldens/word_piece.py  (needs `tokenizers`; writes word_piece.json beside this file)

The vocabulary is of a hundred pieces; the texts are of what a tokenizer can get wrong: accents
composed and not, ideographs, Hangul, emoji, control characters, spaces of all kinds, punctuation,
words too long or unknown.
"""
import json
import pathlib

from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

PIECES = """[PAD] [UNK] [CLS] [SEP] [MASK] the film is un ##aff ##able ##ably ##a ##b ##c a b c cafe
caf ##e na naive nai ##ve resume straße strasse ss ß i ##i 中 文 字 , . ! ? ' - $ ` ^ ~ | + = < >
[ ] sep ( ) « » … — ¿ 。 😀 👍 ☂ § © 10 ##0 1 ##, x ##x it s don t zurich ä Ä Cafe Film The É École
école ecole σας ας σ ##ς ##ας 가 ᄀ ##ᅡ ##ᆨ ｈ ##ｉ ﬁ ##lm fi""".split()

TEXTS = [
    "The film is unaffable.", "unaffably unaffableunaffable un aff", "  the\tfilm\n\r is \u00a0\u3000x  ",
    "Café cafe\u0301 CAFÉ Cafe", "naïve Naïve re\u0301sume\u0301 résumé", "Zürich Ä ä straße",
    "İ i̇ I ı", "École ÉCOLE É", "中文字 a中b文", "the中film", "𠀀 𫠠 𫤠 豈", "😀the👍 film😀", "☂️ 👩‍👩‍👧",
    "a\u0000b\u0001c\ufffdx \u200bthe\u200d \u00adfilm \ufeff", "x\ue000x \u0378x", "it's don't (a-b) [SEP] $10,000 `a` ^~|+=<>",
    "«a» a…b — ¿x? 文。", "§ © x©x", "x" * 100, "x" * 101, "zzz the zzz", "", " \u0301 \u200b ", "\u0301a",
    "a\u0301\u0323\u302e x\u0323\u0301", "\ud55c\uae00 각 가", "ΣΑΣ σας", "ﬁlm ｈｉ", "\u2028a\u2029b\u0085c\u000bx\u000ca", "a\u1d165x",
    "the " * 12,
]


def tokenizer(lower):
    result = Tokenizer(models.WordPiece({piece: i for i, piece in enumerate(PIECES)}, unk_token="[UNK]",
                                        max_input_chars_per_word=100))
    result.normalizer = normalizers.BertNormalizer(clean_text=True, handle_chinese_chars=True,
                                                   strip_accents=None, lowercase=lower)
    result.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    return result


def main():
    assert len(set(PIECES)) == len(PIECES)
    cases = []
    for lower in (True, False):
        cut = tokenizer(lower)
        for text in TEXTS:
            encoding = cut.encode(text, add_special_tokens=False)
            places = [place for pair in encoding.offsets for place in pair]
            cases.append({"text": text, "lower": lower, "tokens": encoding.ids, "places": places})
    path = pathlib.Path(__file__).with_name("word_piece.json")
    path.write_text(json.dumps({"vocabulary": PIECES, "cases": cases}, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
