"""Numbers that states of the Americas, Asia, Africa and Oceania give to people."""

from __future__ import annotations

from neurolake.pii import checks
from neurolake.pii.kinds.kind import Kind, Tier

__all__ = ["KINDS"]

S = "[ ./-]?"
_DD = r"(?:0[1-9]|[12]\d|3[01])"
_MM = r"(?:0[1-9]|1[0-2])"
_DAY6 = rf"\d\d{_MM}{_DD}"
_PASSPORT = (
    "passport|passport number|passport no|passport id|passport nbr|travel document|passeport|passportnum|pasaporte"
)
_NATIONAL = "national id|id number|identity number|id no"

KINDS = (
    # North America
    Kind("US_SSN", Tier.STRUCTURAL, r"(?:00[1-9]|0[1-9]\d|[1-5]\d\d|6[0-57-9]\d|66[0-57-9]|[78]\d\d)[- ]\d{2}[- ]\d{4}",
         "ssn|social security number|social security|social security no|ssn no|social|soc sec|soc sec num|ssnum|"
         "socialsecuritynumber|ss number", country="US", bare=r"\d{9}|\d{8}"),
    Kind("US_ITIN", Tier.STRUCTURAL, r"9\d\d[- ](?:5\d|6[0-5]|7\d|8[0-8]|9[0-24-9])[- ]\d{4}",
         "itin|itin number|itin no|individual taxpayer|individual taxpayer id|taxpayer id|tax itin", country="US",
         bare=r"9\d\d[- ]?(?:5\d|6[0-5]|7\d|8[0-8]|9[0-24-9])[- ]?\d{4}"),
    Kind("US_NPI", Tier.CHECKED, r"[12]\d{9}", "npi|npi number|provider npi|national provider|national provider id|"
         "npi code|provider id", checks.npi, "US"),
    Kind("US_MBI", Tier.DISTINCTIVE,
         r"[1-9][ac-hj-km-np-rt-y][ac-hj-km-np-rt-y0-9]\d-?[ac-hj-km-np-rt-y][ac-hj-km-np-rt-y0-9]\d-?"
         r"[ac-hj-km-np-rt-y]{2}\d\d",
         "mbi|medicare id|medicare beneficiary|medicare beneficiary id|beneficiary id|beneficiary|"
         "medicare number|hicn",
         country="US"),
    Kind("ABA_ROUTING_NUMBER", Tier.CHECKED, r"(?:0[1-9]|1[0-2]|2[1-9]|3[0-2]|6[1-9]|7[0-2]|80)\d{2}-?\d{4}-?\d",
         "aba|routing|routing number|routing no|aba number|aba routing|rtn|bank routing|transit number|"
         "routing transit",
         checks.weighing((3, 7, 1, 3, 7, 1, 3, 7, 1), 10), "US"),
    Kind("MEDICAL_LICENSE", Tier.CHECKED, r"[abcdefghjklmprstux][a-z9]\d{7}",
         "dea|dea number|dea no|medical license|prescriber dea|dea license|prescriber", checks.dea, "US"),
    Kind("US_PASSPORT", Tier.NAMED, r"\d{9}|[a-z]\d{8}", f"us passport|{_PASSPORT}", country="US"),
    Kind("US_DRIVER_LICENSE", Tier.NAMED, r"[a-z]{1,2}\d{5,12}|\d{7,10}|[a-z]\d{3}[- ]?\d{3,4}[- ]?\d{2,4}[- ]?\d{0,4}",
         "driver license|drivers license|driver licence|drivers licence|driver license number|dl|dl number|dl no|"
         "driver lic|driving license|license number driver|licence number driver|driver id", country="US"),
    Kind("US_BANK_NUMBER", Tier.NAMED, r"\d{8,17}",
         "account number|bank account|bank account number|account no|acct no|acct number|acct|bank acct|"
         "checking account|savings account|bank number|accountnumber|account num|deposit account", country="US"),
    Kind("US_HEALTH_INSURANCE_MEMBER_ID", Tier.NAMED, r"[a-z0-9-]{6,15}",
         "member id|insurance member|insurance id|subscriber id|health plan id|policy holder id", country="US"),
    Kind("CA_SIN", Tier.CHECKED, r"[1-79]\d{2}[ -]?\d{3}[ -]?\d{3}",
         "sin|social insurance|social insurance number|social ins no|sin number|sin no|nas|"
         "numero assurance sociale", checks.luhn, "CA"),
    Kind("CA_POSTAL_CODE", Tier.STRUCTURAL, r"[abceghj-nprstvxy]\d[abceghj-nprstv-z][ -]?\d[abceghj-nprstv-z]\d",
         "postal code|postcode|code postal|ca postal|canadian postal code|zip", country="CA"),
    # Latin America
    Kind("BR_CPF", Tier.CHECKED, rf"\d{{3}}{S}\d{{3}}{S}\d{{3}}{S}\d\d", "cpf|num cpf|numero cpf|cpf cliente|nr cpf",
         checks.cpf, "BR"),
    Kind("BR_CNPJ", Tier.CHECKED, rf"\d\d{S}\d{{3}}{S}\d{{3}}{S}\d{{4}}{S}\d\d",
         "cnpj|num cnpj|numero cnpj|cnpj empresa", checks.cnpj, "BR"),
    Kind("MX_CURP", Tier.CHECKED, rf"[a-z][aeioux][a-z]{{2}}{_DAY6}[hmx][a-z]{{2}}[b-df-hj-np-tv-zñ]{{3}}[a-z0-9]\d",
         "curp|clave curp|clave unica", checks.curp, "MX"),
    Kind("MX_RFC", Tier.DISTINCTIVE, rf"[a-zñ&]{{4}}{S}{_DAY6}{S}[a-z0-9]{{2}}[a0-9]",
         "rfc|registro federal|registro federal contribuyentes|rfc cliente", country="MX"),
    Kind("CL_RUT", Tier.CHECKED, r"\d{1,2}\.?\d{3}\.?\d{3}-?[0-9k]", "rut|run|rut cliente|run chile|rol unico",
         checks.rut, "CL"),
    Kind("AR_CUIT", Tier.CHECKED, rf"(?:2[03457]|3[034]){S}\d{{8}}{S}\d", "cuit|cuil|nro cuit|nro cuil|numero cuit",
         checks.cuit, "AR"),
    # Asia
    Kind("IN_AADHAAR", Tier.CHECKED, r"[2-9]\d{3}[ -]?\d{4}[ -]?\d{4}",
         "aadhaar|aadhar|adhaar|aadhaar number|aadhar no|uidai|uid number|aadhaar no", checks.verhoeff, "IN"),
    Kind("IN_PAN", Tier.DISTINCTIVE, r"[a-z]{3}[abcfghjlpt][a-z]\d{4}[a-z]",
         "pan|pan card|pan number|pan no|permanent account|permanent account number", country="IN"),
    Kind("IN_GSTIN", Tier.CHECKED, r"[0-3]\d[a-z]{5}\d{4}[a-z][1-9a-z]z[0-9a-z]",
         "gstin|gst|gst number|gst no|gst reg|gst registration", checks.gstin, "IN"),
    Kind("IN_VOTER", Tier.NAMED, r"[a-z]{3}\d{7}", "voter|voter id|voter card|epic|epic no|epic number|voterid|"
         "elector",
         country="IN"),
    Kind("IN_PASSPORT", Tier.NAMED, r"[a-pr-wy][1-9]\d\d{4}[1-9]", "indian passport|in passport", country="IN"),
    Kind("IN_VEHICLE_REGISTRATION", Tier.NAMED, r"[a-z]{2}[ -]?\d{1,2}[ -]?[a-z]{1,3}[ -]?\d{4}",
         "vehicle registration|registration no|vehicle no|rc number|number plate", country="IN"),
    Kind("SG_NRIC_FIN", Tier.CHECKED, r"[stfgm]\d{7}[a-z]", "nric|nric fin|fin|fin no|sg ic|ic number|nric no|"
         "singapore id",
         checks.nric, "SG"),
    Kind("KR_RRN", Tier.CHECKED, rf"{_DAY6}-?[1-4]\d{{6}}",
         "rrn|resident registration|resident registration number|jumin|jumin number|kr resident no|resident number",
         checks.eleven_minus((2, 3, 4, 5, 6, 7, 8, 9, 2, 3, 4, 5)), "KR"),
    Kind("KR_PASSPORT", Tier.NAMED, r"[mspord]\d{8}|[mspord]\d{3}[a-z]\d{4}", "korean passport|"
         "kr passport", country="KR"),
    Kind("KR_DRIVER_LICENSE", Tier.NAMED, r"\d{2}-\d{2}-\d{6}-\d{2}|\d{12}", "korean driver license|kr driver license",
         country="KR"),
    Kind("TH_TNIN", Tier.CHECKED, rf"[1-9]{S}\d{{4}}{S}\d{{5}}{S}\d\d{S}\d",
         "thai id|thai national id|citizen id|citizen no|tnin|"
         "thai citizen", checks.eleven_minus(range(13, 1, -1)), "TH"),
    Kind("CN_RESIDENT_ID", Tier.CHECKED, rf"[1-8]\d{{5}}[ -]?(?:19|20)\d\d{_MM}{_DD}[ -]?\d{{3}}[0-9x]",
         "resident id|shenfenzheng|id card no|id card|id no cn|resident identity|identity card|chinese id|sfz",
         checks.chinese, "CN"),
    Kind("JP_MY_NUMBER", Tier.CHECKED, r"\d{4}[ -]?\d{4}[ -]?\d{4}",
         "my number|mynumber|kojin bango|individual number|my number jp", checks.my_number, "JP"),
    Kind("HK_ID", Tier.CHECKED, r"[a-z]{1,2}\d{3} ?\d{3} ?\(?[0-9a]\)?", "hkid|hk id|hkid no|hk identity|hong kong id",
         checks.hong_kong, "HK"),
    Kind("TW_ID", Tier.CHECKED, r"[a-z][1289]\d{8}", "tw id|taiwan id|roc id|national id tw|taiwanese id",
         checks.taiwanese, "TW"),
    Kind("IL_ID", Tier.CHECKED, r"\d{8}-?\d", "teudat zehut|mispar zehut|israeli id|zehut|tz number|israel id",
         checks.luhn, "IL"),
    Kind("PH_TIN", Tier.NAMED, r"\d{3}-?\d{3}-?\d{3}(?:-?\d{3,5})?", "ph tin|tin|bir tin|tin number|tin no|"
         "taxpayer id",
         country="PH"),
    Kind("PH_UMID", Tier.NAMED, r"\d{4}-?\d{7}-?\d", "umid|crn|common reference number", country="PH"),
    Kind("ID_NIK", Tier.NAMED, rf"\d{{6}}[0-7]\d{_MM}\d{{6}}", "nik|nomor induk|nomor induk kependudukan|ktp|no ktp",
         country="ID"),
    Kind("MY_NRIC", Tier.NAMED, rf"{_DAY6}-?\d\d-?\d{{4}}", "mykad|ic no|nric malaysia|kad pengenalan|"
         "no kp", country="MY"),
    Kind("AE_EMIRATES_ID", Tier.CHECKED, r"784-?\d{4}-?\d{7}-?\d", "emirates id|eid|eida", checks.luhn, "AE"),
    Kind("KZ_IIN", Tier.NAMED, rf"{_DAY6}[0-6]\d{{5}}", "iin|kz iin|zhsn", country="KZ"),
    # Africa
    Kind("ZA_ID_NUMBER", Tier.CHECKED, rf"{_DAY6} ?\d{{4}} ?[0-2][89]\d",
         f"sa id|rsa id|south african id|za id|sa id number|{_NATIONAL}", checks.luhn, "ZA"),
    Kind("ZA_PASSPORT", Tier.NAMED, r"[admt]\d{8}", "south african passport|za passport", country="ZA"),
    Kind("NG_NIN", Tier.NAMED, r"\d{11}", "nin|nin number|nimc|nimc nin|national identification number", country="NG"),
    Kind("EG_NATIONAL_ID", Tier.NAMED, rf"[23]{_DAY6}\d{{7}}", "egyptian id|egypt id|raqm qawmi", country="EG"),
    # Oceania
    Kind("AU_TFN", Tier.CHECKED, rf"\d{{3}}{S}\d{{3}}{S}\d{{3}}",
         "tfn|tax file number|tax file|au tax file|tfn number|"
         "tax file no", checks.weighing((1, 4, 3, 7, 5, 8, 6, 9, 10), 11),
         "AU"),
    Kind("AU_ABN", Tier.CHECKED, rf"[1-9]\d{S}\d{{3}}{S}\d{{3}}{S}\d{{3}}",
         "abn|business number|australian business number|abn no|abn number|aust business no", checks.abn, "AU"),
    Kind("AU_ACN", Tier.CHECKED, rf"\d{{3}}{S}\d{{3}}{S}\d{{3}}", "acn|australian company number|acn no",
         checks.weighing((8, 7, 6, 5, 4, 3, 2, 1, 1), 10), "AU"),
    Kind("AU_MEDICARE", Tier.CHECKED, rf"[2-6]\d{{3}}{S}\d{{5}}{S}\d{S}\d?",
         "medicare|medicare number|medicare no|medicare card|medicare card number", checks.medicare, "AU"),
    Kind("NZ_IRD", Tier.NAMED, r"\d{2,3}-?\d{3}-?\d{3}", "ird|ird number|ird no", country="NZ"),
)  # fmt: skip
