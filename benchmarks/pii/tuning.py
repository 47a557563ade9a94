"""The part that may be looked at while the detector is worked on.

English, German and Spanish data for the most part.
"""

from __future__ import annotations

from collections.abc import Mapping
from random import Random

from benchmarks.pii import ids
from benchmarks.pii.corpus import Column, Maker, Spec, build

FIRST = """James Mary Robert Patricia John Jennifer Michael Linda David Elizabeth William Barbara Richard Susan Joseph
Jessica Thomas Sarah Charles Karen Hans Ursula Klaus Monika Jürgen Petra Stefan Sabine Andreas Claudia Carlos Carmen
Miguel Lucía Javier Ana Antonio Isabel Manuel Pilar Emily Joshua Megan Kyle""".split()
LAST = """Smith Johnson Williams Brown Jones Miller Davis Wilson Anderson Taylor Moore Jackson Martin Thompson White
Müller Schmidt Schneider Fischer Weber Meyer Wagner Becker Schulz Hoffmann Koch Richter García Martínez López Sánchez
Pérez Gómez Fernández Díaz Moreno Romero Clark Lewis Walker Hall Young King Wright Hill Green Baker""".split()
DOMAINS = "example.com mailbox.example corp.example.com example.org web.example.net".split()
STREETS_EN = "Main Oak Maple Cedar Park Washington Lake Hillcrest Elm Sunset River Highland".split()
KINDS_EN = "St Street Ave Avenue Rd Road Blvd Lane Dr Drive".split()
STREETS_DE = "Haupt Bahnhof Garten Schul Berg Linden Kirch Goethe Schiller Ring".split()
WORDS = """alpha bravo cable delta ember falcon garnet harbor indigo jasper kernel lumen meadow nickel orbit pepper
quartz ridge signal timber update velvet window yellow zephyr report status draft final review budget summary
checkout session worker cluster render invoice""".split()


def _name(r: Random) -> str:
    return f"{r.choice(FIRST)} {r.choice(LAST)}"


def _plain(text: str) -> str:
    return text.lower().translate(str.maketrans("äöüéíóáñß", "aoueioans"))


def _email(r: Random) -> str:
    return f"{_plain(r.choice(FIRST))}.{_plain(r.choice(LAST))}{r.randrange(99)}@{r.choice(DOMAINS)}"


def _phone(template: str, first: str) -> Maker:
    def make(r: Random) -> str:
        return "".join(r.choice(first) if c == "N" else r.choice(ids.DIGITS) if c == "#" else c for c in template)

    return make


def _address_en(r: Random) -> str:
    return f"{r.randrange(1, 9900)} {r.choice(STREETS_EN)} {r.choice(KINDS_EN)}"


def _address_en_full(r: Random) -> str:
    return f"{_address_en(r)}, Apt {r.randrange(1, 60)}, Springfield {ids.digits(r, 5)}"


def _address_de(r: Random) -> str:
    return f"{r.choice(STREETS_DE)}{r.choice(('straße', 'str.', 'weg', 'allee'))} {r.randrange(1, 150)}"


def _day(form: str, first: int = 1940, last: int = 2006) -> Maker:
    return lambda r: format(ids.born(r, first, last), form)


def _time(r: Random) -> str:
    return f"{ids.born(r, 2019, 2025)} {r.randrange(24):02}:{r.randrange(60):02}:{r.randrange(60):02}"


def _ip(r: Random) -> str:
    return ".".join(str(r.randrange(1, 255)) for _ in range(4))


def _mac(r: Random) -> str:
    return ":".join(f"{r.randrange(256):02x}" for _ in range(6))


def _password(r: Random) -> str:
    return r.choice(WORDS).title() + r.choice("!#$%_") + ids.digits(r, 3)


def _secret(start: str, length: int, alphabet: str) -> Maker:
    return lambda r: start + "".join(r.choices(alphabet, k=length))


def _hex(length: int) -> Maker:
    return lambda r: "".join(r.choices("0123456789abcdef", k=length))


def _uuid(r: Random) -> str:
    h = _hex(32)(r)
    return f"{h[:8]}-{h[8:12]}-4{h[13:16]}-a{h[17:20]}-{h[20:]}"


def _digits(count: int, first: str = "123456789") -> Maker:
    return lambda r: ids.digits(r, count, first)


def _ean(r: Random) -> str:
    body = r.choice(("400", "500", "871", "761")) + ids.digits(r, 9)
    return body + str(-ids.weighted(body, (1, 3) * 6) % 10)


