"""What scores of written answers forgive, and what they do not, whatever the script."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from luthier.data.answer_words import answer_words, normal, words
from luthier.evals.metrics import chrf, exact_match, rougel, token_f1


@pytest.mark.parametrize(
    ("text", "want"),
    [
        ("The 2nd 苹果!", ["the", "2nd", "苹", "果"]),
        ("don’t stop—now", ["don", "t", "stop", "now"]),
        ("ＡＢＣ１２", ["abc12"]),
        ("Straße grün", ["strasse", "grün"]),
        ("使用GPT4的模型。", ["使", "用", "gpt4", "的", "模", "型"]),
        ("東京タワー", ["東", "京", "タ", "ワ", "ー"]),
        ("नमस्ते दुनिया", ["नमस्ते", "दुनिया"]),
        ("snake_case", ["snake", "case"]),
        (" \n。，!", ["。", ",", "!"]),  # nothing else is there
        ("", []),
        ("Is it C++ or C#?", ["is", "it", "c++", "or", "c#"]),
        ("$100 or 100 €, 50 %", ["$100", "or", "100€", "50%"]),
        ("x < 0, x>=-5; 2 - 1", ["x<0", "x>=-5", "2-1"]),
        ("salt + pepper", ["salt", "+", "pepper"]),
        ("−5 – or -5 - or A-", ["-5", "or", "-5", "or", "a-"]),
        ("3.5, 1,000; 12:30 v1.2.", ["3.5", "1,000", "12:30", "v1.2"]),
        ("1,2,3", ["1", "2", "3"]),
        ("May 5, 2020", ["may", "5", "2020"]),
        ("x² ≠ x2", ["x²≠x2"]),
        ("**Paris**, `x`, <refund>", ["paris", "x", "refund"]),
        ("😀😡❤️", ["😀", "😡", "❤"]),
        ("ดีมาก", ["ดี", "ม", "า", "ก"]),
        ("ខ្មែរ။", ["ខ្", "មែ", "រ"]),
        ("e\u0301te\u0301 \u200bété", ["été", "été"]),
        ("مرحبا بالعالم؟", ["مرحبا", "بالعالم"]),
        ("-> <-", ["->", "<-"]),
        ("good :) bad :(", ["good", ":)", "bad", ":("]),
    ],
)
def test_words(text: str, want: list[str]) -> None:
    assert words(text) == want


@settings(deadline=None)
@given(st.text())
def test_words_keep_every_letter_and_digit(text: str) -> None:
    """And every mark. Seen failing with rouge-score's own pattern, [a-z0-9]+, and with the marks of a few scripts."""
    kept = [c for c in normal(text) if c.isalnum()]
    assert [c for w in words(text) for c in w if c.isalnum()] == kept
    assert {c for c in normal(text) if unicodedata.category(c).startswith("M")} <= set("".join(words(text)))


KINDS = [chrf.METRIC, exact_match.METRIC, token_f1.METRIC, rougel.METRIC]


@settings(deadline=None)
@given(st.text(max_size=20), st.text(max_size=20))
def test_scores_of_texts_promise(one: str, two: str) -> None:
    """The same text is right, and no score leaves its range. Seen failing with empty texts, and with one word for
    ROUGE-2 and BLEU."""
    for kind in KINDS:
        top = 100 if kind.unit == "points" else 1
        assert kind.per_row([one], [one]) == [top]
        assert 0 <= kind.per_row([one], [two])[0] <= top + 1e-9
        for name, value in kind.secondary([one, two], [one, two]).items():
            assert value == pytest.approx(100 if name in ("corpus_chrf", "bleu") else 1), name
        assert all(0 <= v <= 100 + 1e-6 for v in kind.secondary([one], [two]).values())


SYMBOLS = "+#%&@/<>=|~^$€£¥°§→×÷±√∞😀😡👍♠"
PLAIN_WORDS = st.lists(st.sampled_from(["cat", "dog", "7", "x", "苹果", "été", "12"]), min_size=1, max_size=4)


