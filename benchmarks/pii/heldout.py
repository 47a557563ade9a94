"""The part that the detector is judged by: other languages, names, separators and kinds of codes than `tuning`.

French, Italian, Portuguese, Dutch, Polish, Nordic, Turkish and Indian data for the most part.
"""

from __future__ import annotations

from collections.abc import Mapping
from random import Random
from textwrap import wrap

from benchmarks.pii import ids
from benchmarks.pii.corpus import Column, Maker, Spec, build

GIVEN = """Amélie Baptiste Chloé Damien Élodie Fabien Giulia Lorenzo Chiara Matteo Francesca Alessandro João Beatriz
Tiago Inês Gonçalo Mariana Sanne Daan Femke Bram Lotte Ruben Agnieszka Wojciech Katarzyna Tomasz Magdalena Grzegorz
Ingrid Lars Astrid Bjørn Sigrid Mehmet Ayşe Emre Zeynep Priya Arjun Ananya Rohan Kavita Siobhan Declan Aoife Yusuf
Fatima Nguyen Hiroshi Yuki""".split()
FAMILY = """Dubois Lefèvre Moreau Girard Rousseau Blanchard Rossi Ferrari Esposito Bianchi Colombo Ricci Silva Santos
Oliveira Pereira Almeida Ribeiro Jansen Bakker Visser Smit Mulder Dekker Kowalski Nowak Wiśniewska Kamiński Lewandowski
Zielińska Johansson Lindqvist Bergström Virtanen Nilsen Yılmaz Demir Kaya Şahin Sharma Patel Reddy Iyer Banerjee
Murphy Byrne Gallagher Haddad Tanaka Watanabe""".split()
HOSTS = "post.example posta.example correio.example sub.domein.example poczta.example uni.example.edu".split()
TERMS = """arbre bateau citron doigt étage fleur gare herbe île jardin kiosque lampe marché neige orage papier quai
rivière sable table usine vague wagon zinc ponte festa strada luna vento mare fiume bosco pietra sole""".split()

FORMS = "SA SARL SpA BV Lda AB Oy".split()
COLOURS = "bleue rouge perdu nera".split()


def _email(r: Random) -> str:
    fold = str.maketrans("éèëçïôöãõñşıığłńśąęøÉŞ", "eeeciooaonsiiglnsaeoes")
    first, last = r.choice(GIVEN).lower().translate(fold), r.choice(FAMILY).lower().translate(fold)
    at = f"@{r.choice(HOSTS)}"
    return (
        r.choice((f"{first[0]}{last}", f"{last}_{first}", f"{first}-{last}+news", f"{last}{r.randrange(1970, 2004)}"))
        + at
    )


def _phone(template: str) -> Maker:
    def make(r: Random) -> str:
        return "".join(r.choice("2345678") if c == "N" else r.choice(ids.DIGITS) if c == "#" else c for c in template)

    return make


def _via(r: Random) -> str:
    return f"{r.choice(('Via', 'Piazza', 'Corso', 'Viale'))} {r.choice(FAMILY)} {r.randrange(1, 200)}"


def _rue(r: Random) -> str:
    kind = r.choice(("rue", "avenue", "boulevard", "place"))
    return f"{r.randrange(1, 150)} {kind} {r.choice(('de la', 'du', 'des'))} {r.choice(TERMS).title()}"


def _straat(r: Random) -> str:
    start = r.choice(("Kerk", "Dorps", "Molen", "Wilhelmina", "Beatrix"))
    return f"{start}{r.choice(('straat', 'laan', 'weg', 'plein'))} {r.randrange(1, 250)}"


def _rua(r: Random) -> str:
    return f"{r.choice(('Rua', 'Avenida', 'Travessa'))} {r.choice(FAMILY)}, {r.randrange(1, 900)}"


def _ulica(r: Random) -> str:
    street = r.choice(("Polna", "Leśna", "Słoneczna", "Krótka", "Szkolna", "Ogrodowa"))
    return f"ul. {street} {r.randrange(1, 90)}/{r.randrange(1, 40)}"


