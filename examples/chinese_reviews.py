"""中文评论：从一个 GB18030 编码的 CSV 文件开始，用命令行查看、对比、再给新评论打标签。

    python examples/chinese_reviews.py

Reviews in Chinese from a spreadsheet: columns with other names, labels that are numbers, an encoding that is not
UTF-8. EXAMPLE_MODEL 换一个基础模型，EXAMPLE_TOKENS 是每种方法的训练量。
"""

import csv
import os
import subprocess
import sys
from pathlib import Path

GOOD = """菜很新鲜 老板人特别好 住得很舒服 音质超出预期 孩子很喜欢 客服解决得快 包装很用心 价钱公道
    房间又静又干净 比照片好看 物流飞快 质量没得说 味道正宗 做工精细 服务周到 值得再来"""
BAD = """等了一小时才上菜 床单上有头发 用两天就坏了 客服不回消息 颜色完全不对 又贵又难吃 隔音太差 少发了一件
    屏幕有划痕 再也不来了 物流太慢 质量很差 味道怪怪的 做工粗糙 态度恶劣 完全是浪费钱"""


def luthier(*words: str) -> None:
    """显示并运行一条命令。"""
    print("\n$ luthier", *words)
    subprocess.run([sys.executable, "-m", "luthier", *words], check=True)


with Path("评论.csv").open("w", encoding="gb18030", newline="") as file:
    rows = [*((text, 1) for text in GOOD.split()), *((text, 0) for text in BAD.split())]
    csv.writer(file).writerows([("评论", "评分"), *rows])
Path("新评论.csv").write_text("评论\n东西不错，还会再买\n太失望了，要退货\n", encoding="utf-8")

how = ("--map", "评论=text,评分=label", "--labels", "0=差评,1=好评")
model = ("--model", os.environ.get("EXAMPLE_MODEL", "embedded-encoder"))
budget = ("--budget", os.environ.get("EXAMPLE_TOKENS", "600") + "-tokens")
luthier("data", "inspect", "评论.csv", *how)
luthier("compare", "评论.csv", *how, *model, *budget, "--methods", "majority,features,lora", "--out", "runs/评论")
luthier("predict", "runs/评论/trials/features/seed-0", "新评论.csv", "--out", "已标注.csv", "--encoding", "utf-8")
print(Path("已标注.csv").read_text("utf-8-sig"))
