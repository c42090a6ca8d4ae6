"""Encodings that text files come in, and the letters that the languages written in them use often."""

from __future__ import annotations

import re
from dataclasses import dataclass

# Ideographs with their extensions and compatibility forms, and the two signs that stand for one (々, 〇).
_HAN = re.compile("[\u3005\u3007\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U000323af]")
_SYLLABLES = re.compile("[\u3041-\u3096\u30a1-\u30fa]")  # kana


def has_han(text: str) -> bool:
    """Whether a text holds a Han character (Chinese; Japanese kanji count too)."""
    return _HAN.search(text) is not None


def is_chinese(text: str) -> bool:
    """Whether a text holds Han characters and no kana, which would make it Japanese."""
    return has_han(text) and not _SYLLABLES.search(text)


_SIMPLIFIED = (
    "的一是了我不人在他有这个上们来到时大地为子中你说生国年着就那和要她出也得里后自以会家可下而过天去能对小多然于心学么之都好"
    "看起发当没成只如事把还用第样道想作种开美总从无情己面最女但现前些所同日手又行意动方期它头经长儿回位分爱老因很给名法间斯知"
    "世什两次使身者被高已亲其进此话常与活正感见明问力理尔点文几定本公特做外孩相西果走将月十实向声车全信重三机工物气每并别真打"
    "太新比才便夫再书部水像眼等体却加电主界门利海受听表德少克代员许先口由死安写性马光白或住难望教命花结乐色更拉东神记处让母父"
    "应直字场平报友关放至张认接告入笑内英军候民岁往何度山觉路带万男边风解叫任金快原吃妈变通师立象数四失满战远格士音轻目条呢病"
    "始达深完今提求清王化空业思切怎非找片罗钱语元喜曾离飞科言干流欢约各即指合反题必该论交终林请医晚制球决传画保读运及则房早院"
    "量苦火布品近坐产答星精视五连司巴奇管类未朋且婚台夜青北队久乎越观落尽形影红爸百令周吧识步希亚术留市半热送兴造谈容极随演收"
    "首根讲整式取照办强石古华拿计您装似足双妻尼转诉米称丽客南领节衣站黑刻统断福城故历惊脸选包紧争另建维绝树系伤示愿持千史谁准"
    "退款货物流快递单价格质量服务商订评差件号码账户查询发票收到修购付送申"
)
_TRADITIONAL = (
    "的一是了我不人在他有這個上們來到時大地為子中你說生國年著就那和要她出也得裡後自以會家可下而過天去能對小多然於心學麼之都好"
    "看起發當沒成只如事把還用第樣道想作種開美總從無情己面最女但現前些所同日手又行意動方期它頭經長兒回位分愛老因很給名法間斯知"
    "世什兩次使身者被高已親其進此話常與活正感見明問力理爾點文幾定本公特做外孩相西果走將月十實向聲車全信重三機工物氣每並別真打"
    "太新比才便夫再書部水像眼等體卻加電主界門利海受聽表德少克代員許先口由死安寫性馬光白或住難望教命花結樂色更拉東神記處讓母父"
    "應直字場平報友關放至張認接告入笑內英軍候民歲往何度山覺路帶萬男邊風解叫任金快原吃媽變通師立象數四失滿戰遠格士音輕目條呢病"
    "始達深完今提求清王化空業思切怎非找片羅錢語元喜曾離飛科言乾流歡約各即指合反題必該論交終林請醫晚製球決傳畫保讀運及則房早院"
    "量苦火布品近坐產答星精視五連司巴奇管類未朋且婚台夜青北隊久乎越觀落盡形影紅爸百令周吧識步希亞術留市半熱送興造談容極隨演收"
    "首根講整式取照辦強石古華拿計您裝似足雙妻尼轉訴米稱麗客南領節衣站黑刻統斷福城故歷驚臉選包緊爭另建維絕樹系傷示願持千史誰準"
    "退款貨物流快遞單價格質量服務商訂評差件號碼帳戶查詢發票收到修購付送申喜歡壞慢"
)
_HAN_MARKS = "，。！？、：；（）“”‘’《》…—【】「」『』～·"
_KANA = "".join(map(chr, [*range(0x3041, 0x3094), *range(0x30A1, 0x30F7), 0x30FC]))
_HANGUL = (
    "이다는에을가의고하지한를은로도기사서어자리나아인시그들대스일정해보게수제구요있전안니면과라부주만여거장은조상동원"
    "공소무마적와유으것없세경국비선실연성오생신학관등말했습였던까었람될데문물않때년월님저습터려계용내해싶겠네배송환불"
)
_SIGNS = "“”‘’–—…•€«»£°§"
_CYRILLIC, _RARER = "оеаинтсрвлкмдпуя", "ыьгзбчйхжшюцщэфъёіїєґАБВГДЕЖЗИЙКЛМНОПРСТУФХЦЧШЩЪЫЬЭЮЯЁІЇЄҐ"
_GREEK, _GREEK_RARER = "αοιετσνηυρπκμλςάίόέή", "ωθδγχφβξζψύώϊϋΑΒΓΔΕΖΗΘΙΚΛΜΝΞΟΠΡΣΤΥΦΧΨΩΆΈΉΊΌΎΏ"
_ARABIC, _ARABIC_RARER = "المينتروبعدهسفكقحجةأ", "شصطخذضزغثظءئىإآؤ،؛؟"
_WEST = (
    *("äöüßÄÖÜ", "éèêëàâçîïôûùœÉÈÊÀÂÇÎÔŒ", "áéíóúñüÁÉÍÓÚÑ¿¡", "ãáâàçéêíõôóúÃÁÂÀÇÉÊÍÕÔÓÚ", "àèéìòùÀÈÉÌÒÙ"),
    *("åäöæøéÅÄÖÆØÉ", "ëïéèöüËÏÉÈÖÜ", "áðéíóúýþæöÁÐÉÍÓÚÝÞÆÖ"),
)
_CENTRAL = (
    *("ąćęłńóśźżĄĆĘŁŃÓŚŹŻ", "áčďéěíňóřšťúůýžÁČĎÉĚÍŇÓŘŠŤÚŮÝŽ", "áäčďéíĺľňóôŕšťúýžÁÄČĎÉÍĽŇÓÔŠŤÚÝŽ"),
    *("áéíóöőúüűÁÉÍÓÖŐÚÜŰ", "čćđšžČĆĐŠŽ", "ăâîșțşţĂÂÎȘȚŞŢ", "äöüßÄÖÜ"),
)