def _day(form: str, first: int = 1938, last: int = 2005) -> Maker:
    return lambda r: format(ids.born(r, first, last), form)


def _ip6(r: Random) -> str:
    return "2001:db8:" + ":".join(f"{r.randrange(65536):x}" for _ in range(6))


def _ip4(r: Random) -> str:
    return f"{r.choice((10, 172, 192, 203, 198))}.{r.randrange(256)}.{r.randrange(256)}.{r.randrange(1, 255)}"


def _mac(r: Random) -> str:
    return "-".join(f"{r.randrange(256):02X}" for _ in range(6))


def _any(alphabet: str, least: int, most: int) -> Maker:
    return lambda r: "".join(r.choices(alphabet, k=r.randrange(least, most + 1)))


def _token(start: str, length: int) -> Maker:
    return lambda r: start + "".join(r.choices(_WORD, k=length))


def _jwt(r: Random) -> str:
    return ".".join(("eyJhbGciOiJIUzI1NiJ9", "eyJ" + _token("", 40)(r), _token("", 43)(r)))


def _number(count: int, first: str = "123456789") -> Maker:
    return lambda r: ids.digits(r, count, first)


def _one(choices: str) -> Maker:
    return lambda r: r.choice(choices.split("|"))


def _ulid(r: Random) -> str:
    return "01" + "".join(r.choices("0123456789ABCDEFGHJKMNPQRSTVWXYZ", k=24))


def _upc(r: Random) -> str:
    body = ids.digits(r, 11, "0178")
    return body + str(-ids.weighted(body, (3, 1) * 5 + (3,)) % 10)


def _issn(r: Random) -> str:
    body = ids.digits(r, 7)
    check = -ids.weighted(body, range(8, 1, -1)) % 11
    return f"{body[:4]}-{body[4:]}{'X' if check == 10 else check}"


def _dashed_isbn(r: Random) -> str:
    body = "978" + ids.digits(r, 9)
    full = body + str(-ids.weighted(body, (1, 3) * 6) % 10)
    return f"{full[:3]}-{full[3]}-{full[4:8]}-{full[8:12]}-{full[12]}"


def _container(r: Random) -> str:
    return f"{ids.letters(r, 3)}U{ids.digits(r, 7)}"


def _phrase(r: Random) -> str:
    return " ".join(r.choices(TERMS, k=r.randrange(6, 18))).capitalize() + r.choice(".!…")


def _epoch(base: int, spread: int) -> Maker:
    return lambda r: str(base + r.randrange(spread))


_WORD = ids.LETTERS + ids.LETTERS.lower() + ids.DIGITS

