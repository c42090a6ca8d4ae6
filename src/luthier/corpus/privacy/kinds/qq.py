"""QQ numbers: 5 to 11 digits that a text says are one."""

from __future__ import annotations

import re

from luthier.corpus.privacy import Pattern

_LINK = r"(?:it's|its|is|on|at|my|the|me|number|no\.?|id)"
_QQ = re.compile(
    r"(?<![A-Za-z])(?:QQ|扣扣|企鹅号|[Qq]{1,2}号)(?:\s{0,3}(?:群号|群|号码|号|账号|帐号|number|no\.?|id))?\s{0,3}"
    rf"(?:[^\d\s。；;!！?？A-Za-z]{{0,8}}|[ ,]{{0,2}}(?:{_LINK}[ ,:]{{0,2}}){{0,4}})\s{{0,3}}[:：]?\s{{0,3}}"
    r"(?P<it>[1-9]\d{4,10})(?!\d)(?!\.\d)(?![万元年月日个%])",
    re.IGNORECASE,
)

PATTERNS = (Pattern("QQ", _QQ, ("qq", "扣扣", "企鹅号", "q号"), certain=6),)
