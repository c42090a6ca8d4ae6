"""The labelling page in Chromium: by mouse and keyboard, each kind, names, languages, a phone, hostile texts."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import page_checks
from labelling import Client, asked, project, served, stands
from luthier.core import phrases
from luthier.feedback.questions import Question
from luthier.feedback.store import Store

ZH = phrases.table()["zh"]
OpenLabels = Callable[..., Any]


@contextmanager
def serving(folder: Path, questions: int | list[Question] = 4, kind: str = "pair") -> Iterator[tuple[str, Store]]:
    """A new project's address with its token, and its database."""
    with served(project(folder, questions, kind)) as (client, store):
        yield address(client), store


def address(client: Client) -> str:
    return f"{client.address}/?token={client.token}"


def counted(page: Any, done: int) -> None:
    """Wait until the page says that so many are done."""
    page.wait_for_function("(n) => document.getElementById('progress').value === n", arg=done)


def question(page: Any) -> str:
    return str(page.inner_text("#turns"))


def test_a_pair_by_keyboard(labelling_page: OpenLabels, tmp_path: Path) -> None:
    """Left, right, tie, neither; skip, and undo of each. The token is gone from the address."""
    with serving(tmp_path / "p", 6) as (place, _):
        page = labelling_page(place, "Anna")
        assert "token" not in page.url and "question 1" in question(page)
        for done, key in enumerate(("ArrowLeft", "ArrowRight", "t", "N"), 1):
            page.keyboard.press(key)
            counted(page, done)
        assert page.inner_text("#counted") == "4 done, 2 left"
        page.keyboard.press("s")
        page.wait_for_function("() => document.getElementById('counted').textContent === '4 done, 1 skipped, 1 left'")
        assert "question 6" in question(page)
        for left, text in (("4 done, 2 left", "question 5"), ("3 done, 3 left", "question 4")):
            page.keyboard.press("u")
            page.wait_for_function("(t) => document.getElementById('counted').textContent === t", arg=left)
            assert text in question(page)
        assert page.get_attribute(".neither", "aria-pressed") == "true"
        page.keyboard.press("ArrowLeft")
        counted(page, 4)
    said = [row["value"] for row in stands(tmp_path / "p")]
    assert [len({*value["ranks"]}) for value in said] == [2, 2, 1, 2] and "verdict" not in said[3]


def test_a_pair_by_mouse_until_nothing_is_left(labelling_page: OpenLabels, tmp_path: Path) -> None:
    """Skipped ones can be seen once more; the end can be undone."""
    with serving(tmp_path / "p", 3) as (place, store):
        page = labelling_page(place, "Anna")
        answers = page.eval_on_selector_all(".answer .text", "all => all.map((e) => e.textContent)")
        page.click("text=B is better")
        counted(page, 1)
        page.click("#skip")
        page.wait_for_function("() => document.getElementById('counted').textContent.includes('1 skipped')")
        page.click("text=Neither is good")
        page.wait_for_selector("#end:not([hidden])")
        assert page.inner_text("#thanks") == "Questions labelled: 2. Thank you."
        page.click("#again")
        page.wait_for_selector("#question:not([hidden])")
        assert "question 2" in question(page)
        page.click("text=Equally good")
        page.wait_for_selector("#end:not([hidden])")
        assert page.is_hidden("#again")
        page.click("#end-undo")
        page.wait_for_selector("#question:not([hidden])")
        assert "question 2" in question(page) and page.get_attribute(".tie", "aria-pressed") == "true"
        first = store.questions()[1].answers.index(answers[1])
    assert stands(tmp_path / "p")[0]["value"]["ranks"][first] == 1


def test_a_ranking(labelling_page: OpenLabels, tmp_path: Path) -> None:
    """Four answers by keys, with a tie, and by mouse; nothing is sent before each has a rank."""
    with serving(tmp_path / "p", [asked(n, 4) for n in (1, 2)], "ranking") as (place, store):
        page = labelling_page(place, "Anna")
        shown = page.eval_on_selector_all(".answer .text", "all => all.map((e) => e.textContent)")
        page.keyboard.press("3")
        assert page.is_disabled("#choices button")
        page.keyboard.press("Enter")
        for key in ("1", "4", "2", "ArrowUp", "2", "Enter"):
            page.keyboard.press(key)
        counted(page, 1)
        for card, rank in enumerate(("4", "3", "2", "1")):
            page.click(f".answer:nth-child({card + 1}) .chip:nth-child({rank})")
        page.click("#choices >> text=Save")
        page.wait_for_selector("#end:not([hidden])")
        first, second = store.questions().values()
    ranks = [dict(zip(q.answers, row["value"]["ranks"], strict=True)) for q, row in
             zip((first, second), stands(tmp_path / "p"), strict=True)]  # fmt: skip
    assert [ranks[0][text] for text in shown] == [3, 1, 2, 2]
    assert sorted(ranks[1].values()) == [1, 2, 3, 4]


