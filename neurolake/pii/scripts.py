"""Names of people in scripts other than the Latin one, as far as common names and endings tell them.

Cyrillic and Greek are spelled with Latin letters first, so that one list serves all three. Chinese and Korean names are
known by their family name, which is one of few and stands first; one character says little, so most cells must begin
with one. Thai, and most scripts of India, are known by the column's name alone.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from typing import Final

__all__ = ["BY_FAMILY_MIN", "bare", "is_other", "known", "share_by_family_name"]

_OTHER: Final = re.compile(r"[\u0370-\u1dff\u1f00-\u1fff\u3040-\u9fff\uac00-\ud7ff\uf900-\ufdff\ufe70-\ufefe]")
_LETTERS: Final = {
    **dict(zip("абвгдезийклмнопрстуфыэіґ", "abvgdeziiklmnoprstufyeig", strict=True)),
    "ё": "e", "ж": "zh", "х": "kh", "ц": "ts", "ч": "ch", "ш": "sh", "щ": "shch", "ъ": "", "ь": "", "ю": "yu",
    "я": "ya", "ї": "i", "є": "e", "ў": "u",
    **dict(zip("αβγδεζηικλμνξοπρσςτυφω", "avgdeziiklmnxoprsstyfo", strict=True)), "θ": "th", "χ": "ch", "ψ": "ps",
}  # fmt: skip
_LATIN: Final = str.maketrans(_LETTERS)
_SPELLED: Final = frozenset(
    """
    aleksandr aleksandra aleksei alla alina anastasiya anatolii andrei anna anton antonina arkadii artem artur bogdan
    boris valentin valentina valerii vasilii vera viktor viktoriya vitalii vladimir vladislav volodimir vyacheslav
    galina gennadii georgii grigorii darya denis dmitrii dmitro egor ekaterina elena elizaveta evgenii evgeniya ivan
    igor ilya inna irina kirill konstantin kseniya larisa leonid lidiya lyubov lyudmila maksim marina mariya mikhail
    mikola nadezhda natalya nataliya nikita nikolai nina oksana oleg oleksandr oleksii olena olga pavel petr petro
    polina raisa roman ruslan svetlana semen sergei sergii sofya stanislav stepan tamara taras tatyana timofei fedor
    yuliya yurii yakov yana georgi dimitar khristo stoyan nikola jovan milan dragan zoran alexandros alexandra
    anastasios anastasia andreas angeliki anna antonis athanasios vasilis vasiliki georgios giorgos georgia dimitris
    dimitrios dimitra eirini eleni evangelia evangelos theodoros ioanna ioannis giannis katerina aikaterini
    konstantinos kostas maria michalis nikolaos nikos panagiotis paraskevi petros sofia spyridon spyros stavros
    christos christina chrysoula
    """.split()
)
_ENDING: Final = re.compile(
    r"\w{2,}(?:[oe]va?|sk(?:ii|yi|aya)|enko|chuk|shvili|opoulo[su]|idis|idou|adis|akis|aki|oglou)"
)
"""Of family names. (Without -in and -ina, as in Putin: many plain words end so.)"""
_WRITTEN: Final = frozenset(
    """
    محمد احمد علي حسن حسين محمود عبدالله عبد خالد عمر يوسف ابراهيم مصطفى فاطمه فاطمة مريم عائشة زينب نور سارة ليلى
    خديجة سعيد سالم ناصر كريم رامي سمير طارق وليد ياسر هدى منى امل رنا دينا هبة امنة عثمان جمال صالح فهد سلطان ماجد
    بدر نادية سلمى ياسمين رضا مهدي امير زهرا حميد سعود الله الرحمن
    משה דוד יוסף יעקב אברהם יצחק דניאל מיכאל אריאל יונתן אורי איתן גיל רון עמית נועם שרה רחל מרים חנה רבקה נועה תמר
    יעל עדי מאיה שירה כהן לוי מזרחי פרץ ביטון דהן אברהמי פרידמן מלכה אזולאי גולן
    राम श्याम मोहन राजेश सुनील अनिल संजय विजय अमित राहुल रवि सुरेश महेश दीपक अजय मनोज
    प्रिया पूजा नेहा सीता गीता अंजलि सुनीता कविता रेखा मीना कुमार कुमारी सिंह शर्मा वर्मा गुप्ता
    यादव पटेल मिश्रा तिवारी देवी चौहान जोशी पांडे
    佐藤 鈴木 高橋 田中 伊藤 渡辺 山本 中村 小林 加藤 吉田 山田 佐々木 山口 松本 井上 木村 斎藤 清水 山崎
    阿部 池田 橋本 山下 石川 中島 前田 藤田 後藤 小川 岡田 村上 長谷川 近藤 石井 坂本 遠藤 青木 藤井 西村
    福田 太田 三浦 藤原 岡本 松田 中川 中野
    """.split()
)
_FAMILY_HAN: Final = frozenset(
    "王李张張刘劉陈陳杨楊黄黃赵趙吴吳周徐孙孫马馬朱胡郭何高林罗羅郑鄭梁谢謝宋唐许許韩韓冯馮邓鄧曹彭曾肖田董袁潘于余"
    "蒋蔣蔡杜叶葉程苏蘇魏吕呂丁任沈姚卢盧姜崔钟鍾谭譚陆陸汪范石廖贾賈夏韦韋付方白邹鄒孟熊秦邱江尹薛闫阎侯雷龙龍"
    "段郝孔邵史毛常万萬顾顧赖賴武康贺賀严嚴施陶洪"
)
_FAMILY_HANGUL: Final = frozenset("김이박최정강조윤장임한오서신권황안송류유전홍고문양손배백허남심노하")
_BY_FAMILY: Final = re.compile(r"[\u3400-\u9fff]{2,3}|[\uac00-\ud7a3]{3}")
_HAN: Final = re.compile(r"[\u3400-\u9fff]{3,5}$")
_BETWEEN: Final = re.compile(r"[\s,.;:・·'’-]+")
BY_FAMILY_MIN: Final = 0.75
"""Of random words of Chinese or Korean a quarter begin with a character that is also a family name."""


def is_other(text: str) -> bool:
    """Whether a text has letters of another script than the Latin one.

    >>> is_other("Анна"), is_other("李娜"), is_other("Łukasz Žižka")
    (True, True, False)
    """
    return _OTHER.search(text) is not None


def bare(text: str) -> str:
    """The text folded to lower case, without accents, vowel signs and points.

    >>> bare("Ἑλένη"), bare("이름")
    ('ελενη', '이름')
    """
    plain = (char for char in unicodedata.normalize("NFKD", text.lower()) if unicodedata.category(char)[0] != "M")
    return unicodedata.normalize("NFC", "".join(plain))


def _folded(text: str) -> str:
    """Without accents and points, but with the vowel signs that words of India differ by."""
    plain = (char for char in unicodedata.normalize("NFKD", text.lower()) if not unicodedata.combining(char))
    return unicodedata.normalize("NFC", "".join(plain))


_WRITTEN_FOLDED: Final = frozenset(map(_folded, _WRITTEN))


def known(text: str) -> bool:
    """Whether a word of a text in another script is a common name, or ends as family names do.

    >>> known("Наталья Шевченко"), known("محمد علي"), known("田中 太郎"), known("Σάκης Ιωαννίδης"), known("стул")
    (True, True, True, True, False)
    """
    words = _BETWEEN.split(_folded(text))
    if any(word in _WRITTEN_FOLDED or (_HAN.match(word) and word[:2] in _WRITTEN_FOLDED) for word in words):
        return True
    spelled = (word.translate(_LATIN) for word in words if word.translate(_LATIN) != word)
    return any(word in _SPELLED or _ENDING.fullmatch(word) is not None for word in spelled)


def share_by_family_name(values: Sequence[str]) -> float:
    """The share of cells that are two or three characters of Chinese, or three of Korean, with a family name first.

    >>> share_by_family_name(["王伟", "李小龙", "김민준", "手机壳"])
    0.75
    """
    found = sum(
        _BY_FAMILY.fullmatch(value) is not None and (value[0] in _FAMILY_HAN or value[0] in _FAMILY_HANGUL)
        for value in values
    )
    return found / max(1, len(values))