# a letter of another script against a Latin one; a Thai mark that stands on no letter
_MIXED = r"[A-Za-z][^\W\d_a-zA-Z]|[^\W\d_a-zA-Z][A-Za-z]"
_MARKS = "\u0e31\u0e34-\u0e3a\u0e47-\u0e4e"
_LOOSE = f"(?<![ก-ฮ{_MARKS}])[{_MARKS}]|[เ-ไ](?![ก-ฮ])"


@dataclass(frozen=True)
class Encoding:
    """name: as people write it. codec: Python's. letters: what each language in it uses often.

    rarer: the rest of the alphabet, letters of the others. odd: a pattern of what its languages do not write.
    level: the bytes that its common Han or Hangul characters begin with; empty for one byte a character.
    old: only in files whose lines end in CR alone.
    """

    name: str
    codec: str
    letters: tuple[str, ...]
    rarer: str = ""
    odd: str = ""
    level: range = range(0)
    old: bool = False


_WESTERN, _CENTRALLY = tuple(each + _SIGNS for each in _WEST), tuple(each + _SIGNS for each in _CENTRAL)
_HEBREW = "".join(map(chr, range(0x5D0, 0x5EB)))
_THAI = "านรอกเงมยลวดทสตะ่้ัิี"
_THAI_RARER = "".join(map(chr, range(0xE01, 0xE4F)))
ENCODINGS = (
    Encoding("GB18030", "gb18030", (_SIMPLIFIED + _HAN_MARKS,), level=range(0xB0, 0xD8)),
    Encoding("Big5", "big5hkscs", (_TRADITIONAL + _HAN_MARKS,), level=range(0xA4, 0xC7)),
    Encoding("Shift_JIS", "cp932", (_KANA + _HAN_MARKS,), level=range(0x88, 0x98)),
    Encoding("EUC-JP", "euc_jp", (_KANA + _HAN_MARKS,), level=range(0xB0, 0xD0)),
    Encoding("EUC-KR", "cp949", (_HANGUL,), level=range(0xB0, 0xC9)),
    Encoding("Windows-1252", "cp1252", _WESTERN, "".join(_WEST)),
    Encoding("Mac Roman", "mac_roman", _WESTERN, "".join(_WEST), old=True),
    Encoding("DOS 850", "cp850", _WEST, "".join(_WEST)),
    Encoding("Windows-1250", "cp1250", _CENTRALLY),
    Encoding("Windows-1254", "cp1254", ("çğıöşüâîÇĞİÖŞÜ" + _SIGNS,)),
    Encoding("Windows-1251", "cp1251", (_CYRILLIC + _SIGNS,), _RARER, _MIXED),
    Encoding("KOI8-R", "koi8_r", (_CYRILLIC,), _RARER, _MIXED),
    Encoding("DOS 866", "cp866", (_CYRILLIC,), _RARER, _MIXED),
    Encoding("Windows-1253", "cp1253", (_GREEK + _SIGNS,), _GREEK_RARER, _MIXED),
    Encoding("Windows-1255", "cp1255", (_HEBREW + _SIGNS,), "", _MIXED),
    Encoding("Windows-1256", "cp1256", (_ARABIC + _SIGNS,), _ARABIC_RARER, _MIXED),
    Encoding("TIS-620", "cp874", (_THAI + _SIGNS,), _THAI_RARER, f"{_MIXED}|{_LOOSE}"),
)