def _isbn10(r: Random) -> str:
    body = ids.digits(r, 9)
    check = -ids.weighted(body, range(10, 1, -1)) % 11
    return body + ("X" if check == 10 else str(check))


def _isbn13(r: Random) -> str:
    body = "978" + ids.digits(r, 9)
    return body + str(-ids.weighted(body, (1, 3) * 6) % 10)


def _of(choices: str) -> Maker:
    return lambda r: r.choice(choices.split("|"))


def _sentence(r: Random) -> str:
    return " ".join(r.choices(WORDS, k=r.randrange(5, 14))).capitalize() + "."


def _alnum(r: Random, count: int) -> str:
    return "".join(r.choices(ids.LETTERS + ids.DIGITS, k=count))


_B64 = ids.LETTERS + ids.LETTERS.lower() + ids.DIGITS

POSITIVES: Mapping[str, Spec] = {
    "EMAIL_ADDRESS": Spec("email email_address contact_email user_mail", (_email, lambda r: _email(r).upper())),
    "PHONE_NUMBER": Spec(
        "phone phone_number mobile contact_phone tel",
        (
            _phone("(N##) 555-01##", "23456789"),
            _phone("N##-555-####", "23456789"),
            _phone("+49 30 N######", "2345"),
            _phone("+44 20 7### ####", "1"),
            _phone("0171 N######", "23456789"),
        ),
    ),
    "PERSON": Spec(
        "full_name name customer_name contact_person",
        (
            _name,
            lambda r: f"{r.choice(LAST)}, {r.choice(FIRST)}",
            lambda r: r.choice(FIRST),
            lambda r: r.choice(LAST),
            lambda r: f"{r.choice(FIRST)} {r.choice('ABCDEFGHJKLMRST')}. {r.choice(LAST)}",
        ),
    ),
    "STREET_ADDRESS": Spec(
        "address street address_line1 shipping_address", (_address_en, _address_de, _address_en_full)
    ),
    "DATE_OF_BIRTH": Spec("dob birth_date date_of_birth birthday", (_day("%Y-%m-%d"), _day("%m/%d/%Y"))),
    "IP_ADDRESS": Spec("ip ip_address client_ip remote_addr", (_ip,)),
    "MAC_ADDRESS": Spec("mac mac_address device_mac", (_mac, lambda r: _mac(r).upper())),
    "IBAN_CODE": Spec(
        "iban account_iban bank_account",
        (
            lambda r: ids.iban(r, ("DE", "AT")),
            lambda r: ids.iban(r, ("GB", "ES", "DE")),
        ),
    ),
    "PASSWORD": Spec("password passwd user_password pwd", (_password,)),
    "SECRET_KEY": Spec(
        "api_key secret access_token aws_key",
        (
            _secret("AKIA", 16, ids.LETTERS + "234567"),
            _secret("ghp_", 36, _B64),
            _secret("sk_live_", 24, _B64),
        ),
    ),
    "CVV": Spec("cvv cvc card_cvv cvv2", (_digits(3, ids.DIGITS),)),
    "US_SSN": Spec("ssn social_security_number social", ("###-##-####", "#########")),
    "US_ITIN": Spec("itin tax_itin", ("###-##-####", "#########")),
    "US_NPI": Spec("npi provider_npi", ("",)),
    "US_MBI": Spec("mbi medicare_id", ("", "####-###-####")),
    "ABA_ROUTING_NUMBER": Spec("routing_number aba", ("",)),
    "MEDICAL_LICENSE": Spec("dea dea_number", ("",)),
    "US_PASSPORT": Spec("passport passport_number us_passport", ("",)),
    "US_DRIVER_LICENSE": Spec("driver_license drivers_license dl_number", ("",)),
    "US_BANK_NUMBER": Spec("account_number bank_account_number", ("",)),
    "UK_NHS": Spec("nhs nhs_number", ("### ### ####", "")),
    "UK_NINO": Spec("nino national_insurance", ("", "## ## ## ## #")),
    "UK_POSTCODE": Spec("postcode post_code", ("",)),
    "UK_DRIVING_LICENCE": Spec("driving_licence licence_no", ("",)),
    "UK_PASSPORT": Spec("passport_no uk_passport", ("",)),
    "IE_PPS": Spec("pps pps_number", ("",)),
    "CA_SIN": Spec("sin social_insurance_number", ("###-###-###", "")),
    "CA_POSTAL_CODE": Spec("postal_code postcode", ("### ###",)),
    "AU_TFN": Spec("tfn tax_file_number", ("", "### ### ###")),
    "AU_ABN": Spec("abn business_number", ("## ### ### ###", "")),
    "AU_MEDICARE": Spec("medicare medicare_number", ("#### ##### #", "")),
    "DE_TAX_ID": Spec("steuer_id tax_id idnr", ("", "## ### ### ###")),
    "DE_ID_CARD": Spec("ausweisnummer personalausweis id_card", ("",)),
    "DE_SOCIAL_SECURITY": Spec("rentenversicherungsnummer sv_nummer", ("", "## ###### # ###")),
    "DE_HEALTH_INSURANCE": Spec("krankenversichertennummer kvnr", ("",)),
    "DE_KFZ": Spec("kennzeichen kfz_kennzeichen license_plate", ("",)),
    "AT_SVNR": Spec("svnr sozialversicherungsnummer", ("", "#### ######")),
    "CH_AHV": Spec("ahv ahv_nummer", ("###.####.####.##", "")),
    "ES_NIF": Spec("dni nif", ("", "########-#")),
    "ES_NIE": Spec("nie", ("", "#-#######-#")),
    "IT_FISCAL_CODE": Spec("codice_fiscale fiscal_code", ("",)),
    "IT_IDENTITY_CARD": Spec("carta_identita identity_card", ("",)),
    "FR_NIR": Spec("nir insee", ("# ## ## ## ### ### ##", "")),
    "NL_BSN": Spec("bsn burgerservicenummer", ("",)),
    "BE_NATIONAL_NUMBER": Spec("rijksregisternummer national_number", ("##.##.##-###.##", "")),
    "PT_NIF": Spec("nif contribuinte", ("",)),
    "PL_PESEL": Spec("pesel", ("",)),
    "CZ_BIRTH_NUMBER": Spec("rodne_cislo birth_number", ("######/####", "")),
    "RO_CNP": Spec("cnp", ("",)),
    "DK_CPR": Spec("cpr cpr_number", ("######-####",)),
    "SE_PERSONNUMMER": Spec("personnummer", ("######-####", "")),
    "NO_FNR": Spec("fodselsnummer fnr", ("",)),
    "FI_PERSONAL_IDENTITY_CODE": Spec("hetu henkilotunnus", ("",)),
    "EE_ISIKUKOOD": Spec("isikukood", ("",)),
    "BG_EGN": Spec("egn", ("",)),
    "HR_OIB": Spec("oib", ("",)),
    "TR_NATIONAL_ID": Spec("tckn tc_kimlik", ("",)),
    "RU_SNILS": Spec("snils", ("###-###-### ##", "")),
    "IN_AADHAAR": Spec("aadhaar aadhaar_number", ("#### #### ####", "")),
    "IN_PAN": Spec("pan pan_number", ("",)),
    "IN_GSTIN": Spec("gstin gst_number", ("",)),
    "IN_VOTER": Spec("voter_id epic", ("",)),
    "SG_NRIC_FIN": Spec("nric nric_fin", ("",)),
    "KR_RRN": Spec("rrn resident_registration_number", ("######-#######",)),
    "TH_TNIN": Spec("thai_id citizen_id", ("#-####-#####-##-#", "")),
    "CN_RESIDENT_ID": Spec("resident_id id_card_no", ("",)),
    "JP_MY_NUMBER": Spec("my_number individual_number", ("#### #### ####", "")),
    "HK_ID": Spec("hkid", ("",)),
    "TW_ID": Spec("tw_id national_id_tw", ("",)),
    "IL_ID": Spec("teudat_zehut israeli_id", ("",)),
    "ZA_ID_NUMBER": Spec("sa_id id_number", ("",)),
    "NG_NIN": Spec("nin", ("",)),
    "PH_TIN": Spec("ph_tin tin", ("###-###-###-###",)),
    "BR_CPF": Spec("cpf", ("###.###.###-##", "")),
    "BR_CNPJ": Spec("cnpj", ("##.###.###/####-##", "")),
    "MX_CURP": Spec("curp", ("",)),
    "MX_RFC": Spec("rfc", ("",)),
    "CL_RUT": Spec("rut", (lambda r: (t := ids.COMPACT["CL_RUT"](r))[:-1] + "-" + t[-1],)),
    "AR_CUIT": Spec("cuit cuil", ("##-########-#", "")),
    "CREDIT_CARD": Spec("credit_card card_number cc_number", ("", "#### #### #### ####")),
    "IMEI": Spec("imei device_imei", ("",)),
    "VIN": Spec("vin vehicle_id", ("",)),
    "CRYPTO": Spec("wallet btc_address", ("",)),
}

