"""Numbers that European states give to people."""

from __future__ import annotations

from neurolake.pii import checks
from neurolake.pii.kinds.kind import Kind, Tier

__all__ = ["KINDS"]

S = "[ ./-]?"
_DD = r"(?:0[1-9]|[12]\d|3[01])"
_MM = r"(?:0[1-9]|1[0-2])"
_TAX = "tax id|tax number|tax identification number|tin"
_PASSPORT = "passport|passport number|passport no|passport id|travel document|passportnum"
_PLATE = "license plate|licence plate|plate|plate number|registration plate|vehicle registration"

KINDS = (
    Kind("UK_NHS", Tier.CHECKED, rf"\d{{3}}{S}\d{{3}}{S}\d{{4}}", "nhs|nhs number|nhs no",
         checks.weighing(range(10, 0, -1), 11), "GB"),
    Kind("UK_NINO", Tier.STRUCTURAL,
         rf"[a-ceghj-prstw-z][a-ceghj-nprstw-z]{S}\d\d{S}\d\d{S}\d\d{S}[a-d]",
         "nino|national insurance|national insurance number|ni number|ni no|nat ins no|nat ins|insurance number",
         country="GB"),
    Kind("UK_POSTCODE", Tier.STRUCTURAL, r"[a-pr-uwyz][a-hk-y]?\d[\da-hjkps-uw]? \d[abd-hjlnp-uw-z]{2}",
         "postcode|post code|uk postcode|postal code|pcode|zip", country="GB",
         bare=r"[a-pr-uwyz][a-hk-y]?\d[\da-hjkps-uw]?[ -]?\d[abd-hjlnp-uw-z]{2}"),
    Kind("UK_DRIVING_LICENCE", Tier.DISTINCTIVE,
         rf"[a-z][a-z9]{{4}}{S}\d[0156]\d[0-3]\d\d{S}[a-z][a-z9]9?{S}[2-9a-z]?[a-z]{{2}}",
         "driving licence|driving license|driver licence|licence number|licence no|driver number|dvla|dvla number",
         country="GB"),
    Kind("UK_PASSPORT", Tier.NAMED, r"\d{9}|[a-z]{2}\d{7}", f"uk passport|british passport|{_PASSPORT}", country="GB"),
    Kind("IE_PPS", Tier.CHECKED, r"\d{7}[a-w][a-iw]?", "pps|pps number|ppsn|pps no|irish pps", checks.irish, "IE"),
    Kind("DE_TAX_ID", Tier.CHECKED, rf"[1-9]\d{S}\d{{3}}{S}\d{{3}}{S}\d{{3}}",
         "steuer id|steuerid|steueridentifikationsnummer|steuer identifikationsnummer|idnr|steuerliche id|"
         f"steuer idnr|{_TAX}", checks.tax_id_german, "DE"),
    Kind("DE_ID_CARD", Tier.CHECKED, r"[cfghjklmnprtvwxy][cfghjklmnprtvwxyz0-9]{8}\d",
         "personalausweis|personalausweisnummer|ausweisnummer|ausweis|perso|perso nr|ausweisnr|id card|id karte|"
         "identity card", checks.document, "DE"),
    Kind("DE_SOCIAL_SECURITY", Tier.CHECKED, rf"\d\d{S}{_DD}{_MM}\d\d{S}[a-z]{S}\d{{3}}",
         "rentenversicherungsnummer|rvnr|rv nummer|sozialversicherungsnummer|sv nummer|svnr|versicherungsnummer|"
         "versicherungsnr|rentenversicherung", checks.pension_german, "DE"),
    Kind("DE_HEALTH_INSURANCE", Tier.CHECKED, r"[a-z]\d{9}",
         "krankenversichertennummer|kvnr|kv nummer|krankenversicherung|krankenkasse nr|gkv nr|versichertennummer|"
         "krankenversicherungsnummer", checks.health_german, "DE"),
    Kind("DE_PASSPORT", Tier.NAMED, r"[cfghjk][cfghjklmnprtvwxyz0-9]{8}\d?",
         "reisepass|reisepassnummer|passnummer|pass nr", country="DE"),
    Kind("DE_KFZ", Tier.STRUCTURAL, r"[a-zäöü]{1,3}-[a-z]{1,2} \d{1,4}[eh]?",
         f"kennzeichen|kfz|kfz kennzeichen|autokennzeichen|nummernschild|{_PLATE}", country="DE",
         bare=r"[a-zäöü]{1,3}[ -][a-z]{1,2}[ -]?\d{1,4}[eh]?"),
    Kind("DE_FUEHRERSCHEIN", Tier.NAMED, r"[a-z0-9]\d{2}[a-z0-9]{6}\d[a-z0-9]", "fuhrerschein|fuhrerscheinnummer|"
         "fuehrerschein|fuehrerscheinnummer", country="DE"),
    Kind("AT_SVNR", Tier.CHECKED, rf"[1-9]\d{{3}}{S}{_DD}{S}(?:0[1-9]|1[0-5]){S}\d\d",
         "svnr|sv nr|sv nummer|sozialversicherungsnummer|sozialversicherung|versicherungsnummer", checks.austrian,
         "AT"),
    Kind("CH_AHV", Tier.CHECKED, rf"756{S}\d{{4}}{S}\d{{4}}{S}\d\d", "ahv|ahv nummer|ahv nr|ahvn13|avs|"
         "numero avs|no avs|"
         "sozialversicherungsnummer|avs number", checks.weighing((1, 3) * 6 + (1,), 10), "CH"),
    Kind("ES_NIF", Tier.CHECKED, rf"\d{{2}}{S}\d{{3}}{S}\d{{3}}{S}[a-hj-np-tv-z]",
         "dni|nif|documento nacional|documento identidad|documento de identidad|numero documento|identificacion",
         checks.nif, "ES"),
    Kind("ES_NIE", Tier.CHECKED, rf"[xyz]{S}\d{{7}}{S}[a-hj-np-tv-z]", "nie|numero extranjero|nie extranjero",
         checks.nie, "ES"),
    Kind("ES_PASSPORT", Tier.NAMED, r"[a-z]{2,3}\d{6}", "pasaporte|numero pasaporte", country="ES"),
    Kind("IT_FISCAL_CODE", Tier.CHECKED,
         rf"[a-z]{{3}}{S}[a-z]{{3}}{S}\d\d[a-ehlmprst]\d\d{S}[a-z]\d{{3}}[a-z]",
         "codice fiscale|cod fisc|cod fiscale|codfisc|cf|fiscal code", checks.fiscal_code, "IT"),
    Kind("IT_IDENTITY_CARD", Tier.DISTINCTIVE, r"c[a-z]\d{5}[a-z]{2}",
         "carta identita|carta d identita|carta di identita|cie|numero carta identita|identity card", country="IT",
         bare=r"[a-z]{2} ?\d{7}"),
    Kind("IT_DRIVER_LICENSE", Tier.NAMED, r"[a-z]{2}\d{7}[a-z]|u1[a-z0-9]{7}[a-z]", "patente|numero patente|"
         "patente di guida", country="IT"),
    Kind("FR_NIR", Tier.CHECKED,
         rf"[1-478]{S}\d\d{S}(?:{_MM}|[2-9]\d){S}(?:\d\d|2[ab]){S}\d{{3}}{S}\d{{3}}{S}\d\d",
         "nir|insee|securite sociale|numero securite sociale|num secu|numero secu|no securite sociale|nss|"
         "numero de securite sociale", checks.nir, "FR"),
    Kind("NL_BSN", Tier.CHECKED, rf"\d{{4}}{S}\d{{2}}{S}\d{{3}}|\d{{3}}{S}\d{{3}}{S}\d{{3}}",
         "bsn|burgerservicenummer|burger service nummer|sofinummer|sofi nummer|sofi",
         checks.weighing((9, 8, 7, 6, 5, 4, 3, 2, -1), 11), "NL"),
    Kind("BE_NATIONAL_NUMBER", Tier.CHECKED, rf"\d\d{S}\d\d{S}\d\d{S}\d{{3}}{S}\d\d",
         "rijksregisternummer|rijksregister|national number|numero national|registre national|insz|niss|nrn|"
         "numero de registre national", checks.belgian, "BE"),
    Kind("PT_NIF", Tier.CHECKED, rf"[1235689]\d{{2}}{S}\d{{3}}{S}\d{{3}}",
         "nif|contribuinte|numero contribuinte|numero de contribuinte|nif cliente|identificacao fiscal",
         checks.portuguese, "PT"),
    Kind("PL_PESEL", Tier.CHECKED, r"\d\d[0-9][0-9][0-3]\d{6}", "pesel|numer pesel|nr pesel",
         checks.weighing((1, 3, 7, 9, 1, 3, 7, 9, 1, 3, 1), 10), "PL"),
    Kind("CZ_BIRTH_NUMBER", Tier.CHECKED, rf"\d\d[015-8]\d[0-3]\d ?{S}\d{{4}}",
         "rodne cislo|rodnecislo|rodne c|birth number|rc cislo|"
         "rodne cislo klienta", checks.weighing((1, 10) * 5, 11, rest=0),
         "CZ"),
    Kind("RO_CNP", Tier.CHECKED, rf"[1-8]\d\d{_MM}{_DD}\d{{6}}", "cnp|cod numeric personal|cod numeric",
         checks.romanian, "RO"),
    Kind("DK_CPR", Tier.DISTINCTIVE, rf"{_DD}{_MM}\d\d[ -]\d{{4}}",
         "cpr|cpr number|cpr nummer|cpr nr|cprnummer|personnummer", country="DK", bare=rf"{_DD}{_MM}\d{{6}}"),
    Kind("SE_PERSONNUMMER", Tier.CHECKED, rf"(?:19|20)?\d\d{_MM}(?:{_DD}|6[1-9]|[78]\d|9[01])[ +-]?\d{{4}}",
         "personnummer|person nr|personnr|pnr|persnr|personal number|samordningsnummer", checks.personnummer, "SE"),
    Kind("NO_FNR", Tier.CHECKED, rf"[0-7]\d[014589]\d\d\d{S}\d{{5}}",
         "fodselsnummer|fodselsnr|fnr|personnummer|personnr|norwegian id|fodsels nummer", checks.norwegian, "NO"),
    Kind("FI_PERSONAL_IDENTITY_CODE", Tier.CHECKED, rf"{_DD}{_MM}\d\d[-+a-fu-y]\d{{3}}[0-9a-fhj-npr-y]",
         "hetu|henkilotunnus|hetu nro|sotu|henkilo tunnus|personal identity code|personbeteckning", checks.finnish,
         "FI"),
    Kind("EE_ISIKUKOOD", Tier.CHECKED, rf"[1-6]\d\d{_MM}{_DD}\d{{4}}",
         "isikukood|isiku kood|personal code|asmens kodas", checks.baltic, "EE"),
    Kind("BG_EGN", Tier.CHECKED, r"\d\d[0-5]\d[0-3]\d{5}", "egn|edinen grazhdanski nomer|egn nomer|"
         "uniform civil number",
         checks.bulgarian, "BG"),
    Kind("HR_OIB", Tier.CHECKED, r"\d{11}", "oib|osobni identifikacijski broj", checks.iso_11_10, "HR"),
    Kind("HU_TAJ", Tier.CHECKED, rf"\d{{3}}{S}\d{{3}}{S}\d{{3}}", "taj|taj szam|tajszam",
         checks.weighing((3, 7, 3, 7, 3, 7, 3, 7, -1), 10), "HU"),
    Kind("TR_NATIONAL_ID", Tier.CHECKED, r"[1-9]\d{10}", "tckn|tc kimlik|tc kimlik no|kimlik no|tc no|kimlik|tcno|"
         "kimlik numarasi", checks.turkish, "TR"),
    Kind("RU_SNILS", Tier.CHECKED, rf"\d{{3}}{S}\d{{3}}{S}\d{{3}}{S}\d\d",
         "snils|snils no|nomer snils|strahovoy nomer|strakhovoy nomer", checks.snils, "RU"),
    Kind("GR_AMKA", Tier.CHECKED, rf"{_DD}{_MM}\d{{7}}", "amka", checks.luhn, "GR"),
    Kind("RS_JMBG", Tier.CHECKED, rf"{_DD}{_MM}[09]\d{{8}}", "jmbg|emso|embg|maticni broj",
         checks.eleven_minus((7, 6, 5, 4, 3, 2, 7, 6, 5, 4, 3, 2)), "RS"),
)  # fmt: skip
