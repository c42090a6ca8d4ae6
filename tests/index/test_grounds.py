"""Neighbours of what is asked, in both languages, and radicals that only look like characters."""

from __future__ import annotations

import unicodedata

import pytest

from luthier.data.radicals import written
from luthier.index.glossary import FAMILIES, things
from luthier.index.grounds import grounded, stance

ANNUAL = "Annual leave\nEveryone has 25 days of annual leave a year."
NIANJIA = "年假制度\n入职满一年的员工每年有十天年假。"
BESIDE = [
    ("How many weeks of parental leave do I get?", ANNUAL), ("Is sick leave paid?", ANNUAL),
    ("How long is maternity leave?", "Annual leave\nAsk your team lead two weeks ahead."),
    ("What is the password of the guest wifi?", "Laptop passwords\nIt has at least fourteen characters."),
    ("How do I book a squash court?", "Booking a tennis court\nCourts are booked online."),
    ("What is the housing allowance?", "Travel expenses\nThe daily meal allowance is 28 euros."),
    ("产假有几天？", NIANJIA), ("婚假怎么申请？", NIANJIA), ("育儿假可以休多久？", NIANJIA), ("霉假放多久？", NIANJIA),
    ("住房补贴每月多少？", "差旅报销\n出差期间的餐补每天八十元。"),
    ("门禁密码多久换一次？", "电脑密码\n开机密码九十天更换一次。"), ("换货要谁付钱？", "退货规定\n七天之内可以退货。"),
    ("产假有几天？", ANNUAL), ("How long is parental leave?", NIANJIA),
    ("什么时候请病假？", ANNUAL), ("Do I get marriage leave?", NIANJIA),
]  # fmt: skip
ANSWERED = [
    ("How many days of annual leave do I get?", ANNUAL), ("How much paid holiday is there?", ANNUAL),
    ("How long can the mother stay away?", "Parental leave in Britain\nThe birth parent has 30 weeks at full pay."),
    ("How long is maternity leave?", "Parental leave\nIt lasts 30 weeks."),
    ("How long must a laptop password be?", "Laptop passwords\nIt has at least fourteen characters."),
    ("Who unlocks the password of my laptop?", "Laptop passwords\nThe service desk opens it."),
    ("When do customers get the money back?", "Returning an order\nThe money is paid back in five days."),
    ("年假有几天？", NIANJIA), ("工作满五年可以休多少天年假？", NIANJIA), ("年假有几天？", ANNUAL),
    ("How many days of annual leave are there?", NIANJIA), ("住宿舍的学徒几点要回来？", "学徒宿舍\n大门二十三点锁。"),
    ("关不关店谁说了算？", "浮桥店台风应对\n停业由店长决定。"),
    ("顾客几天之内可以退货？", "退货规定\n七天之内可以退。"),
]  # fmt: skip


@pytest.mark.parametrize(("question", "answer"), BESIDE)
def test_a_neighbour_is_told(question: str, answer: str) -> None:
    """Seen failing with the similarity alone, under which all of these pass."""
    assert stance(question, answer) == "beside"


@pytest.mark.parametrize(("question", "answer"), ANSWERED)
def test_an_answer_is_no_neighbour(question: str, answer: str) -> None:
    """Seen failing with verbs taken for kinds (关店, 住宿舍), and with synonyms of one thing taken for two."""
    assert stance(question, answer) != "beside"


def test_a_passage_with_no_key_word_answers_nothing() -> None:
    """Seen failing with every passage that is near enough taken."""
    hours = "考勤\n上班时间是九点到十八点，中午休息一小时。"
    assert not grounded("产假有多少天？", [hours]) and not grounded("试用期有多久？", [hours, NIANJIA])
    assert grounded("中午休息多久？", [hours]) and grounded("几点？", [hours]), "no key word: it cannot be told"
    assert grounded("年假有几天？", [ANNUAL]) and not grounded("年终奖怎么算？", [ANNUAL])
    assert grounded("家庭住址怎么改？", [ANNUAL]), "it names nothing that is known in both languages"
    assert not grounded("Who wrote Carmen?", [ANNUAL]) and grounded("Whose colleague's inbox?", ["Colleagues stay."])


def test_the_longest_word_is_the_thing() -> None:
    """陪产假 is not 产假. Seen failing with the words in their own order."""
    assert things("Pension insurance") == things("养老保险") and not things("pension") & things("pension insurance")
    assert not things("陪产假") & things("产假") and things("paternity leave") & things("陪产假")
    assert things("Returning an order") == things("退货") and not things("holidays in general, skill")
    for family in FAMILIES:
        for words in family:
            assert any(w.isascii() for w in words) and any(not w.isascii() for w in words), words


def test_radicals_become_characters_and_nothing_else_changes() -> None:
    """Seen failing with NFKC over the whole text, which makes ① 1 and Ａ A."""
    assert written("⼯作满⼀年，增⻓⻔⻚⻢") == "工作满一年，增长门页马"
    kept = "①Ａ％ﬁ½㎏年假 annual x²，、…"
    assert written(kept) == kept
    kangxi = "".join(map(chr, range(0x2F00, 0x2FD6)))
    assert written(kangxi) == unicodedata.normalize("NFKC", kangxi) and len(written(kangxi)) == len(kangxi)
    supplement = "".join(chr(c) for c in range(0x2E80, 0x2EF4) if c not in (0x2E80, 0x2E9A))
    assert len(written(supplement)) == 114 and not set(written(supplement)) & set(supplement)
