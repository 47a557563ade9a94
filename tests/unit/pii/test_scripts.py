"""Names, addresses and titles in other scripts than the Latin one, and small tables: what is found, and what is not."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

import neurolake
from neurolake import Lake

PEOPLE = {
    "ru": "Анна Кузнецова|Дмитрий Орлов|Сергей Павлов|Ольга Никитина|Иван Белов|Екатерина Морозова|Павел Зайцев|"
    "Мария Соловьева|Николай Громов|Татьяна Лебедева",
    "uk": "Олена Шевченко|Тарас Бондаренко|Оксана Ткачук|Богдан Мельник|Андрій Кравчук|Ірина Коваленко|Віктор Савченко|"
    "Наталя Поліщук|Максим Лисенко|Юлія Марченко",
    "el": "Γιώργος Παπαδόπουλος|Μαρία Νικολάου|Ελένη Γεωργίου|Νίκος Δημητρίου|Κατερίνα Οικονόμου|Δημήτρης Αντωνίου|"
    "Σοφία Μακρίδη|Βασίλης Κωνσταντινίδης|Χρήστος Βλάχος|Άννα Σταματάκη",
    "zh": "王伟|李娜|张敏|刘洋|陈静|杨帆|赵磊|黄丽华|周建国|吴晓梅|徐强|孙丽",
    "ko": "김민준|이서연|박지훈|최수빈|정하윤|강도현|조은지|윤서준|장미경|임재현",
    "ja": "佐藤 健|鈴木 花子|高橋 誠|田中 美咲|伊藤 翔太|渡辺 由美|山本 大輔|中村 彩|小林 直樹|加藤 恵",
    "ar": "محمد الحربي|أحمد علي|فاطمة الزهراء|خالد العتيبي|مريم القحطاني|عمر يوسف|نور الدين|سارة محمود|طارق حسن|"
    "ليلى إبراهيم",
    "he": "דוד כהן|שרה לוי|משה פרץ|נועה מזרחי|יוסף ביטון|תמר אברהמי|אורי גולן|יעל פרידמן|איתן דהן|רחל אזולאי",
    "hi": "अमित शर्मा|प्रिया वर्मा|राजेश कुमार|नेहा गुप्ता|संजय सिंह|पूजा यादव|सुनील मिश्रा|कविता देवी|राहुल जोशी|अंजलि पटेल",
}
THINGS = {
    "cities": "Москва|Саратов|Казань|Тверь|Самара|Омск|Пермь|Воронеж|Уфа|Тула|Ростов|Томск",
    "goods": "стул деревянный|стол|Лампа|Диван угловой|Кресло|Шкаф|Полка|Ковер|Зеркало|Комод",
    "cities of China": "北京|上海|广州|深圳|杭州|武汉|西安|南京|天津|重庆|成都|苏州",
    "colours": "黄色|白色|黑色|红色|蓝色|绿色|金色|紫色|灰色|橙色",
    "goods of Korea": "냉장고|세탁기|텔레비전|에어컨|청소기|전자레인지|선풍기|이불|정수기|컴퓨터",
    "cities of Korea": "서울시|부산시|대구시|인천시|광주시|대전시|울산시|수원시|창원시|고양시",
    "cities of Japan": "東京|大阪|京都|名古屋|札幌|福岡|神戸|横浜|仙台|広島",
    "cities of Egypt": "القاهرة|الإسكندرية|الجيزة|أسوان|الأقصر|طنطا|المنصورة|الزقازيق|دمياط|السويس",
    "goods of India": "कुर्सी|मेज|पंखा|बिस्तर|अलमारी|दीवान|चादर|तकिया|पर्दा|कालीन",
    "days": "понедельник|вторник|среда|четверг|пятница|суббота|воскресенье",
}
STREETS = {
    "ru": "г. Москва, ул. Ленина, д. 5|ул. Пушкина, д. 10, кв. 4|проспект Мира, 12|Казань, ул. Баумана, 7",
    "zh": "北京市朝阳区建国路88号|上海市浦东新区世纪大道100号|深圳市南山区科技园路15号|杭州市西湖区文三路9号",
    "ja": "東京都渋谷区道玄坂2-10-7|大阪府大阪市北区梅田3丁目1番3号|〒150-0043 東京都渋谷区道玄坂1-2-3",
    "ko": "서울특별시 강남구 테헤란로 123|부산광역시 해운대구 센텀로 45|수원시 팔달구 정조로 825",
}


@pytest.fixture(scope="module")
def lake() -> Iterator[Lake]:
    with neurolake.connect(":memory:") as lake:
        yield lake


def found(lake: Lake, columns: dict[str, Any]) -> dict[str, str]:
    lake.load("t", columns, mode="replace")
    return {row["column_name"]: row["entity"] for row in lake.call("scan_pii", "t").to_pylist()}


def cells(text: str, count: int = 60) -> list[str]:
    some = text.split("|")
    return (some * count)[:count]


def test_names_of_people_are_told_without_a_title(lake: Lake) -> None:
    assert found(lake, {f"c_{code}": cells(text) for code, text in PEOPLE.items()}) == dict.fromkeys(
        [f"c_{code}" for code in PEOPLE], "PERSON"
    )


def test_things_are_no_people(lake: Lake) -> None:
    assert found(lake, {f"c{place}": cells(text) for place, text in enumerate(THINGS.values())}) == {}


def test_addresses_are_told_by_their_form(lake: Lake) -> None:
    assert found(lake, {f"c_{code}": cells(text) for code, text in STREETS.items()}) == dict.fromkeys(
        [f"c_{code}" for code in STREETS], "STREET_ADDRESS"
    )


@pytest.mark.parametrize(
    "title", ["姓名", "客户姓名", "氏名", "성명", "ФИО", "Фамилия", "Επώνυμο", "الاسم الكامل", "שם מלא", "पूरा नाम"]
)
def test_a_title_speaks_in_its_own_script(lake: Lake, title: str) -> None:
    rare = ["慕容雪", "欧阳锋", "端木赐", "Ждан Щук", "Ѳома Ж", "ზურაბ", "Ոսկան", "ดารา", "লীলা রায়"]
    assert found(lake, {title: rare}) == {title: "PERSON"}


@pytest.mark.parametrize("title", ["产品名称", "商品", "город", "도시", "מוצר"])
def test_or_against_it(lake: Lake, title: str) -> None:
    assert found(lake, {title: cells("王冠|李子|黄瓜|白菜|金针菇|马铃薯|高粱|石榴|方便面|毛豆")}) == {}


def test_few_rows_suffice_where_chance_is_out_of_the_question(lake: Lake) -> None:
    ibans = ["DE89370400440532013000", "GB29NWBK60161331926819", "FR1420041010050500013M02606"]
    cards = ["4111111111111111", "5500005555555559", "4012888888881881", "378282246310005", "4242424242424242"]
    numbers = ["4111111111111112", "5500005555555550", "4012888888881882", "4222222222222223", "4242424242424243"]
    assert found(lake, {"a": ibans}) == {"a": "IBAN_CODE"}
    assert found(lake, {"b": cards}) == {"b": "CREDIT_CARD"}
    assert found(lake, {"c": numbers}) == {}
    assert found(lake, {"d": cards[:3]}) == {}
