"""How far does prompting go? An instruction alone against worked examples, without training a weight.

    python examples/prompts_only.py

Rows in Chinese are asked in Chinese wordings, too; which wording and how many examples were best on the validation
rows is said by the run. Works on a server as well: EXAMPLE_MODEL=http://127.0.0.1:8080/v1#name. The embedded model
(135 M parameters) is small: expect little more than chance of it.
"""

import os

import luthier

GOOD = """菜很新鲜，上得也快 / 老板人特别好，还送了水果 / 住得舒服，下次还来 / 音质超出预期 / 孩子喜欢得不得了 /
    客服两分钟就解决了 / 包装用心，没有一点破损 / 这个价钱真值 / 房间安静又干净 / 比照片上还好看"""
BAD = """等了一个小时才上菜 / 床单上有头发 / 用了两天就坏了 / 客服一直不回消息 / 颜色和图片完全不一样 / 又贵又难吃 /
    隔音太差，一夜没睡 / 少发了一件，还不承认 / 屏幕有划痕 / 再也不会来了"""
labelled = {"好评": GOOD, "差评": BAD}
rows = [{"text": text.strip(), "label": label} for label, texts in labelled.items() for text in texts.split("/")]

board = luthier.compare(
    rows,
    methods="majority,zero_shot,few_shot",
    model=os.environ.get("EXAMPLE_MODEL", "embedded"),
    budget="1000-tokens",  # nothing trains, so nothing of it is used
    out="runs/prompts",
)

print()
print(board)
for row in board.rows:
    if row.folder is not None and row.name != "majority":
        print(f"{row.name}: {row['latency_ms']:.0f} ms for an answer")
        print("  屏幕很清楚，很满意 →", luthier.load(row.folder).predict("屏幕很清楚，很满意"))
