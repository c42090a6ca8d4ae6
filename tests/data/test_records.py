"""A message's own fields: kept where they are, and absent from what is written and hashed where they are not."""

from __future__ import annotations

from luthier.core.records import Chat, Message, record_values
from luthier.core.split import Split
from luthier.models.asking import unshot
from luthier.runs.inputs import data_key

PLAIN = Chat((Message("user", "2+2?"), Message("assistant", "4")))
FULL = Chat(
    (
        Message("user", "2+2?", tools='[{"name": "add"}]'),
        Message("assistant", "", reasoning="A sum.", calls='[{"name": "add"}]', learned=False),
        Message("tool", "4", name="add", call_id="1"),
        Message("assistant", "4"),
    )
)


def _split(record: Chat) -> Split:
    return Split("generation", (record,), ())


def test_what_a_message_has_not_is_neither_written_nor_hashed() -> None:
    assert record_values(PLAIN) == {
        "messages": ({"role": "user", "content": "2+2?"}, {"role": "assistant", "content": "4"})
    }
    assert repr(PLAIN.messages[0]) == "Message(role='user', content='2+2?')"
    assert data_key(_split(PLAIN)) == "671d4e2236a89da8"  # as before messages had more than a role and a content
    assert data_key(_split(FULL)) != data_key(_split(PLAIN))


def test_saved_examples_come_back_whole_and_those_of_earlier_files_too() -> None:
    for record in (PLAIN, FULL):
        assert unshot(record_values(record)) == record
        assert eval(repr(record.messages[1])) == record.messages[1]
    assert unshot({"messages": [{"role": "user", "content": "hi"}]}) == Chat((Message("user", "hi"),))
