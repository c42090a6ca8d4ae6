"""Index documents in two languages, search them by meaning and words, and ask with numbered sources.

    python examples/index_and_ask.py

Needs `pip install luthier[index]`; nothing leaves the machine. EXAMPLE_MODEL names the model that writes the answer:
one that reads too badly is not believed, and the sentence that answers best is quoted instead. How well it reads is
tried once, on 25 bundled questions, which takes the embedded model some minutes the first time.
"""

import os
import subprocess
import sys
from pathlib import Path

DOCUMENTS = {
    "leave.md": "# Annual leave\n\nEverybody has 25 days of annual leave. After five years it is 28 days.\n\n"
    "Days that are not used may be taken until the end of March.",
    "repairs.md": "# Repairs\n\nA repair of a violin takes ten working days. A new bow hair costs 60 euros.",
    "报销.md": "# 报销\n\n出差的车票在回来后两周内报销。每天的餐费补贴是八十元。",
    "值班.md": "# 值班\n\n周末由两人值班，早上九点到下午五点。值班一天补休一天。",
}


def luthier(*words: str) -> None:
    """The command line, shown and run."""
    print("\n$ luthier", *words)
    subprocess.run([sys.executable, "-m", "luthier", *words], check=True)


folder = Path("company")
folder.mkdir(exist_ok=True)
for name, text in DOCUMENTS.items():
    (folder / name).write_text(text, encoding="utf-8")

luthier("index", "build", str(folder))  # only what changed is embedded again
luthier("index", "query", "holidays after five years", "-k", "2", "--explain")
luthier("index", "query", "弓毛", "-k", "1")  # a word in Chinese finds the document in English
model = ("--model", os.environ.get("EXAMPLE_MODEL", "embedded"))
luthier("index", "ask", "How many days of annual leave are there after five years?", *model)
luthier("index", "ask", "周末值班有几个人？", *model)
luthier("index", "ask", "Who won the football match?", *model)  # not in the documents: it says so
