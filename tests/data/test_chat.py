"""The answer mask, proved by decoding it, over the families of chat templates that models come with."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

from luthier.core.errors import LuthierError
from luthier.core.records import Message
from luthier.data.chat import encode_chat, encode_prompt, prompt_text

CHATML = (
    "{% for m in messages %}{{ '<|im_start|>' + m.role + '\n' + m.content + '<|im_end|>' + '\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
TEMPLATES = {
    # name: (template, the end of a turn)
    "chatml": (CHATML, "<|im_end|>"),
    "generation_tags": (
        "{% for m in messages %}{{ '<|im_start|>' + m.role + '\n' }}{% if m.role == 'assistant' %}"
        "{% generation %}{{ m.content + '<|im_end|>' }}{% endgeneration %}{% else %}{{ m.content + '<|im_end|>' }}"
        "{% endif %}{{ '\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}",
        "<|im_end|>",
    ),
    "llama2": (
        "{% if messages[0].role == 'system' %}{% set rest = messages[1:] %}{% set system = messages[0].content %}"
        "{% else %}{% set rest = messages %}{% set system = false %}{% endif %}{% for m in rest %}"
        "{% if (m.role == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('roles must alternate') }}{% endif %}"
        "{% if m.role == 'user' %}{{ bos_token + '[INST] ' }}"
        "{% if loop.first and system %}{{ '<<SYS>>\n' + system + '\n<</SYS>>\n\n' }}{% endif %}"
        "{{ m.content | trim + ' [/INST]' }}"
        "{% else %}{{ ' ' + m.content | trim + ' ' + eos_token }}{% endif %}{% endfor %}",
        " </s>",
    ),
    "llama3": (
        "{{ bos_token }}{% for m in messages %}{{ '<|start_header_id|>' + m.role + '<|end_header_id|>\n\n' "
        "+ m.content | trim + '<|eot_id|>' }}{% endfor %}"
        "{% if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{% endif %}",
        "<|eot_id|>",
    ),
    "gemma": (
        "{{ bos_token }}{% if messages[0].role == 'system' %}{{ raise_exception('System role not supported') }}"
        "{% endif %}{% for m in messages %}"
        "{% if (m.role == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('roles must alternate') }}{% endif %}"
        "{{ '<start_of_turn>' + ('model' if m.role == 'assistant' else m.role) + '\n' + m.content | trim "
        "+ '<end_of_turn>\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<start_of_turn>model\n' }}{% endif %}",
        "<end_of_turn>",
    ),
    "zephyr": (
        "{% for m in messages %}{{ '<|' + m.role + '|>\n' + m.content + eos_token + '\n' }}"
        "{% endfor %}{% if add_generation_prompt %}{{ '<|assistant|>\n' }}{% endif %}",
        "</s>",
    ),
    "phi3_final_eos": (
        "{% for m in messages %}{{ '<|' + m.role + '|>\n' + m.content + '<|end|>\n' }}{% endfor %}"
        "{% if add_generation_prompt %}{{ '<|assistant|>\n' }}{% else %}{{ eos_token }}{% endif %}",
        "<|end|>",
    ),
    "r1_opened_think": (
        "{{ bos_token }}{% for m in messages %}{% if m.role == 'assistant' %}"
        "{{ '<|Assistant|>' + m.content.split('</think>')[-1] + eos_token }}{% else %}{{ '<|User|>' + m.content }}"
        "{% endif %}{% endfor %}{% if add_generation_prompt %}{{ '<|Assistant|><think>\n' }}{% endif %}",
        "</s>",
    ),
    "no_generation_prompt": (
        "{% for m in messages %}{{ '<|im_start|>' + m.role + '\n' + m.content + '<|im_end|>\n' }}{% endfor %}",
        "<|im_end|>",
    ),
    "trailing_space": (
        "{% for m in messages %}{{ m.role + ': ' + m.content + ('</s>' if m.role == 'assistant' else '') + '\n' }}"
        "{% endfor %}{% if add_generation_prompt %}{{ 'assistant: ' }}{% endif %}",
        "</s>",
    ),
}
QWEN3 = (  # as Qwen3: turns before the last question lose their thinking, the last one always shows a think block
    "{% set ns = namespace(last=0) %}{% for m in messages %}{% if m.role == 'user' %}{% set ns.last = loop.index0 %}"
    "{% endif %}{% endfor %}{% for m in messages %}{% set content = m.content %}{% set thought = '' %}"
    "{% if m.role == 'assistant' and '</think>' in content %}"
    "{% set thought = content.split('</think>')[0].split('<think>')[-1].strip('\n') %}"
    "{% set content = content.split('</think>')[-1].lstrip('\n') %}{% endif %}"
    "{{ '<|im_start|>' + m.role + '\n' }}{% if m.role == 'assistant' and loop.index0 > ns.last %}"
    "{{ '<think>\n' + thought + '\n</think>\n\n' }}{% endif %}{{ content + '<|im_end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
SPECIAL = [
    *("<s>", "</s>", "<|im_start|>", "<|im_end|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"),
    *("<start_of_turn>", "<end_of_turn>", "<|end|>", "<|user|>", "<|assistant|>", "<|system|>", "<|User|>"),
    *("<|Assistant|>", "<think>", "</think>"),
]
TEXT = [
    "The parcel has not arrived and I would like my money back, please. assistant user system: answer",
    "Bonjour ! Ça va ? 12345 + 67 = ...\n\nSecond paragraph.\n\n\n  indented line\n\n\n",
    "包裹还没有到，我想退款，谢谢。好的，我们马上为您处理。",
    "🙂👍🏽🎉 emoji and 家庭 👨‍👩‍👧",
]
ANSWERS = [
    "Your refund is on its way.",
    "好的，退款已经在路上了。",
    "Done 🎉👨‍👩‍👧",
    "Line one\n\nline two  with spaces",
    "end",
    "a",
]
ASK = Message("user", "Where is my parcel? 我的包裹呢？")


@pytest.fixture(scope="module", params=[False, True], ids=["offsets", "trimmed_offsets"])
def base(request: pytest.FixtureRequest) -> PreTrainedTokenizerFast:
    """A byte-level BPE tokenizer of 600 tokens, trained here, with every template's special tokens.

    GPT-2's and SmolLM2's leave leading spaces out of the offsets (`trim_offsets`), Qwen's does not.
    """
    raw = Tokenizer(models.BPE())
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    raw.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=600,
        special_tokens=SPECIAL,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    raw.train_from_iterator(TEXT * 20, trainer)
    raw.post_processor = processors.ByteLevel(trim_offsets=request.param)
    return PreTrainedTokenizerFast(tokenizer_object=raw, bos_token="<s>", eos_token="</s>")


def with_template(base: PreTrainedTokenizerFast, template: str | None) -> PreTrainedTokenizerFast:
    base.chat_template = template
    return base


def said(tokenizer: PreTrainedTokenizerFast, encoded: tuple[list[int], list[bool]]) -> str:
    ids, answer = encoded
    assert len(ids) == len(answer)
    return str(tokenizer.decode([i for i, a in zip(ids, answer, strict=True) if a]))


def user(text: str) -> Message:
    return Message("user", text)


def assistant(text: str) -> Message:
    return Message("assistant", text)


def space(name: str) -> str:
    """Llama-2 writes a space before the answer, as part of what the model says."""
    return " " if name == "llama2" else ""


@pytest.mark.parametrize("answer", ANSWERS)
@pytest.mark.parametrize("name", TEMPLATES)
def test_mask_decodes_to_the_answer_and_its_end(base: PreTrainedTokenizerFast, name: str, answer: str) -> None:
    """Seen failing with the end one token later (the line end was learned) and one earlier (no end token)."""
    template, end = TEMPLATES[name]
    tokenizer = with_template(base, template)
    (encoded,) = encode_chat(tokenizer, [ASK, assistant(answer)])
    assert said(tokenizer, encoded) == space(name) + answer + end
    prompt = encode_prompt(tokenizer, [ASK])
    assert encoded.ids[: len(prompt)] == prompt and not any(encoded.answer[: len(prompt)])
    assert encoded.ids.count(tokenizer.bos_token_id) <= 1
    assert tokenizer.decode(prompt) == prompt_text(tokenizer, [ASK])


@pytest.mark.parametrize("name", TEMPLATES)
def test_every_turn_is_marked(base: PreTrainedTokenizerFast, name: str) -> None:
    template, end = TEMPLATES[name]
    tokenizer = with_template(base, template)
    chat = [ASK, assistant(ANSWERS[0]), user("还有呢？"), assistant(ANSWERS[1]), user("ok 👍🏽"), assistant(ANSWERS[2])]
    (encoded,) = encode_chat(tokenizer, chat)
    assert said(tokenizer, encoded) == "".join(space(name) + answer + end for answer in ANSWERS[:3])
    for upto in (1, 3, 5):
        prompt = encode_prompt(tokenizer, chat[:upto])
        assert encoded.ids[: len(prompt)] == prompt


@pytest.mark.parametrize("name", ["chatml", "llama2", "zephyr", "gemma"])
def test_ids_are_those_of_the_template(base: PreTrainedTokenizerFast, name: str) -> None:
    tokenizer = with_template(base, TEMPLATES[name][0])
    chat = [ASK, assistant(ANSWERS[1])]
    turns = [{"role": m.role, "content": m.content} for m in chat]
    assert encode_chat(tokenizer, chat)[0].ids == tokenizer.apply_chat_template(turns, return_dict=False)
    asked = tokenizer.apply_chat_template(turns[:1], add_generation_prompt=True, return_dict=False)
    assert encode_prompt(tokenizer, chat[:1]) == asked


def test_generation_tags_agree(base: PreTrainedTokenizerFast) -> None:
    """Where a template has tags, our mask is the one that they give."""
    tokenizer = with_template(base, TEMPLATES["generation_tags"][0])
    chat = [ASK, assistant(ANSWERS[1]), user("?"), assistant(ANSWERS[2])]
    turns = [{"role": m.role, "content": m.content} for m in chat]
    theirs: Any = tokenizer.apply_chat_template(turns, return_dict=True, return_assistant_tokens_mask=True)
    (ours,) = encode_chat(tokenizer, chat)
    assert ours.ids == theirs["input_ids"]
    assert [int(a) for a in ours.answer] == theirs["assistant_masks"]


def test_rewritten_turns_get_a_sequence_of_their_own(base: PreTrainedTokenizerFast) -> None:
    tokenizer = with_template(base, QWEN3)
    chat = [ASK, assistant("<think>\nlook it up\n</think>\n\nTomorrow."), user("sure?"), assistant("是的。")]
    first, last = encode_chat(tokenizer, chat)
    assert said(tokenizer, first) == "<think>\nlook it up\n</think>\n\nTomorrow.<|im_end|>"
    assert said(tokenizer, last) == "<think>\n\n</think>\n\n是的。<|im_end|>"
    assert "look it up" not in tokenizer.decode(last.ids)
    prompt = encode_prompt(tokenizer, chat[:3])
    assert last.ids[: len(prompt)] == prompt


@pytest.mark.parametrize("name", TEMPLATES)
def test_system_text_is_never_lost(base: PreTrainedTokenizerFast, name: str) -> None:
    template, end = TEMPLATES[name]
    tokenizer = with_template(base, template)
    chat = [Message("system", "You answer in rhyme."), ASK, assistant("Later, alligator.")]
    (encoded,) = encode_chat(tokenizer, chat)
    prompt = prompt_text(tokenizer, chat[:2])
    assert "You answer in rhyme." in prompt and ASK.content in prompt
    assert said(tokenizer, encoded) == space(name) + "Later, alligator." + end


def test_a_template_that_drops_the_system_text_gets_it_in_the_first_question(base: PreTrainedTokenizerFast) -> None:
    silent = "{% for m in messages %}{% if m.role != 'system' %}{{ m.role + '\n' + m.content + '</s>' }}{% endif %}"
    tokenizer = with_template(base, silent + "{% endfor %}{% if add_generation_prompt %}{{ 'assistant\n' }}{% endif %}")
    assert "Be brief.\n\nHello" in prompt_text(tokenizer, [Message("system", "Be brief."), user("Hello")])


@pytest.mark.parametrize("name", ["llama2", "gemma"])
def test_same_roles_in_a_row_are_joined_where_they_must_alternate(base: PreTrainedTokenizerFast, name: str) -> None:
    template, end = TEMPLATES[name]
    tokenizer = with_template(base, template)
    (encoded,) = encode_chat(tokenizer, [user("One."), user("Two."), assistant("Three."), assistant("Four.")])
    assert said(tokenizer, encoded) == space(name) + "Three.\n\nFour." + end
    assert "One.\n\nTwo." in tokenizer.decode(encoded.ids)


def test_without_a_template(base: PreTrainedTokenizerFast) -> None:
    tokenizer = with_template(base, None)
    (encoded,) = encode_chat(tokenizer, [ASK, assistant(ANSWERS[1])])
    assert tokenizer.decode(encoded.ids) == f"{ASK.content}\n\n{ANSWERS[1]}</s>"
    assert said(tokenizer, encoded) == ANSWERS[1] + "</s>"
    assert encoded.ids[: len(encode_prompt(tokenizer, [ASK]))] == encode_prompt(tokenizer, [ASK])


def test_a_template_that_ends_answers_with_nothing_gets_the_end_token(base: PreTrainedTokenizerFast) -> None:
    bare = "{% for m in messages %}{{ '### ' + m.role + ':\n' + m.content + '\n\n' }}{% endfor %}"
    tokenizer = with_template(base, bare + "{% if add_generation_prompt %}{{ '### assistant:\n' }}{% endif %}")
    (encoded,) = encode_chat(tokenizer, [ASK, assistant("Yes."), user("Now?"), assistant("No.")])
    assert encoded.ids[-1] == tokenizer.eos_token_id and encoded.answer[-1]
    assert said(tokenizer, encoded).replace("\n", "") == "Yes.No.</s>"


def test_an_end_token_that_swallows_the_line_end_is_marked(base: PreTrainedTokenizerFast) -> None:
    """Phi-3's <|end|> is declared with rstrip: its token covers the line end too."""
    from tokenizers import AddedToken

    raw = Tokenizer.from_str(base.backend_tokenizer.to_str())
    raw.add_special_tokens([AddedToken("<|stop|>", rstrip=True, special=True)])
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=raw, bos_token="<s>", eos_token="</s>")
    tokenizer.chat_template = TEMPLATES["phi3_final_eos"][0].replace("<|end|>", "<|stop|>")
    chat = [ASK, assistant("Yes."), user("Now?"), assistant("No.")]
    (encoded,) = encode_chat(tokenizer, chat)
    assert said(tokenizer, encoded) == "Yes.<|stop|>No.<|stop|>"
    turns = [{"role": m.role, "content": m.content} for m in chat]
    assert encoded.ids == tokenizer.apply_chat_template(turns, return_dict=False)


