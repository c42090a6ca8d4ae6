"""Encodings: which one a file is in is found and said, or asked for; broken bytes spoil their rows alone."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from luthier.core.errors import LuthierError
from luthier.core.records import Labelled
from luthier.data.encoding import Decoded, UnclearError, decode, document, lookup
from luthier.data.letters import ENCODINGS
from luthier.data.read import Table, read, read_inputs

SIMPLIFIED = ["快递三天了还没有到，什么时候能送？", "退款已经收到，谢谢。", "这件衣服的质量比照片差很多"]
TRADITIONAL = ["這件商品收到時已經壞了", "請問什麼時候可以退款？", "客服的態度很好，謝謝"]
TEXTS = {
    "gb18030": SIMPLIFIED, "gbk": SIMPLIFIED, "big5": TRADITIONAL,
    "cp932": ["荷物がまだ届いていません", "返金をお願いします"],
    "euc_jp": ["荷物がまだ届いていません", "返金をお願いします"],
    "cp949": ["택배가 아직 도착하지 않았어요", "환불해 주시기 바랍니다"],
    "cp1252": ["Die Größe paßt nicht", "où est mon colis, déjà payé ?", "it’s “fine” – don’t worry"],
    "cp1250": ["Paczka jeszcze nie dotarła, proszę o zwrot pieniędzy", "Zapłaciłem za przesyłkę dwa razy"],
    "cp1251": ["Посылка ещё не пришла", "Хочу вернуть деньги"],
    "koi8_r": ["Посылка ещё не пришла", "Хочу вернуть деньги"],
    "cp1253": ["Το δέμα δεν έφτασε ακόμα", "Θέλω τα χρήματά μου"],
    "cp1254": ["Kargo hâlâ gelmedi, çok kötü", "iade istiyorum lütfen şimdi"],
    "cp850": ["Die Größe paßt nicht", "schöne Grüße aus Köln"],
}  # fmt: skip
NAMES = {each.codec: each.name for each in ENCODINGS} | {"gbk": "GB18030", "big5": "Big5"}


def csv(path: Path, texts: list[str], codec: str) -> Path:
    path.write_bytes(("text,label\r\n" + "".join(f'"{text}",x\r\n' for text in texts)).encode(codec))
    return path


def texts(table: Table) -> list[str]:
    return [record.text for record in table.records if isinstance(record, Labelled)]


@pytest.mark.parametrize("codec", TEXTS)
def test_the_encoding_is_found_and_said(tmp_path: Path, codec: str) -> None:
    table = read(csv(tmp_path / "a.csv", TEXTS[codec], codec))
    assert texts(table) == TEXTS[codec] and not table.bad
    said = f"a.csv: read as {NAMES[codec]}, since it is not UTF-8 (--encoding names another)"
    assert table.notes == (said,)


@pytest.mark.parametrize("codec", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_unicode_in_every_form(tmp_path: Path, codec: str) -> None:
    table = read(csv(tmp_path / "a.csv", SIMPLIFIED, codec))
    assert texts(table) == SIMPLIFIED and bool(table.notes) == (codec not in ("utf-8", "utf-8-sig"))


def test_every_kind_of_text_file(tmp_path: Path) -> None:
    rows = "".join(f'{{"text": "{text}", "label": "x"}}\n' for text in SIMPLIFIED)
    for name, content, codec in (
        ("a.jsonl", rows, "gb18030"), ("a.json", f"[{','.join(rows.split(chr(10))[:-1])}]", "gb18030"),
        ("a.tsv", "text\tlabel\n" + "".join(f"{text}\tx\n" for text in SIMPLIFIED), "utf-16"),
        ("a.txt", "\n\n".join(SIMPLIFIED), "gb18030"),
    ):  # fmt: skip
        path = tmp_path / name
        path.write_bytes(content.encode(codec))
        table = read(path)
        assert [getattr(record, "text", "") for record in table.records] == SIMPLIFIED
        assert len(table.notes) == 1 and f"{name}: read as " in table.notes[0]


def test_broken_bytes_spoil_their_rows_alone(tmp_path: Path) -> None:
    """In UTF-8 and in another encoding. Seen failing with GB18030 tried as a whole, which refused the file."""
    path = csv(tmp_path / "a.csv", SIMPLIFIED * 5, "utf-8")
    path.write_bytes(path.read_bytes() + b'"' + "退款".encode("gb18030") + b'",x\r\n')
    table = read(path)
    assert texts(table) == SIMPLIFIED * 5 and [bad.line for bad in table.bad] == [17] and not table.notes
    assert table.bad[0].reason.startswith("not valid UTF-8: byte 0xcd")
    path = csv(tmp_path / "b.csv", SIMPLIFIED * 5, "gb18030")
    path.write_bytes(path.read_bytes() + b'"cut \xcd",x\r\n')
    table = read(path)
    assert texts(table) == SIMPLIFIED * 5 and "read as GB18030" in table.notes[0]
    assert [(bad.line, bad.reason) for bad in table.bad] == [(17, "not valid GB18030: byte 0xcd at character 6")]


def test_a_mixed_file_stays_utf8(tmp_path: Path) -> None:
    """Rows of another encoding that were put behind the others are bad, not all of it read wrongly."""
    path = csv(tmp_path / "a.csv", SIMPLIFIED, "utf-8")
    path.write_bytes(path.read_bytes() + csv(tmp_path / "b.csv", SIMPLIFIED, "gb18030").read_bytes())
    table = read(path)
    assert texts(table) == [*SIMPLIFIED, "text"] and len(table.bad) == 3 and table.lines == (2, 3, 4, 5)


def test_what_is_not_clear_is_asked_in_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes("text,label\n九十,是\n".encode("gb18030"))
    with pytest.raises(LuthierError) as caught:
        read(path)
    said = str(caught.value)
    assert said.startswith(f"{path}: not UTF-8 (byte 11), and it fits ") and "\n" not in said
    assert "--encoding gb18030" in said
    assert texts(read(path, encoding="gb18030")) == ["九十"]
    path.write_bytes(bytes(range(128, 256)) * 3)
    with pytest.raises(LuthierError, match="it fits no other encoding: save it as UTF-8, or name its own"):
        read(path)


def test_an_encoding_that_is_named(tmp_path: Path) -> None:
    path = csv(tmp_path / "a.csv", ["año", "mañana"], "mac_roman")
    table = read(path, encoding="mac-roman")
    assert texts(table) == ["año", "mañana"] and not table.notes
    assert read_inputs(path, encoding="mac-roman").prompts == ["año", "mañana"]
    for name in ("GB18030", "gbk", "GB2312", "cp936"):
        assert texts(read(csv(path, SIMPLIFIED, "gbk"), encoding=name)) == SIMPLIFIED
    for codec, why in (
        ("utf-8", "which it is, and not as big5"),
        ("utf-16", "as its first bytes say, and not as big5"),
    ):
        table = read(csv(path, SIMPLIFIED, codec), encoding="big5")
        assert texts(table) == SIMPLIFIED and why in table.notes[0]


@pytest.mark.parametrize(
    ("name", "near"), [("gb1830", "gb18030"), ("bg5", "big5"), ("utf8x", "utf"), ("", "such as"), ("rot13", "")]
)
def test_an_unknown_encoding_is_refused_by_name(tmp_path: Path, name: str, near: str) -> None:
    with pytest.raises(LuthierError, match=f"--encoding {name}: there is no such encoding; .*{near}"):
        lookup(name)
    if name:
        with pytest.raises(LuthierError, match=f"--encoding {name}"):
            read(csv(tmp_path / "a.csv", SIMPLIFIED, "gbk"), encoding=name)


def test_an_encoding_is_for_text_files(tmp_path: Path) -> None:
    import sample_files

    path = sample_files.parquet([{"text": "a", "label": "x"}], tmp_path / "a.parquet")
    with pytest.raises(LuthierError, match="--encoding is for text files"):
        read(path, encoding="gbk")


def test_documents_keep_what_can_be_read() -> None:
    """A guess is said, a mark is not; broken bytes are replaced, the rest stays."""
    text = "公司的年假为十五天，请提前申请。" * 3
    assert document(text.encode("utf-16")) == (text, [])
    got, notes = document(text.encode("gb18030"))
    assert got == text and notes == ["read as GB18030, since it is not UTF-8; save it as UTF-8 if it looks wrong"]
    got, notes = document(text.encode() + b"\xff")
    assert got == text + "\ufffd" and notes == ["1 byte is not UTF-8 and left out"]
    with pytest.raises(LuthierError, match="alike: save it as UTF-8"):
        document("九十,是".encode("gb18030"))


COMMON = st.sampled_from(
    "的一是了我不人在他有这个上们来到时大地为子中你说生国年着就那和要她出也得里后自以会家可下而过天去"
)
HAN = st.lists(COMMON, min_size=6, unique=True).map("".join)


@settings(max_examples=100, deadline=None, derandomize=True)
@given(rows=st.lists(HAN, min_size=2, max_size=8), codec=st.sampled_from(["gb18030", "utf-8", "utf-16"]))
def test_common_chinese_is_read_back(rows: list[str], codec: str) -> None:
    text = "\n".join(rows)
    assert decode(text.encode(codec)).text == text


@settings(max_examples=200, deadline=None, derandomize=True)
@example(b"\x88b\x88d" * 3)  # letters that Big5-HKSCS reads as two characters and cannot write one by one
@given(data=st.binary(max_size=200))
def test_any_bytes_are_text_or_refused(data: bytes) -> None:
    try:
        assert isinstance(decode(data), Decoded)
    except UnclearError as error:
        assert "\n" not in str(error)
    except LuthierError as error:
        assert "as its first bytes say" in str(error)


def test_nothing_is_imported_to_find_an_encoding() -> None:
    program = "import sys, luthier.data.read; print(*sys.modules)"
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert not {"charset_normalizer", "torch", "pandas", "pyarrow"} & set(run.stdout.split())


def test_a_named_encoding_that_the_letters_speak_against_is_read_and_doubted() -> None:
    """Seen without a word: GBK read as Big5 is other Chinese characters."""
    text = "包裹在哪里，快递还没到。退款还没到账，我登录不了账户。" * 3
    assert decode(text.encode("gb18030"), "gbk").note == ""
    found = decode(text.encode("gb18030"), "big5")
    assert found.text != text
    assert found.note == "read as big5, as --encoding says, though its letters look like GB18030"
