"""Languages by the short names that files and columns have: en, zh, de, fr…"""

from __future__ import annotations

from collections.abc import Mapping

LANGUAGES: Mapping[str, str] = {
    "en": "English", "zh": "Chinese", "de": "German", "fr": "French", "es": "Spanish", "it": "Italian",
    "pt": "Portuguese", "nl": "Dutch", "ru": "Russian", "uk": "Ukrainian", "pl": "Polish", "cs": "Czech",
    "sk": "Slovak", "ro": "Romanian", "hu": "Hungarian", "bg": "Bulgarian", "el": "Greek", "tr": "Turkish",
    "sv": "Swedish", "da": "Danish", "no": "Norwegian", "fi": "Finnish", "et": "Estonian", "lv": "Latvian",
    "lt": "Lithuanian", "ja": "Japanese", "ko": "Korean", "ar": "Arabic", "he": "Hebrew", "fa": "Persian",
    "hi": "Hindi", "bn": "Bengali", "th": "Thai", "vi": "Vietnamese", "id": "Indonesian", "ms": "Malay",
}  # fmt: skip
_OTHER: Mapping[str, str] = {
    "cn": "zh", "zho": "zh", "cmn": "zh", "chi": "zh", "eng": "en", "deu": "de", "ger": "de", "fra": "fr", "fre": "fr",
    "spa": "es", "ita": "it", "por": "pt", "nld": "nl", "rus": "ru", "jpn": "ja", "jp": "ja", "kor": "ko", "ara": "ar",
    "中文": "zh", "英文": "en", "英语": "en", "德语": "de", "法语": "fr", "日语": "ja",
}  # fmt: skip


def language_name(code: str) -> str:
    """The English name of a language by its code (`fr`, `zh-CN`, `deu`) or name; "" for what is none."""
    plain = code.strip().casefold().replace("_", "-")
    known = {name.casefold(): name for name in LANGUAGES.values()}
    first = plain.partition("-")[0]
    return known.get(plain) or LANGUAGES.get(first) or LANGUAGES.get(_OTHER.get(first, ""), "")