def test_tokens_that_straddle_a_border_are_cut(base: PreTrainedTokenizerFast) -> None:
    """Three line ends are one token here: an answer that starts with two must not melt into its header."""
    tokenizer = with_template(base, CHATML)
    assert len(tokenizer("\n\n\n")["input_ids"]) == 1
    (encoded,) = encode_chat(tokenizer, [ASK, assistant("\n\n indented")])
    prompt = encode_prompt(tokenizer, [ASK])
    assert encoded.ids[: len(prompt)] == prompt
    assert said(tokenizer, encoded) == "\n\n indented<|im_end|>"


@pytest.mark.parametrize(
    ("template", "why"),
    [
        ("{% for m in messages %}{% if m.role == 'user' %}{{ m.content }}{% endif %}{% endfor %}", "exactly once"),
        ("{{ raise_exception('no way') }}", "no way"),
        (
            "{% for m in messages %}{{ m.role[0] + m.content + '\n' }}{% endfor %}"
            "{% if add_generation_prompt %}{{ '=>' }}{% endif %}",
            "another way",
        ),
        ("{% for m in messages %}{{ m.content }}{{ m.content }}{% endfor %}", "exactly once"),
    ],
)
def test_templates_that_hide_the_answer_are_refused(base: PreTrainedTokenizerFast, template: str, why: str) -> None:
    with pytest.raises(LuthierError, match=why):
        encode_chat(with_template(base, template), [ASK, assistant("Yes.")])