POSITIVES: Mapping[str, Spec] = {
    "EMAIL_ADDRESS": Spec("courriel e_mail correo_electronico emailadres", (_email,)),
    "PHONE_NUMBER": Spec(
        "telephone telefono celular telefoonnummer gsm",
        (
            _phone("06 N# ## ## ##"),
            _phone("+33 6 N# ## ## ##"),
            _phone("+39 3N# #######"),
            _phone("(11) 9N###-####"),
            _phone("+31-6-N#######"),
            _phone("+91 98### N####"),
            _phone("+48 5N# ### ###"),
            _phone("09N#######"),
        ),
    ),
    "PERSON": Spec(
        "nom_complet cliente_nome volledige_naam employee patient_name",
        (
            lambda r: f"{r.choice(GIVEN)} {r.choice(FAMILY)}",
            lambda r: f"{r.choice(FAMILY).upper()} {r.choice(GIVEN)}",
            lambda r: f"{r.choice(FAMILY)}, {r.choice(GIVEN)}",
            lambda r: f"Dr. {r.choice(GIVEN)} {r.choice(FAMILY)}",
            lambda r: r.choice(GIVEN).upper(),
            lambda r: r.choice(FAMILY),
            lambda r: f"{r.choice(GIVEN)} {r.choice(FAMILY)}-{r.choice(FAMILY)}",
        ),
    ),
    "STREET_ADDRESS": Spec("adresse indirizzo endereco straat ulica", (_rue, _via, _rua, _straat, _ulica)),
    "DATE_OF_BIRTH": Spec(
        "date_naissance data_nascita geboortedatum born_on birthdate",
        (_day("%d/%m/%Y"), _day("%Y%m%d"), _day("%d-%m-%Y"), _day("%d %b %Y")),
    ),
    "IP_ADDRESS": Spec("src_ip host_addr adresse_ip", (_ip4, _ip6)),
    "MAC_ADDRESS": Spec("hwaddr wifi_mac bssid", (_mac, lambda r: _mac(r).replace("-", ""))),
    "IBAN_CODE": Spec(
        "compte_iban rekeningnummer conto",
        (
            lambda r: ids.iban(r, ("FR", "IT")),
            lambda r: " ".join(wrap(ids.iban(r, ("NL", "BE", "PT")), 4)),
            lambda r: ids.iban(r, ("PL", "CH", "NO")).lower(),
        ),
    ),
    "PASSWORD": Spec("mot_de_passe senha wachtwoord login_password", (_any(_WORD + "!?&*", 8, 14),)),
    "SECRET_KEY": Spec(
        "jeton client_secret auth_token slack_token",
        (
            _jwt,
            _token("xoxb-2401-", 24),
            _token("AIza", 35),
            _token("glpat-", 20),
        ),
    ),
    "CVV": Spec("cryptogramme card_verification cvc2 security_code", (_number(3, ids.DIGITS),)),
    "US_SSN": Spec("ssn_no employee_ssn soc_sec_num", ("### ## ####", "###-##-####", "#########")),
    "US_ITIN": Spec("itin_no individual_taxpayer_id", ("### ## ####", "#########")),
    "US_NPI": Spec("national_provider_id npi_code", ("",)),
    "US_MBI": Spec("beneficiary_id medicare_beneficiary", ("", "####-###-####")),
    "ABA_ROUTING_NUMBER": Spec("routing bank_routing rtn", ("", "####-####-#")),
    "MEDICAL_LICENSE": Spec("prescriber_dea dea_license", ("",)),
    "US_PASSPORT": Spec("passport_nbr travel_document passeport", ("",)),
    "US_DRIVER_LICENSE": Spec("dl driver_lic licence_number_driver", ("",)),
    "US_BANK_NUMBER": Spec("acct_no checking_account bank_acct", ("",)),
    "UK_NHS": Spec("nhs_no patient_nhs", ("###-###-####", "")),
    "UK_NINO": Spec("ni_number nat_ins_no", ("## ###### #", "")),
    "UK_POSTCODE": Spec("uk_postcode pcode", (lambda r: ids.COMPACT["UK_POSTCODE"](r).replace(" ", ""), "")),
    "UK_DRIVING_LICENCE": Spec("dvla driver_number", ("##### ###### ## ###", "")),
    "UK_PASSPORT": Spec("passport_id passportnum", ("",)),
    "IE_PPS": Spec("ppsn irish_pps", ("",)),
    "CA_SIN": Spec("social_ins_no nas", ("### ### ###", "")),
    "CA_POSTAL_CODE": Spec("code_postal ca_postal", ("", "###-###")),
    "AU_TFN": Spec("tfn_number au_tax_file", ("###-###-###", "")),
    "AU_ABN": Spec("aust_business_no abn_no", ("", "##-###-###-###")),
    "AU_MEDICARE": Spec("medicare_card medicare_no", ("", "####-#####-#")),
    "DE_TAX_ID": Spec("steueridentifikationsnummer tin_de", ("##-###-###-###", "")),
    "DE_ID_CARD": Spec("perso_nr id_karte", ("",)),
    "DE_SOCIAL_SECURITY": Spec("rvnr versicherungsnr", ("##-######-#-###", "")),
    "DE_HEALTH_INSURANCE": Spec("kv_nummer gkv_nr", ("",)),
    "DE_KFZ": Spec("plate kfz", (lambda r: ids.COMPACT["DE_KFZ"](r).replace("-", " "), "")),
    "AT_SVNR": Spec("sv_nr versicherung_at", ("#### ## ## ##", "")),
    "CH_AHV": Spec("avs no_avs navs13", ("###.####.####.##", "")),
    "ES_NIF": Spec("documento_identidad dni_cliente", ("##.###.###-#", "")),
    "ES_NIE": Spec("nie_extranjero num_nie", ("########-#", "")),
    "IT_FISCAL_CODE": Spec(
        "cod_fisc cf", ("### ### ##### #####", "", lambda r: ids.COMPACT["IT_FISCAL_CODE"](r).lower())
    ),
    "IT_IDENTITY_CARD": Spec("numero_carta_identita cie", ("",)),
    "FR_NIR": Spec("numero_securite_sociale num_secu", ("############# ##", "")),
    "NL_BSN": Spec("sofinummer bsn_nr", ("####.##.###", "")),
    "BE_NATIONAL_NUMBER": Spec("numero_national insz", ("###### ### ##", "")),
    "PT_NIF": Spec("numero_contribuinte nif_cliente", ("### ### ###", "")),
    "PL_PESEL": Spec("nr_pesel numer_pesel", ("",)),
    "CZ_BIRTH_NUMBER": Spec("rodne_c rc", ("###### ####", "######/####")),
    "RO_CNP": Spec("cod_numeric_personal cnp_client", ("",)),
    "DK_CPR": Spec("cpr_nr personnummer_dk", ("###### ####", "")),
    "SE_PERSONNUMMER": Spec("pnr person_nr", (lambda r: "19" + ids.COMPACT["SE_PERSONNUMMER"](r), "######-####")),
    "NO_FNR": Spec("fodselsnr personnr_no", ("###### #####", "")),
    "FI_PERSONAL_IDENTITY_CODE": Spec("henkilotunnus_fi hetu_nro", ("",)),
    "EE_ISIKUKOOD": Spec("personal_code_ee ik", ("",)),
    "BG_EGN": Spec("edinen_grazhdanski_nomer egn_no", ("",)),
    "HR_OIB": Spec("osobni_identifikacijski_broj oib_klijenta", ("",)),
    "TR_NATIONAL_ID": Spec("kimlik_no tc_no", ("",)),
    "RU_SNILS": Spec("strahovoy_nomer snils_no", ("### ### ### ##", "")),
    "IN_AADHAAR": Spec("uidai aadhar_no", ("####-####-####", "")),
    "IN_PAN": Spec("pan_card permanent_account_number", (lambda r: ids.COMPACT["IN_PAN"](r).lower(), "")),
    "IN_GSTIN": Spec("gst_no gst_reg", ("",)),
    "IN_VOTER": Spec("epic_no voter_card", ("",)),
    "SG_NRIC_FIN": Spec("fin_no sg_ic", (lambda r: ids.COMPACT["SG_NRIC_FIN"](r).lower(), "")),
    "KR_RRN": Spec("jumin_number kr_resident_no", ("",)),
    "TH_TNIN": Spec("thai_national_id citizen_no", ("# #### ##### ## #", "")),
    "CN_RESIDENT_ID": Spec("shenfenzheng id_no_cn", ("###### ######## ####", "")),
    "JP_MY_NUMBER": Spec("mynumber kojin_bango", ("####-####-####", "")),
    "HK_ID": Spec("hk_identity hkid_no", ("#### ###(#)", "")),
    "TW_ID": Spec("taiwan_id roc_id", (lambda r: ids.COMPACT["TW_ID"](r).lower(), "")),
    "IL_ID": Spec("mispar_zehut zehut", ("########-#", "")),
    "ZA_ID_NUMBER": Spec("rsa_id south_african_id", ("###### #### ###", "")),
    "NG_NIN": Spec("national_identification_number nimc_nin", ("",)),
    "PH_TIN": Spec("bir_tin taxpayer_id", ("", "###-###-###")),
    "BR_CPF": Spec("cpf_cliente num_cpf", ("### ### ### ##", "", "#########-##")),
    "BR_CNPJ": Spec("cnpj_empresa num_cnpj", ("## ### ### #### ##", "")),
    "MX_CURP": Spec("clave_curp curp_id", (lambda r: ids.COMPACT["MX_CURP"](r).lower(), "")),
    "MX_RFC": Spec("rfc_cliente registro_federal", ("####-######-###", "")),
    "CL_RUT": Spec(
        "run_chile rut_cliente",
        (
            lambda r: f"{int((t := ids.COMPACT['CL_RUT'](r))[:-1]):,}".replace(",", ".") + f"-{t[-1].lower()}",
            "",
        ),
    ),
    "AR_CUIT": Spec("cuil_empleado nro_cuit", ("## ######## #", "")),
    "CREDIT_CARD": Spec("carte_bancaire tarjeta cartao", ("####-####-####-####", "")),
    "IMEI": Spec("handset_id imei_no", ("##-######-######-#", "")),
    "VIN": Spec("chassis fahrgestellnummer", (lambda r: ids.COMPACT["VIN"](r).lower(), "")),
    "CRYPTO": Spec("bitcoin payout_address", ("",)),
}