NEGATIVES: Mapping[str, Spec] = {
    "order_number": Spec(
        "order_number order_no order_id",
        (
            lambda r: f"ORD-{ids.digits(r, 6)}",
            _digits(10),
            lambda r: f"{r.randrange(2019, 2026)}-{ids.digits(r, 5)}",
            lambda r: f"{ids.digits(r, 3)}-{ids.digits(r, 7)}-{ids.digits(r, 7)}",
        ),
    ),
    "sku": Spec(
        "sku product_sku item_code",
        (
            lambda r: f"{ids.letters(r, 3)}-{ids.digits(r, 4)}",
            lambda r: _alnum(r, 8),
            lambda r: f"{ids.letters(r, 2)}{ids.digits(r, 6)}{ids.letters(r, 1)}",
        ),
    ),
    "uuid": Spec("uuid id request_id", (_uuid,)),
    "hash": Spec("md5 sha256 checksum etag", (_hex(32), _hex(64), _hex(40))),
    "epoch": Spec(
        "created_ts epoch updated_ms",
        (
            lambda r: str(1_500_000_000 + r.randrange(250_000_000)),
            lambda r: str(1_500_000_000_000 + r.randrange(250_000_000_000)),
        ),
        "BIGINT",
    ),
    "version": Spec(
        "version app_version",
        (
            lambda r: f"{r.randrange(9)}.{r.randrange(30)}.{r.randrange(99)}",
            lambda r: f"{r.randrange(1, 99)}.{r.randrange(9)}.{r.randrange(9999)}.{r.randrange(300)}",
        ),
    ),
    "ean": Spec("ean barcode gtin", (_ean,)),
    "isbn": Spec("isbn isbn13 isbn10", (_isbn13, _isbn10)),
    "file_name": Spec(
        "file_name filename attachment",
        (
            lambda r: (
                f"{r.choice(WORDS)}_{r.choice(WORDS)}_{r.randrange(100)}.{r.choice(('pdf', 'png', 'csv', 'docx'))}"
            ),
        ),
    ),
    "product": Spec(
        "product product_name title",
        (
            lambda r: f"{r.choice(WORDS).title()} {r.choice(WORDS).title()} {r.choice('XSMTZ')}{r.randrange(10, 900)}",
            lambda r: f"{r.choice(WORDS).title()} {r.choice(('Desk', 'Lamp', 'Mug', 'Chair', 'Speaker'))}",
        ),
    ),
    "company": Spec(
        "company vendor supplier",
        (lambda r: f"{r.choice(WORDS).title()} {r.choice(('Inc', 'LLC', 'GmbH', 'Ltd', 'Holdings', 'Partners'))}",),
    ),
    "city": Spec(
        "city town",
        (_of("Berlin|Hamburg|Munich|Chicago|Boston|Denver|Austin|Seattle|Madrid|Sevilla|Bilbao|Leeds|Bristol|Vienna"),),
    ),
    "country": Spec(
        "country country_code",
        (
            _of("Germany|France|Spain|Italy|Poland|Austria|Canada|Mexico"),
            _of("DE|FR|ES|IT|PL|AT|CA|MX|US|GB"),
        ),
    ),
    "latitude": Spec(
        "latitude lat lng",
        (
            lambda r: f"{r.uniform(-85, 85):.6f}",
            lambda r: f"{r.uniform(-179, 179):.5f}",
        ),
        "DOUBLE",
    ),
    "coordinates": Spec("coordinates position", (lambda r: f"{r.uniform(-85, 85):.5f}, {r.uniform(-179, 179):.5f}",)),
    "event_date": Spec("order_date created_at due_date", (_day("%Y-%m-%d", 2018, 2025), _day("%d.%m.%Y", 2018, 2025))),
    "timestamp": Spec("created_at timestamp updated_at", (_time,), "TIMESTAMP"),
    "price": Spec("price amount total", (lambda r: f"{r.uniform(1, 999):.2f}",), "DOUBLE"),
    "quantity": Spec("quantity count stock", (lambda r: str(r.randrange(1, 500)),), "INTEGER"),
    "serial_id": Spec("id row_id customer_id", (_digits(5), _digits(7), _digits(9)), "BIGINT"),
    "code9": Spec("batch_number ticket asset_tag", (_digits(9, ids.DIGITS), _digits(10, ids.DIGITS))),
    "code11": Spec("reference shipment_no receipt", (_digits(11), _digits(12), _digits(13))),
    "luhn_code": Spec(
        "voucher coupon_code",
        (
            lambda r: (b := "90" + ids.digits(r, 13)) + ids.luhn_digit(b),
            lambda r: (b := "8" + ids.digits(r, 8)) + ids.luhn_digit(b),
        ),
    ),
    "tracking": Spec(
        "tracking_number parcel_no",
        (
            lambda r: f"1Z{_alnum(r, 6)}{ids.digits(r, 10)}",
            lambda r: f"{ids.letters(r, 2)}{ids.digits(r, 9)}US",
        ),
    ),
    "invoice": Spec(
        "invoice invoice_number bill_no",
        (
            lambda r: f"INV{r.randrange(2018, 2026)}{ids.digits(r, 5)}",
            lambda r: f"RE-{ids.digits(r, 4)}/{r.randrange(18, 26)}",
        ),
    ),
    "status": Spec("status state", (_of("open|closed|pending|shipped|cancelled|returned"),)),
    "category": Spec("category department segment", (_of("Books|Garden|Toys|Music|Sports|Kitchen|Office"),)),
    "colour": Spec("color colour hex_color", (_of("red|blue|green|black|white|silver"), lambda r: "#" + _hex(6)(r))),
    "language": Spec("language lang locale", (_of("en|de|es|fr|it"), _of("en-US|de-DE|es-ES|en-GB"))),
    "job": Spec("job_title position role", (_of("Sales Manager|Developer|Accountant|Team Lead|Analyst|Driver|Nurse"),)),
    "url": Spec(
        "url link product_url",
        (lambda r: f"https://shop.example.com/{r.choice(WORDS)}/{r.choice(WORDS)}-{r.randrange(999)}",),
    ),
    "path": Spec(
        "path s3_path location", (lambda r: f"/var/{r.choice(WORDS)}/{r.choice(WORDS)}/{r.choice(WORDS)}.log",)
    ),
    "agent": Spec(
        "user_agent browser",
        (lambda r: f"Mozilla/5.0 (X11; Linux x86_64) Gecko/20100101 Firefox/{r.randrange(60, 140)}.0",),
    ),
    "comment": Spec("comment notes description", (_sentence,)),
    "log": Spec(
        "message log_line",
        (lambda r: f"{r.choice(('INFO', 'WARN', 'ERROR'))} [{r.choice(WORDS)}-{r.randrange(20)}] {_sentence(r)}",),
    ),
    "json": Spec(
        "payload attributes",
        (lambda r: f'{{"width": {r.randrange(99)}, "kind": "{r.choice(WORDS)}", "weight": {r.uniform(0, 9):.2f}}}',),
    ),
    "percent": Spec("discount rate share", (lambda r: f"{r.randrange(0, 100)}%",)),
    "flag": Spec("active is_active enabled", (_of("true|false"), _of("Y|N"), _of("0|1"))),
    "isin": Spec("isin security", (lambda r: f"US{_alnum(r, 9)}{ids.digits(r, 1)}",)),
    "bic": Spec("bic swift", (lambda r: f"{ids.letters(r, 4)}{r.choice(('DE', 'GB', 'US'))}{ids.letters(r, 2)}XXX",)),
    "airport": Spec("airport origin destination", (_of("JFK|LAX|LHR|FRA|MUC|MAD|BCN|TXL|ORD|DFW"),)),
    "licence_key": Spec("license_key activation", (lambda r: "-".join(_alnum(r, 5) for _ in range(5)),)),
    "port": Spec("port status_code", (lambda r: str(r.randrange(1024, 65535)),), "INTEGER"),
    "base64": Spec("blob token_hint cursor", (lambda r: "".join(r.choices(_B64, k=32)) + "==",)),
    "duration": Spec("duration length", (lambda r: f"{r.randrange(10):02}:{r.randrange(60):02}:{r.randrange(60):02}",)),
}


def columns() -> list[Column]:
    """All columns of this part."""
    return build("tuning", POSITIVES, NEGATIVES, 10)