def test_what_cannot_be_encoded(base: PreTrainedTokenizerFast) -> None:
    tokenizer = with_template(base, CHATML)
    with pytest.raises(LuthierError, match="cannot end with the assistant"):
        encode_prompt(tokenizer, [ASK, assistant("Yes.")])
    with pytest.raises(LuthierError, match="without messages"):
        encode_chat(tokenizer, [])
    with pytest.raises(LuthierError, match="without an answer"):
        encode_chat(tokenizer, [ASK])


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    st.sampled_from(["chatml", "zephyr", "phi3_final_eos", "trailing_space", "no_generation_prompt"]),
    st.lists(st.text(st.characters(codec="utf-8"), min_size=1, max_size=20), min_size=1, max_size=3),
)
def test_any_text_is_marked_whole(base: PreTrainedTokenizerFast, name: str, answers: list[str]) -> None:
    """Templates that leave white space alone: what is marked is what the assistant says, byte by byte."""
    template, end = TEMPLATES[name]
    tokenizer = with_template(base, template)
    answers = [answer for answer in answers if answer.strip()] or ["x"]
    chat = [turn for answer in answers for turn in (ASK, assistant(answer))]
    (encoded,) = encode_chat(tokenizer, chat)
    assert said(tokenizer, encoded) == "".join(answer + end for answer in answers)
    prompt = encode_prompt(tokenizer, chat[:-1])
    assert encoded.ids[: len(prompt)] == prompt


def test_answers_marked_not_to_be_learned_carry_no_loss(base: PreTrainedTokenizerFast) -> None:
    tokenizer = with_template(base, CHATML)
    bad = Message("assistant", "BAD", learned=False)
    (encoded,) = encode_chat(tokenizer, [ASK, bad, user("again"), assistant("Good.")])
    assert said(tokenizer, encoded) == "Good.<|im_end|>" and "BAD" in tokenizer.decode(encoded.ids)
