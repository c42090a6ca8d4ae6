"""Private data: the sentences of the project, check digits, placeholders, seeds against whole texts."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

pa = pytest.importorskip("pyarrow")
for module in ("numba", "stdnum", "phonenumbers", "jieba", "onnxruntime"):
    pytest.importorskip(module)
from luthier.core.errors import LuthierError  # noqa: E402
from luthier.corpus import documents  # noqa: E402
from luthier.corpus.keys import outcome_key  # noqa: E402
from luthier.corpus.privacy import Span, chinese, english  # noqa: E402
from luthier.corpus.privacy.finding import KINDS, SHAPED, apart, found_in, lacking, patterns, shaped  # noqa: E402
from luthier.corpus.privacy.masking import masked  # noqa: E402
from luthier.corpus.privacy.scoring import read_marks, scores, sentences  # noqa: E402
from luthier.corpus.recipe import stage_of  # noqa: E402
from luthier.corpus.stage import Known  # noqa: E402
from luthier.corpus.texts import Texts  # noqa: E402
from running import run  # noqa: E402
from stories import jsonl  # noqa: E402

PIECES = [
    "13812345678", "+1 212 555 0198", "a.b@qq.com", "11010519491231002X", "4111 1111 1111 1111", "10.0.0.7", "护照",
    "E12345678", "QQ", ":", "微信", "kelly_7", "沪A12345", "password", "=", "hunter2!", "sk-abcdefghijklmnop1234", 
    "2001:db8::1", " ", "\n", "，", "字", "word", "5", "-", ".", "@", "电话", "021-55501234", "Bearer ",
]  # fmt: skip


def of(*texts: str, kinds: Any = KINDS) -> list[str]:
    found = found_in(Texts(pa.array(texts, pa.large_string())), texts, frozenset(kinds))
    return [masked(text, found.get(at, [])) for at, text in enumerate(texts)]


@pytest.mark.parametrize(("text", "left"), [
    ("我的手机号是13812345678，邮箱a.b@qq.com，身份证号11010519491231002X",
     "我的手机号是[PHONE_1]，邮箱[EMAIL_1]，身份证号[ID_1]"),
    ("Call John Smith on +1 212 555 0198 or write to john.smith@example.com, card 4111 1111 1111 1111.",
     "Call [PERSON_1] on [PHONE_1] or write to [EMAIL_1], card [CARD_1]."),
    ("联系人王建国，住址杭州市西湖区文三路90号", "联系人[PERSON_1]，住址[ADDRESS_1]"),
    ("王建国来了。王先生说，王建国不在，打138 1234 5678或13812345678。",
     "[PERSON_1]来了。[PERSON_1]先生说，[PERSON_1]不在，打[PHONE_1]或[PHONE_1]。"),
])  # fmt: skip
def test_sentences_of_people(text: str, left: str) -> None:
    assert of(text) == [left]


@pytest.mark.parametrize("text", [
    "身份证号110105194912310021", "card 4111 1111 1111 1112", "订单号13812345679012", "运单号：13812345678",
    "version 1.2.3.4", "v10.2.4.1", "ISBN 978-7-111-12345-6", "2024-05-06 12:30:45", "@app.route('/x')",
    "git@host.org:a/b.git", "京A股大涨", "微信支付也行", "QQ音乐会员15元", "3.14159265358979", "127.0.0.1:8080",
    "password: <your password>", "token = os.environ['T']",
    "the passport office opens at 9", "1.13812345678", "9913812345678",
])  # fmt: skip
def test_numbers_that_look_like_something_and_are_not(text: str) -> None:
    assert of(text, kinds=SHAPED) == [text]


def test_the_project_s_sentences() -> None:
    """Numbers, keys and ids: at least 98 of 100 found and right. Names and addresses are told, not promised."""
    rows = [*sentences("a"), *sentences("b")]
    assert len(rows) >= 300
    texts = [text for text, _ in rows]
    found = found_in(Texts(pa.array(texts, pa.large_string())), texts, frozenset(KINDS))
    by_kind = {
        one.kind: one for one in scores([spans for _, spans in rows], [found.get(at, []) for at in range(len(rows))])
    }
    assert set(by_kind) == set(KINDS) and min(one.labelled for one in by_kind.values()) >= 16
    labelled, right = (sum(getattr(by_kind[kind], name) for kind in SHAPED) for name in ("labelled", "right"))
    assert right / labelled >= 0.98 and right / sum(by_kind[kind].found for kind in SHAPED) >= 0.98
    for kind, least in {**dict.fromkeys(SHAPED, 0.9), "PERSON": 0.75, "ADDRESS": 0.65}.items():  # none of them alone
        assert by_kind[kind].right >= least * max(by_kind[kind].labelled, by_kind[kind].found), kind


@settings(max_examples=200, deadline=None)
@given(st.lists(st.sampled_from(PIECES), max_size=25), st.lists(st.sampled_from(PIECES), max_size=25))
def test_around_seeds_as_in_the_whole_text(one: list[str], other: list[str]) -> None:
    """Whatever an expression finds in a whole text is found around its seeds."""
    strings = ["".join(one), "".join(other)]
    found = shaped(Texts(pa.array(strings, pa.large_string())), strings, frozenset(SHAPED))
    for at, text in enumerate(strings):
        whole = set()
        for pattern in patterns():
            place = 0
            while match := pattern.expression.search(text, place):
                good = pattern.valid(match)
                group: Any = "it" if "it" in pattern.expression.groupindex else 0
                whole |= {(match.start(group), match.end(group), pattern.kind)} if good else set()
                place = max(match.end(), match.start() + 1) if good else match.start() + 1
        assert {(span.start, span.end, span.kind) for span in apart(found.get(at, []))} <= whole
        near = {(span.start, span.end, span.kind) for span in found.get(at, [])}
        assert {(a, b, kind) for a, b, kind in whole if kind not in ("WECHAT", "PASSPORT", "KEY", "QQ")} <= near


@given(st.text(max_size=60), st.lists(st.tuples(st.integers(0, 60), st.integers(0, 9), st.integers(0, 3)), max_size=6))
def test_placeholders_leave_the_rest_as_it_is(text: str, places: list[tuple[int, int, int]]) -> None:
    spans = apart(Span(start, min(start + size, len(text)), "PHONE", sure) for start, size, sure in places)
    out = masked(text, spans)
    at = 0
    for low, high in zip([0, *(s.end for s in spans)], [*(s.start for s in spans), len(text)], strict=True):
        assert out[at:].startswith(text[low:high])
        at += high - low
        at = out.index("]", at) + 1 if high < len(text) else at
    assert all(one.end <= two.start for one, two in pairwise(spans))


def test_marks_are_read() -> None:
    text, spans = read_marks("Ask {{PERSON|Li}}: {{KEY|a{b}c}}.")
    assert text == "Ask Li: a{b}c." and [(text[s.start : s.end], s.kind) for s in spans] == [
        ("Li", "PERSON"),
        ("a{b}c", "KEY"),
    ]


def test_a_run_lists_kinds_and_words_only_where_asked(tmp_path: Path) -> None:
    source = jsonl(tmp_path / "a.jsonl", ["Ring 13812345678 or 13812345678.", "nothing here"])
    for quote in (False, True):
        out = tmp_path / str(quote)
        told = run(out, [source], {"privacy": {"kinds": ["PHONE"], "quote": quote}})["privacy"]
        assert (told["kept"], told["changed"]) == (2, {"private": 1})
        (kept,) = [documents.read(path) for path in (out / "kept").glob("*.parquet")]
        assert kept["text"].to_pylist() == ["Ring [PHONE_1] or [PHONE_1].", "nothing here"]
        (found,) = [documents.read(path) for path in (out / "found").glob("*.parquet")]
        assert found["what"].to_pylist() == ["PHONE"] * 2 and found["quote"].to_pylist() == ["13812345678" * quote] * 2


def test_what_is_wrong_or_lacking_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(LuthierError, match="kinds: no FAX: PHONE, EMAIL"):
        stage_of({"privacy": {"kinds": ["FAX"]}})
    table: Any = documents.table_of([{"id": "1", "text": "John"}])
    (tmp_path / "empty").mkdir()
    with pytest.raises(LuthierError, match="no token classifier that transformers loads"):
        stage_of({"privacy": {"model": str(tmp_path / "empty")}}).apply(table, Known())
    for module in (chinese, english):
        monkeypatch.setattr(module, "installed", lambda: False)
    assert [line.split(" stay: ")[0] for line in lacking(frozenset(KINDS))] == [
        "Chinese names and addresses", "English names and addresses",
    ]  # fmt: skip
    assert not lacking(frozenset(SHAPED)) and of("John Smith 13812345678") == ["John Smith [PHONE_1]"]


@pytest.mark.parametrize("piece", [
    "1 ", "1-", "a@", "password", "QQ ", "微信", ":", "1.", "0", "-----BEGIN PRIVATE KEY-----", "eyJ", "a",
    "王建国·", "好", "微信" + " " * 80 + "。", "QQ" + " " * 80 + "。", "联系人" + " " * 999, "1.1.1.1 ", 
    "密码" + " " * 90, "John Smith, ",
])  # fmt: skip
def test_text_without_end_is_walked_once(piece: str) -> None:
    """A walk for each place of it would take minutes to hours."""
    kinds = KINDS if piece in ("a", "王建国·", "好") or piece[0] == "联" else SHAPED
    of(piece * (100_000 // len(piece)), kinds=kinds)


@pytest.mark.parametrize(("text", "left"), [
    ("section १.१.१.१ and 1٢.1.1.1", "section १.१.१.१ and 1٢.1.1.1"), ("use Face::Bed;", "use Face::Bed;"),
    ("ring +44 7911 123456 or 07911 123456", "ring [PHONE_1] or [PHONE_1]"),
    ("[PHONE_7] is taken: 13812345678", "[PHONE_7] is taken: [PHONE_8]"),
    ("-----BEGIN PGP PRIVATE KEY BLOCK-----\nVersion: GnuPG v1.4.11 (GNU/Linux)\n\nlQ_A@\n"
     "-----END PGP PRIVATE KEY BLOCK-----.", "[KEY_1]."),
    (f"eyJ{'a' * 900}.eyJ{'b' * 2500}.{'c' * 300} end", "[KEY_1] end"),
])  # fmt: skip
def test_as_a_reader_found_them(text: str, left: str) -> None:
    assert of(text, kinds=SHAPED) == [left]


def test_names_far_behind_in_a_text_without_full_stops() -> None:
    tail = "John Smith met Mary Johnson there"
    (said,) = of("some words of a list " * 100 + tail)
    assert "Smith" not in said and "Johnson" not in said


def test_an_outcome_hangs_on_what_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    stage = stage_of("privacy")
    before = outcome_key("x", stage)
    monkeypatch.setattr(english, "installed", lambda: False)
    assert outcome_key("x", stage) != before


def test_a_token_classifier_of_a_folder_sees_the_whole_text(tmp_path: Path) -> None:
    """One of random weights: what matters is that every stretch is asked about, however long the text is."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers
    from transformers import BertConfig, BertForTokenClassification, PreTrainedTokenizerFast

    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "ann", "word"]
    made = Tokenizer(models.WordLevel({word: at for at, word in enumerate(vocabulary)}, unk_token="[UNK]"))
    made.normalizer, made.pre_tokenizer = normalizers.Lowercase(), pre_tokenizers.Whitespace()
    PreTrainedTokenizerFast(tokenizer_object=made, unk_token="[UNK]", pad_token="[PAD]").save_pretrained(tmp_path)
    config = BertConfig(
        vocab_size=7, hidden_size=8, num_hidden_layers=1, num_attention_heads=1, intermediate_size=8,
        max_position_embeddings=512, id2label={0: "O", 1: "B-PER"}, label2id={"O": 0, "B-PER": 1},
    )  # fmt: skip
    model = BertForTokenClassification(config)
    with torch.no_grad():
        model.classifier.weight.zero_()
        model.classifier.bias.copy_(torch.tensor([0.0, 5.0]))
    model.save_pretrained(tmp_path)
    text = "word " * 2000 + "Ann"
    table: Any = documents.table_of([{"id": "1", "text": text}])
    now = (
        stage_of({"privacy": {"model": str(tmp_path), "kinds": ["PERSON"]}})
        .apply(table, Known())
        .kept["text"][0]
        .as_py()
    )
    assert "Ann" not in now and "word" not in now
