"""Secrets: keys and tokens by the prefixes that their makers gave them, private keys, web tokens, passwords."""

from __future__ import annotations

import re

from luthier.corpus.privacy import Pattern

_PREFIXED = re.compile(
    r"(?<![A-Za-z0-9_\-])(?:"
    r"sk-(?:proj-|ant-|live-|or-)?[A-Za-z0-9_\-]{16,200}|[spr]k_(?:live|test)_[A-Za-z0-9]{10,99}"
    r"|gh[pousr]_[A-Za-z0-9]{20,255}|github_pat_[A-Za-z0-9_]{22,255}|glpat-[A-Za-z0-9_\-]{16,64}"
    r"|(?:AKIA|ASIA|AGPA|AIDA|AROA)[A-Z0-9]{16}|AIza[A-Za-z0-9_\-]{30,40}|ya29\.[A-Za-z0-9_\-]{20,200}"
    r"|xox[abprs]-[A-Za-z0-9\-]{10,200}|hf_[A-Za-z0-9]{20,64}|LTAI[A-Za-z0-9]{12,30}|AKID[A-Za-z0-9]{13,40}"
    r"|npm_[A-Za-z0-9]{30,40}|pypi-[A-Za-z0-9_\-]{30,255}|SG\.[A-Za-z0-9_\-]{16,32}\.[A-Za-z0-9_\-]{30,64}"
    r"|dop_v1_[a-f0-9]{64}|key-[a-f0-9]{32}|eyJ[A-Za-z0-9_\-]{8,}\.[A-Za-z0-9_\-]{8,}\.[A-Za-z0-9_\-]{8,}"
    r")(?![A-Za-z0-9_\-])"
)
_BLOCK = re.compile(
    r"-----BEGIN (?:[A-Z]+ )*PRIVATE KEY(?: BLOCK)?-----"
    r"(?:[\s\S]{0,12000}?-----END (?:[A-Z]+ )*PRIVATE KEY(?: BLOCK)?-----)?"
)
_NAMED = re.compile(
    r"(?<![A-Za-z])(?:pass(?:word|wd|phrase|code)|passwd|pwd|"
    r"(?:app|client|api)?[_\- ]?secret(?:[_\- ]?(?:access)?[_\- ]?key)?|"
    r"api[_\- ]?(?:key|token|secret)|"
    r"access[_\- ]?(?:key|token)(?:[_\- ]?id)?|auth[_\- ]?token|client[_\- ]?secret|private[_\- ]?key|"
    r"token|密码|口令|密钥|令牌)"
    r"(?:\s{0,3}(?:is now|is|was|是|为|改成了?|改为|设为))?[\"'”’]?\s{0,3}"
    r"(?::|：|=>|:=|=|(?<=is)|(?<=was)|(?<=now)|(?<=[是为成了]))\s{0,3}"
    r"[\"'“‘「`]?(?P<it>[!-&(-+\--~]{4,200}?)[\"'”’」`]?(?=[\s，。；、,;)）}\]<&\"'”’`]|[.!?](?:\s|$)|$|[一-鿿])",
    re.IGNORECASE,
)
_BEARER = re.compile(r"Bearer\s+(?P<it>[A-Za-z0-9_\-.~+/]{16,8000}=*)", re.IGNORECASE)
_NAMES = ("pass", "pwd", "secret", "token", "key", "密码", "口令", "密钥", "令牌")
_PLAIN = re.compile(r"[a-z]+|[A-Z][a-z]+|\d{1,3}|[<\[{$%(*x.…_]+.*|null|none|true|false|os\.\w+.*|.*\(.*", re.DOTALL)


def _secret(found: re.Match[str]) -> bool:
    """Not a word, a place for one, or code that reads it."""
    return not _PLAIN.fullmatch(found["it"])


PATTERNS = (
    Pattern("KEY", _BLOCK, ("-----begin",), certain=9, longest=13000),
    Pattern("KEY", _PREFIXED, (
        "sk-", "sk_", "pk_", "rk_", "ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_", "glpat-", "akia", "asia",
        "agpa", "aida", "aroa", "aiza", "ya29.", "xox", "hf_", "ltai", "akid", "npm_", "pypi-", "sg.", "dop_v1_",
        "key-", "eyj",
    ), certain=9, longest=12000),
    Pattern("KEY", _BEARER, ("bearer",), _secret, certain=8, longest=9000),
    Pattern("KEY", _NAMED, _NAMES, _secret, certain=7, longest=300),
)  # fmt: skip