@settings(deadline=None)
@given(PLAIN_WORDS, st.sampled_from(SYMBOLS), st.sampled_from(SYMBOLS), st.data())
def test_a_symbol_makes_a_difference(parts: list[str], one: str, two: str, data: st.DataObject) -> None:
    """Wherever it stands, and against another symbol. Seen failing with words of letters and digits alone."""
    text = " ".join(parts)
    at = data.draw(st.integers(0, len(text)))
    with_one, with_two = text[:at] + one + text[at:], text[:at] + two + text[at:]
    for kind in KINDS[1:]:
        assert kind.per_row([with_one], [text])[0] < 1
        assert (kind.per_row([with_one], [with_two])[0] < 1) == (one != two)


@settings(deadline=None)
@given(
    PLAIN_WORDS,
    st.sampled_from(['"{}"', "“{}”", "«{}»", "({})", "{}.", "  {}\n", "**{}**", "`{}`", "「{}」。", "The {}"]),
)
def test_what_is_forgiven(parts: list[str], around: str) -> None:
    """Quotes, brackets, emphasis, a full stop, spaces, case, width and an article."""
    text = " ".join(parts)
    wide = "".join(chr(ord(c) + 0xFEE0) if "!" <= c <= "~" else c for c in text.upper())
    said = [text.upper(), wide, unicodedata.normalize("NFD", text), text.replace(" ", "  ")]
    said.append(around.format(text))
    assert exact_match.METRIC.per_row(said, [text] * len(said)) == [1.0] * len(said)


@pytest.mark.parametrize(
    ("answer", "wanted"),
    [
        ("", "A"), ("5", "-5"), ("3.5", "3 5"), ("C++", "C#"), ("x<0", "x>0"), ("$100", "€100"), ("😀", "😡"),
        ("A-", "A+"), ("A", "A+"), ("5%", "5"), ("−5", "5"), ("x² ", "x2"), ("", "."), ("?", "!"), (":)", ":("),
        ("x != 0", "x = 0"), ("ดี", "ด"), ("ដី", "ដ"), ("the", "a"), ("1:30", "1 30"), ("10²", "102"),
    ],
)  # fmt: skip
def test_what_carries_meaning_is_not_forgiven(answer: str, wanted: str) -> None:
    """Seen failing with words of letters and digits alone: each of these scored 1."""
    for kind in (exact_match.METRIC, token_f1.METRIC):
        assert kind.per_row([answer, wanted], [wanted, answer]) == [0.0, 0.0]


def test_an_article_stands_before_a_word() -> None:
    assert answer_words("The vitamin is a vitamin A") == ["vitamin", "is", "vitamin", "a"]
    assert answer_words("A, C") == answer_words("A C") == ["a", "c"]
    assert answer_words("a C++ book") == ["c++", "book"] and answer_words("the") == ["the"]
    assert answer_words("The A") == ["a"] and answer_words("A or B") == ["a", "or", "b"]


def test_bleu_counts_characters_where_there_are_no_spaces() -> None:
    """sacrebleu's own scores by characters and, for Chinese, by its rules for it. Seen failing with 0 for kana."""
    from sacrebleu import corpus_bleu

    kana = ["きょうはとてもいいてんきです"], ["きょうはとてもいいてんきでした"]
    thai = ["วันนี้อากาศดีมาก"], ["วันนี้อากาศดี"]
    for said, right in (kana, thai):
        assert chrf.bleu(said, right) == pytest.approx(corpus_bleu(said, [right], tokenize="char").score)
    han = ["你好，世界。今天天气 very good!"], ["你好，世界！今天天气 very nice!"]
    assert chrf.bleu(*han) == pytest.approx(corpus_bleu(han[0], [han[1]], tokenize="zh").score)
    plain = ["the cat sat on the mat, didn't it?"], ["the cat sat on a mat, didn't it?"]
    assert chrf.bleu(*plain) == pytest.approx(corpus_bleu(plain[0], [plain[1]]).score)
    assert all(chrf.bleu(*pair) > 50 for pair in (kana, thai, plain))
    assert chrf.bleu(["no"], ["no it is"]) < chrf.bleu(["no it"], ["no it is"]) < chrf.bleu(["yes"], ["yes"]) == 100