NEGATIVES: Mapping[str, Spec] = {
    "order_number": Spec(
        "commande pedido bestelling",
        (
            lambda r: f"CMD{ids.digits(r, 9)}",
            lambda r: f"{ids.letters(r, 1)}{ids.digits(r, 8)}",
            _number(9),
            lambda r: f"{ids.digits(r, 3)} {ids.digits(r, 3)} {ids.digits(r, 4)}",
        ),
    ),
    "sku": Spec(
        "article_ref cod_articolo part_no",
        (
            lambda r: f"{ids.digits(r, 4)}.{ids.digits(r, 3)}.{ids.digits(r, 2)}",
            lambda r: f"{ids.letters(r, 5)}{ids.digits(r, 4)}{ids.letters(r, 1)}",
            lambda r: f"{ids.letters(r, 1)}{ids.digits(r, 7)}{ids.letters(r, 1)}",
        ),
    ),
    "ulid": Spec("ulid event_id", (_ulid, lambda r: f"{r.getrandbits(96):024x}")),
    "hash": Spec(
        "commit fingerprint digest",
        (
            lambda r: f"{r.getrandbits(160):040x}",
            lambda r: f"sha256:{r.getrandbits(256):064x}",
            lambda r: f"{r.getrandbits(48):012x}",
            lambda r: f"{r.getrandbits(64):016x}",
        ),
    ),
    "epoch": Spec(
        "horodatage ts_ms fecha_epoch",
        (
            _epoch(1_600_000_000, 160_000_000),
            _epoch(1_600_000_000_000, 160_000_000_000),
            _epoch(1_600_000_000_000_000, 160_000_000_000_000),
        ),
    ),
    "version": Spec(
        "firmware release build",
        (
            lambda r: f"v{r.randrange(20)}.{r.randrange(20)}",
            lambda r: f"{r.randrange(256)}.{r.randrange(9)}.{r.randrange(9)}.{r.randrange(99)}",
            lambda r: f"{r.randrange(2018, 2026)}.{r.randrange(1, 13)}-rc{r.randrange(9)}",
        ),
    ),
    "upc": Spec("upc code_barres", (_upc,)),
    "isbn": Spec("isbn_livre issn", (_dashed_isbn, _issn)),
    "file_name": Spec(
        "fichier bestand documento",
        (
            lambda r: f"{r.choice(TERMS)}-{ids.digits(r, 4)}.{r.choice(('jpg', 'xlsx', 'mp4', 'zip'))}",
            lambda r: f"IMG_{ids.digits(r, 8)}_{ids.digits(r, 6)}.jpg",
        ),
    ),
    "product": Spec(
        "produit prodotto artikel_naam",
        (
            lambda r: f"{r.choice(TERMS).title()} {r.choice(TERMS).title()}",
            lambda r: f"{r.choice(TERMS)} {r.randrange(5, 500)} ml",
            lambda r: f"{ids.letters(r, 2)}-{r.randrange(100, 999)} {r.choice(TERMS)}",
        ),
    ),
    "company": Spec(
        "societe fornitore bedrijf klant_bedrijf",
        (
            lambda r: f"{r.choice(TERMS).title()} & {r.choice(TERMS).title()} {r.choice(FORMS)}",
            lambda r: f"{r.choice(FAMILY)} {r.choice(('SpA', 'SAS', 'BV', 'A/S', 'Sp. z o.o.'))}",
        ),
    ),
    "city": Spec(
        "ville citta stad miasto",
        (
            _one(
                "Lyon|Marseille|Nantes|Torino|Napoli|Bologna|Porto|Braga|Utrecht|Breda|Gdańsk|Łódź|Oslo|Turku|Izmir|Pune"
            ),
        ),
    ),
    "region": Spec(
        "pays regione woiwodschaft",
        (
            _one("Bretagne|Normandie|Toscana|Lazio|Algarve|Zeeland|Mazowsze|Skåne"),
            _one("FRA|ITA|PRT|NLD|POL|SWE|TUR|IND"),
        ),
    ),
    "longitude": Spec("longitude breitengrad y_coord", (lambda r: f"{r.uniform(-180, 180):.7f}",), "DOUBLE"),
    "coordinates": Spec(
        "geo latlong",
        (
            lambda r: f"POINT({r.uniform(-180, 180):.4f} {r.uniform(-90, 90):.4f})",
            lambda r: (
                f"{r.randrange(90)}°{r.randrange(60)}'{r.randrange(60)}\"N {r.randrange(180)}°{r.randrange(60)}'E"
            ),
        ),
    ),
    "event_date": Spec(
        "date_commande data_ordine leverdatum",
        (
            _day("%d/%m/%Y", 2016, 2025),
            _day("%Y%m%d", 2016, 2025),
            _day("%Y-%m-%dT00:00:00Z", 2016, 2025),
        ),
    ),
    "date_typed": Spec("fecha_pedido date_fin", (_day("%Y-%m-%d", 2015, 2025),), "DATE"),
    "price": Spec(
        "prix importo bedrag",
        (lambda r: f"{r.uniform(1, 9999):.2f} €", lambda r: f"{r.randrange(1, 999)},{r.randrange(100):02}"),
    ),
    "quantity": Spec("quantite aantal qta", (lambda r: str(r.randrange(1, 9000)),), "INTEGER"),
    "serial_id": Spec("id_client numero lfd_nr", (_number(6), _number(8), _number(10)), "BIGINT"),
    "code9": Spec("lot_no partida meter_no", (_number(9, ids.DIGITS), _number(9, "12"), _number(8, ids.DIGITS))),
    "code11": Spec("dossier suivi zending", (_number(11, ids.DIGITS), _number(12, "12"), _number(14), _number(16))),
    "luhn_code": Spec(
        "fidelite loyalty_no bon",
        (
            lambda r: (b := "63" + ids.digits(r, 15)) + ids.luhn_digit(b),
            lambda r: (b := "7" + ids.digits(r, 9)) + ids.luhn_digit(b),
            lambda r: (b := "990" + ids.digits(r, 11)) + ids.luhn_digit(b),
        ),
    ),
    "tracking": Spec(
        "colis track_trace",
        (
            lambda r: f"JD{ids.digits(r, 18)}",
            lambda r: f"3S{ids.letters(r, 4)}{ids.digits(r, 9)}",
            lambda r: f"RR{ids.digits(r, 9)}FR",
        ),
    ),
    "invoice": Spec(
        "facture fattura factuur",
        (
            lambda r: f"F{r.randrange(16, 26)}-{ids.digits(r, 6)}",
            lambda r: f"{r.randrange(2016, 2026)}/{ids.digits(r, 4)}",
        ),
    ),
    "status": Spec("statut stato toestand", (_one("ouvert|fermé|en attente|expédié"), _one("aperto|chiuso|sospeso"))),
    "category": Spec("rayon reparto afdeling", (_one("Jardin|Cuisine|Jouets|Livres|Sport|Mode"),)),
    "weekday": Spec(
        "jour giorno maand", (_one("lundi|mardi|mercredi|jeudi|vendredi"), _one("gennaio|aprile|giugno|agosto"))
    ),
    "currency": Spec("devise valuta", (_one("EUR|PLN|SEK|NOK|TRY|INR|BRL"),)),
    "job": Spec(
        "poste functie mansione", (_one("Directeur|Infirmière|Comptable|Chauffeur|Boekhouder|Verpleegkundige"),)
    ),
    "url": Spec(
        "lien sito_web afbeelding",
        (
            lambda r: f"https://cdn.boutique.example/{ids.digits(r, 6)}/{r.choice(TERMS)}.webp",
            lambda r: f"www.{r.choice(TERMS)}.example",
        ),
    ),
    "path": Spec(
        "chemin percorso",
        (lambda r: f"s3://entrepot/{r.choice(TERMS)}/{r.randrange(2018, 2026)}/part-{ids.digits(r, 5)}.parquet",),
    ),
    "agent": Spec(
        "navigateur client_agent",
        (
            lambda r: (
                f"Mozilla/5.0 (iPhone; CPU iPhone OS {r.randrange(11, 18)}_{r.randrange(7)} "
                f"like Mac OS X) Mobile/15E{r.randrange(999)}"
            ),
        ),
    ),
    "comment": Spec("commentaire opmerking note_interne", (_phrase,)),
    "log": Spec(
        "journal foutmelding",
        (lambda r: f"[{r.randrange(24):02}:{r.randrange(60):02}] {r.choice(TERMS)}={r.randrange(999)} {_phrase(r)}",),
    ),
    "json": Spec(
        "charge_utile extra",
        (lambda r: f'[{r.randrange(99)}, "{r.choice(TERMS)}", {{"n": {ids.digits(r, 7, "123")}}}]',),
    ),
    "percent": Spec("taux sconto", (lambda r: f"{r.uniform(0, 100):.1f} %",)),
    "flag": Spec("actif attivo", (_one("oui|non"), _one("ja|nee"), _one("V|F"))),
    "lei": Spec("lei entity_code", (lambda r: "".join(r.choices(ids.LETTERS + ids.DIGITS, k=18)) + ids.digits(r, 2),)),
    "bic": Spec(
        "code_bic swift_code",
        (lambda r: f"{ids.letters(r, 4)}{r.choice(('FR', 'IT', 'NL'))}{ids.letters(r, 1)}{ids.digits(r, 1)}",),
    ),
    "flight": Spec("vol vlucht", (lambda r: f"{r.choice(('AF', 'KL', 'TP', 'AZ', 'LO'))}{r.randrange(10, 9999)}",)),
    "container": Spec("conteneur container_no", (_container,)),
    "gene": Spec("sequence motif", (lambda r: ids.letters(r, 24, "ACGT"),)),
    "sensor": Spec("capteur temperatura", (lambda r: f"{r.gauss(20, 5):.3f}",), "DOUBLE"),
    "size": Spec(
        "taille misura dimension",
        (lambda r: f"{r.randrange(10, 200)}x{r.randrange(10, 200)}x{r.randrange(10, 90)} cm", _one("XS|S|M|L|XL")),
    ),
    "song": Spec(
        "titre brano film",
        (lambda r: f"{r.choice(('La', 'Le', 'Il', 'Une'))} {r.choice(TERMS)} {r.choice(COLOURS)}",),
    ),
    "duration": Spec(
        "duree tijdstip",
        (
            lambda r: f"{r.randrange(24):02}h{r.randrange(60):02}",
            lambda r: f"PT{r.randrange(1, 60)}M{r.randrange(60)}S",
        ),
    ),
}


def columns() -> list[Column]:
    """All columns of this part."""
    return build("heldout", POSITIVES, NEGATIVES, 10)