def test_ratings(labelling_page: OpenLabels, tmp_path: Path) -> None:
    with serving(tmp_path / "p", [asked(1, 3)], "rating") as (place, store):
        page = labelling_page(place, "Anna")
        shown = page.eval_on_selector_all(".answer .text", "all => all.map((e) => e.textContent)")
        for key in ("5", "1", "6", "3"):
            page.keyboard.press(key)
        page.click(".answer:nth-child(2) .chip:nth-child(2)")
        page.keyboard.press("Enter")
        page.wait_for_selector("#end:not([hidden])")
        (only,) = store.questions().values()
    (row,) = stands(tmp_path / "p")
    assert dict(zip(only.answers, row["value"]["scores"], strict=True)) == dict(zip(shown, (5, 2, 3), strict=True))


def test_an_edit(labelling_page: OpenLabels, tmp_path: Path) -> None:
    """The answer is chosen by a letter, its text improved, keys within the text are text; undo brings the text back."""
    with serving(tmp_path / "p", 2, "edit") as (place, store):
        page = labelling_page(place, "Anna")
        shown = page.eval_on_selector_all(".answer .text", "all => all.map((e) => e.textContent)")
        page.keyboard.press("b")
        assert page.input_value("#edited") == shown[1]
        page.keyboard.press("Control+End")
        page.keyboard.type(" suns 1 更好")
        page.keyboard.press("Control+Enter")
        counted(page, 1)
        page.keyboard.press("u")
        counted(page, 0)
        assert page.input_value("#edited") == f"{shown[1]} suns 1 更好"
        page.click("#choices >> text=Save")
        counted(page, 1)
        page.click(".answer:nth-child(1) .chips button")
        page.fill("#edited", "all new")
        page.click("#choices >> text=Save")
        page.wait_for_selector("#end:not([hidden])")
        first = store.questions()[1]
    one, two = (row["value"] for row in stands(tmp_path / "p"))
    assert first.answers[one["better"]] == shown[1] and one["edited"] == f"{shown[1]} suns 1 更好"
    assert two["edited"] == "all new"


HOSTILE = (
    "<script>document.title='x';alert(1)</script><img src=x onerror=alert(2)><b>bold</b>",
    "</script><script>alert(3)</script> `code` {name} ${x} \u202eabc\n\n  indented & <i>kept</i>",
)


def test_texts_are_texts(labelling_page: OpenLabels, tmp_path: Path) -> None:
    """In every turn, both answers and the name: nothing of them is HTML. Seen failing with `innerHTML`."""
    turns = [{"role": "system", "content": HOSTILE[0]}, {"role": "user", "content": HOSTILE[1]},
             {"role": "assistant", "content": HOSTILE[0]}, {"role": "user", "content": "?"}]  # fmt: skip
    with serving(tmp_path / "p", [Question(turns, HOSTILE)], "edit") as (place, _):
        page = labelling_page(place, "<b>A</b>{name}`x`")
        assert sorted(page.eval_on_selector_all(".answer .text", "all => all.map((e) => e.textContent)")) == sorted(
            HOSTILE
        )
        found = page.eval_on_selector_all("#turns .text", "all => all.map((e) => e.textContent)")
        assert found == [HOSTILE[0], HOSTILE[1], HOSTILE[0], "?"]
        assert page.inner_text("#as") == "Labelling as <b>A</b>{name}`x`"
        assert page.locator("main img, main b, main i, main script").count() == 0
        roles = page.eval_on_selector_all("#turns .role", "all => all.map((e) => e.textContent)")
        assert roles == ["System", "User", "Assistant", "User"] and page.title() == "Luthier · labelling"
        page.keyboard.press("a")
        assert page.input_value("#edited") in HOSTILE


def test_the_name_of_another(labelling_page: OpenLabels, tmp_path: Path) -> None:
    """The second browser is told, and may take over, which stops the first one; or choose another name."""
    with serving(tmp_path / "p", 5) as (place, _):
        first = labelling_page(place, "Anna")
        first.keyboard.press("ArrowLeft")
        counted(first, 1)
        second = labelling_page(place)
        second.fill("#name", "anna")
        second.keyboard.press("Enter")
        second.wait_for_selector("#known:not([hidden])")
        assert "Anna is labelling in another browser at this moment" in second.inner_text("#known-why")
        second.click("#other-name")
        second.fill("#name", "Bert")
        second.keyboard.press("Enter")
        second.wait_for_selector("#question:not([hidden])")
        assert "question 3" in question(second) and "question 2" in question(first)
        second.click("#change")
        second.fill("#name", "Anna")
        second.keyboard.press("Enter")
        second.wait_for_selector("#known:not([hidden])")
        second.click("#take-over")
        second.wait_for_selector("#question:not([hidden])")
        assert "question 2" in question(second)
        first.keyboard.press("ArrowRight")
        first.wait_for_selector("#entrance:not([hidden])")
        assert "used in another browser now" in first.inner_text("#said")
        assert len(stands(tmp_path / "p")) == 1
        second.reload()
        second.wait_for_selector("#question:not([hidden])")
        assert second.inner_text("#as") == "Labelling as Anna"


