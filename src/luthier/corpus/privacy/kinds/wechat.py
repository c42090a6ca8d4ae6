"""WeChat ids: 6 to 20 characters that begin with a letter, where a text says that they are one."""

from __future__ import annotations

import re

from luthier.corpus.privacy import Pattern

_SAID = (
    r"(?:微信|加微|微信号|薇信|威信|wechat|weixin|(?<![A-Za-z])(?:vx|wx(?!id)|v信|VX))(?:,?\s{0,3}(?:号码|号|账号|帐号|ID|id|account|handle))?"
    r"\s{0,3}(?:是|为|is|加|搜索?|[:：=])?\s{0,3}[:：]?\s{0,3}(?:请加|我的)?\s{0,3}[\"“'「]?"
)
_WECHAT = re.compile(rf"{_SAID}(?P<it>[A-Za-z][A-Za-z0-9_\-]{{5,19}})(?![A-Za-z0-9_\-@])", re.IGNORECASE)
_NEAR = re.compile(
    r"(?:微信|wechat)[^\n。；;]{0,16}?(?<![A-Za-z0-9_\-@.])(?P<it>(?=[A-Za-z\-]*[\d_])[A-Za-z][A-Za-z0-9_\-]{5,19})"
    r"(?![A-Za-z0-9_\-@.])",
    re.IGNORECASE,
)
_OWN = re.compile(r"(?<![A-Za-z0-9_])wxid_[a-z0-9]{8,20}(?![A-Za-z0-9_])")
_WORDS = re.compile(r"[a-z]+", re.IGNORECASE)


def _is_id(found: re.Match[str]) -> bool:
    """An English word behind WeChat is none: an id has a digit, a line, or is said with a mark."""
    own, between = found["it"], found.group()[: found.start("it") - found.start()]
    return not _WORDS.fullmatch(own) or any(mark in between for mark in ":：=号是\"“'「")


PATTERNS = (
    Pattern("WECHAT", _NEAR, ("微信", "wechat"), certain=4),
    Pattern("WECHAT", _OWN, ("wxid_",), certain=6),
    Pattern(
        "WECHAT", _WECHAT, ("微信", "加微", "薇信", "威信", "v信", "wechat", "weixin", "vx", "wx"), _is_id, certain=5
    ),
)
