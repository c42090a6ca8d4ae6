"""Common words of handbooks in English and Chinese, so that one language's word is known in the other.

A family holds things that are easily taken for each other, such as kinds of leave. A thing is a list of its words; a
word may stand in several lists of a family where it means any of them (parental leave is also a mother's).
"""

from __future__ import annotations

import re
import unicodedata
from functools import cache

LEAVE = (
    "annual leave, annual holiday, paid holiday, holiday allowance, holiday entitlement, vacation, paid time off, "
    "年假, 年休假, 带薪休假, 带薪假",
    "parental leave, childcare leave, 育儿假",
    "maternity leave, parental leave, birth parent, pregnancy, pregnant, 产假, 怀孕, 生育假",
    "paternity leave, parental leave, other parent, 陪产假, 护理假",
    "sick leave, sick pay, sick day, sickness, sick, illness, ill, 病假, 生病, 患病, 因病",
    "marriage leave, wedding leave, wedding, 婚假, 结婚",
    "bereavement leave, compassionate leave, funeral leave, 丧假",
    "unpaid leave, personal leave, 事假, 无薪假, 停薪留职",
    "study leave, exam leave, 学习假, 考试假",
    "public holiday, bank holiday, 法定节假日, 公众假期, 公共假日",
    "time off in lieu, compensatory leave, 调休, 补休",
    "sabbatical, 学术假",
)
ALLOWANCES = (
    "housing allowance, rent allowance, 住房补贴, 房补, 租房补贴",
    "meal allowance, food allowance, per diem, 餐补, 饭补, 伙食补贴, 餐费补贴",
    "travel allowance, commuting allowance, mileage, 交通补贴, 车补, 通勤补贴",
    "phone allowance, 话费补贴, 通讯补贴",
    "moving allowance, relocation allowance, relocation expenses, moving expenses, 搬家补贴, 安家费",
    "night allowance, shift allowance, 夜班补贴, 晚班补贴, 夜班津贴",
)
PAY = (
    "salary, wage, 工资, 薪水, 月薪",
    "bonus, 奖金, 年终奖",
    "pension, 养老金, 企业年金",
    "overtime pay, overtime, 加班费, 加班工资, 加班",
    "severance pay, severance, 遣散费, 离职补偿",
)
CHARGES = (
    "deposit, security deposit, 押金, 保证金",
    "rent, rental, hire charge, 租金, 月租, 周租, 日租, 房租, 起租, 租",
    "fine, late fee, penalty, 滞纳金, 罚款, 逾期费",
    "postage, shipping cost, delivery charge, 运费, 邮费",
    "tuition, tuition fee, 学费",
    "parking fee, parking, 停车费, 停车",
)
INSURANCES = (
    "health insurance, medical insurance, 医疗保险, 医保",
    "liability insurance, 责任险",
    "accident insurance, 意外险, 意外保险",
    "travel insurance, 旅行保险, 旅游保险",
    "unemployment insurance, 失业保险",
    "pension insurance, 养老保险",
)
GOODS = (
    "return, send back, refund, money back, paid back, 退货, 退款, 退回, 退的钱",
    "exchange, swap, 换货",
    "warranty, guarantee, 保修, 质保",
)
ACCESS = (
    "wifi, wi-fi, wireless, 无线网, 无线网络",
    "laptop, computer, 电脑, 笔记本, 开机",
    "front door, door code, entrance, 门禁, 大门",
    "phone, voicemail, mobile, 手机, 电话",
)
MEMBERSHIPS = (
    "family membership, 家庭会员",
    "student membership, 学生会员",
    "corporate membership, company membership, 企业会员, 公司会员",
)
_ALL = (LEAVE, ALLOWANCES, PAY, CHARGES, INSURANCES, GOODS, ACCESS, MEMBERSHIPS)
FAMILIES = tuple(tuple(tuple(word.strip() for word in thing.split(",")) for thing in family) for family in _ALL)
# families whose things are called by no other words: an answer must name the one that is asked about
NAMED = frozenset(_ALL.index(family) for family in (LEAVE, ALLOWANCES, INSURANCES, MEMBERSHIPS))
Thing = tuple[int, int]  # the family's number and the thing's in it


@cache
def _things() -> dict[str, frozenset[Thing]]:
    out: dict[str, set[Thing]] = {}
    for number, family in enumerate(FAMILIES):
        for at, words in enumerate(family):
            for word in words:
                out.setdefault(word, set()).add((number, at))
    return {word: frozenset(things) for word, things in out.items()}


@cache
def _pattern() -> re.Pattern[str]:
    words = sorted(_things(), key=len, reverse=True)  # the longest first: 陪产假 is not 产假
    latin = "|".join(re.escape(w).replace(r"\ ", r"[\s-]+") for w in words if w.isascii())
    return re.compile(
        rf"\b(?P<latin>{latin})(?:e?s|ing|ed)?\b|" + "|".join(re.escape(w) for w in words if not w.isascii())
    )


def things(text: str) -> set[Thing]:
    """What a text names, in either language."""
    found: set[Thing] = set()
    for match in _pattern().finditer(unicodedata.normalize("NFKC", text).lower()):
        word = match["latin"] or match[0]
        found |= _things()[re.sub(r"[\s-]+", " ", word) if word not in _things() else word]
    return found
