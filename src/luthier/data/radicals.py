"""Characters that only look like others: PDFs often hold Chinese radicals (⼯, ⻓) where 工 and 长 were written.

The radicals of the Kangxi dictionary become what NFKC makes of them, those of the supplement what Unicode's
EquivalentUnifiedIdeograph.txt gives. Everything else stays as it is: full width, ligatures, ①.
"""

from __future__ import annotations

import unicodedata

# U+2E81 to U+2EF3 in their order; a blank stands for the one (U+2E9A) that is no character
_SUPPLEMENT = (
    "厂乛乚乙亻冂𠘨刀刂卜㔾小小兀尣尢𡯂巳幺彑𫜹忄心扌攵 旡日月歺母民氵氺灬爫爫丬牛犭"
    "王𤴔目示礻𥫗糹纟罓罒㓁冗𦉫羊𦍌𦍋耂肀聿肉𦥑艹艹艹虎衤覀西见角𧢲讠贝𧾷车辶辶辶邑钅"
    "長镸长门𨸏阝雨青韦页风飞食𩙿飠饣𩠐马骨鬼鱼鸟卤麦黄黾斉齐歯齿竜龙龜亀龟"
)
_WRITTEN = {0x2E81 + at: word for at, word in enumerate(_SUPPLEMENT) if word != " "} | {
    code: unicodedata.normalize("NFKC", chr(code)) for code in range(0x2F00, 0x2FD6)
}


def written(text: str) -> str:
    """The text, of the same length, with radicals as the characters that they stand for."""
    return text.translate(_WRITTEN)