def test_a_full_disk_is_said_and_nothing_lost(labelling_page: OpenLabels, tmp_path: Path) -> None:
    """The page says it, keeps the label and sends it again until there is room."""
    with serving(tmp_path / "p", [Question("q", ("a", "b"))], "edit") as (place, store):
        page = labelling_page(place, "Anna")
        pages = store._db.execute("PRAGMA page_count").fetchone()[0]
        store._db.execute(f"PRAGMA max_page_count = {pages}")
        page.keyboard.press("a")
        page.fill("#edited", "x" * 60_000)
        page.keyboard.press("Control+Enter")
        page.wait_for_selector("#trouble:not([hidden])")
        assert page.inner_text("#trouble").startswith("The server's disk is full: this is not saved yet.")
        page.click("[data-language=zh]")
        assert page.inner_text("#trouble") == ZH["label_disk_full"]
        assert stands(tmp_path / "p") == []
        store._db.execute("PRAGMA max_page_count = 1000000")
        page.wait_for_selector("#end:not([hidden])")
        assert page.is_hidden("#trouble")
    assert len(stands(tmp_path / "p")) == 1


def test_a_label_outlives_the_page(labelling_page: OpenLabels, tmp_path: Path) -> None:
    """Closed before the server answered, the page sends the label when it is opened again, once."""
    with serving(tmp_path / "p") as (place, _):
        page = labelling_page(place, "Anna")
        page.evaluate("() => { window.fetch = () => Promise.reject(new TypeError('cut')); }")
        page.keyboard.press("t")
        page.wait_for_selector("#trouble:not([hidden])")
        assert "kept in this browser" in page.inner_text("#trouble")
        page.reload()
        counted(page, 1)
    assert [row["question"] for row in stands(tmp_path / "p")] == [1]


CHAT = Question(
    [{"role": "system", "content": "You help customers of a violin workshop. Be brief."},
     {"role": "user", "content": "My bow has lost its hair. 修一下要多久？"},
     {"role": "assistant", "content": "A new hair takes two days. 换弓毛需要两天。"},
     {"role": "user", "content": "And what does it cost?"}],
    ("It costs 60 euros, rosin included.\n\nBring the bow before noon and it is ready on the next day but one.",
     "多少钱要看弓的情况，请带来看看。" * 6),
)  # fmt: skip


@pytest.mark.parametrize("kind", ["pair", "ranking", "rating", "edit"])
@pytest.mark.parametrize(
    ("locale", "width"),
    [
        ("en-US", 1280),
        ("zh-CN", 360),
        pytest.param("en-US", 360, marks=pytest.mark.slow),
        pytest.param("zh-CN", 1280, marks=pytest.mark.slow),
    ],
)
def test_languages_widths_and_names(
    labelling_page: OpenLabels, tmp_path: Path, locale: str, kind: str, width: int
) -> None:
    """The browser's language first, the other by a click; nothing wider than a phone; each control has a name."""
    answers = CHAT.answers if kind in ("pair", "edit") else (*CHAT.answers, "Sixty.", "60 欧元。", "I do not know.")
    with serving(tmp_path / "p", [Question(CHAT.prompt, answers)] * 3, kind) as (place, _):
        page = labelling_page(place, "Anna 安娜", locale, width, 740 if width < 500 else 900)
        language = "zh" if locale == "zh-CN" else "en"
        texts = phrases.table()[language]
        assert page.inner_text("#ask") == texts[f"label_ask_{kind}"] and page.title() == texts["label_title"]
        if kind == "edit":
            page.click(".answer:nth-child(2) .chips button")
        elif kind != "pair":
            page.click(".answer:nth-child(1) .chip:nth-child(2)")
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        assert page.evaluate(page_checks.NAMES) == [] and page.evaluate(page_checks.CONTRAST)["wrong"] == []
        small = page.eval_on_selector_all("#question button", "all => all.filter((e) => e.offsetHeight < 40).length")
        assert small == 0
        other = "en" if language == "zh" else "zh"
        page.click(f"[data-language={other}]")
        assert page.inner_text("#ask") == phrases.table()[other][f"label_ask_{kind}"]
        assert page.get_attribute("html", "lang") == {"en": "en", "zh": "zh-Hans"}[other]
        if other == "zh":
            said = page.eval_on_selector_all("[data-say]", "all => all.map((e) => e.textContent).join(' ')")
            assert not re.findall(r"[a-z]{4,}", said.replace("nna", "").replace("label serve", ""))


def test_what_the_page_says_is_in_both_languages() -> None:
    """The same places in each text, and every key that the scripts name."""
    tables = {lang: {k: v for k, v in phrases.table()[lang].items() if k.startswith("label_")} for lang in ("en", "zh")}
    assert tables["en"].keys() == tables["zh"].keys()
    for key, text in tables["en"].items():
        assert {*re.findall(r"\{\w+\}", text)} == {*re.findall(r"\{\w+\}", tables["zh"][key])}, key
    assets = Path(phrases.__file__).parents[1] / "feedback" / "assets"
    named = {key for path in assets.iterdir() for key in re.findall(r"\blabel_\w+(?![\w$])", path.read_text("utf-8"))}
    assert {key for key in named if not key.endswith("_")} <= tables["en"].keys()
