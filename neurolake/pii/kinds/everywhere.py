"""Kinds that belong to no country."""

from __future__ import annotations

from neurolake.pii import checks
from neurolake.pii.kinds.kind import Kind, Tier

__all__ = ["KINDS"]

_MONTH = "(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*"
_DAY = (
    r"(?:(?:19|20)\d\d[-/.]?(?:0[1-9]|1[0-2])[-/.]?(?:0[1-9]|[12]\d|3[01])(?:[t ]00:00(?::00)?)?"
    r"|(?:0?[1-9]|[12]\d|3[01])[-/. ](?:0?[1-9]|[12]\d|3[01])[-/. ](?:19|20)?\d\d"
    rf"|(?:0?[1-9]|[12]\d|3[01])[- ]{_MONTH}[-, ]+(?:19|20)\d\d|{_MONTH} (?:0?[1-9]|[12]\d|3[01]),? (?:19|20)\d\d)"
)
_OCTET = r"(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)"
_IP6 = r"(?:[0-9a-f]{1,4}:){7}[0-9a-f]{1,4}|(?:[0-9a-f]{1,4}:){1,6}(?::[0-9a-f]{1,4}){1,6}|(?:[0-9a-f]{1,4}:){1,7}:"
_STREET_FIRST = (  # Calle Mayor 3, ul. Polna 5/7
    r"(?:via|viale|piazza|corso|largo|vicolo|rua|avenida|av\.?|travessa|praca|praça|calle|c/|plaza|paseo|carrera|rue|"
    r"avenue|boulevard|bd|place|chemin|allee|allée|impasse|quai|ul\.?|ulica|al\.?|aleja|os\.?|plac|ulice|str\.?|strada|"
    r"jalan|jl\.?|ulitsa|carrer|rambla|estrada)"
)
_STREET_LAST = (  # 12 Main Street, Hauptstraße 5
    r"(?:street|st|avenue|ave|road|rd|boulevard|blvd|lane|ln|drive|dr|court|ct|place|pl|way|terrace|ter|circle|cir|"
    r"parkway|pkwy|highway|hwy|square|sq|close|crescent|gardens|grove|mews|row|walk)"
)
_STREET_JOINED = (
    r"(?:straße|strasse|str\.|weg|allee|gasse|platz|ring|damm|ufer|straat|laan|plein|gracht|kade|dijk|gade|vej|allé|"
    r"gatan|vägen|gata|veien|veg|gate|katu|tie|utca|út|sokak|caddesi|utja)"
)
_STREET_CYRILLIC = (  # г. Москва, ул. Ленина, д. 5
    r"(?:\d{5,6}, ?)?(?:(?:г|город|м)\.? ?)?(?:[\pL-]+, ?)?"
    r"(?:ул|улица|вул|вулиця|пр|пр-т|просп|проспект|пер|переулок|бул|бульвар|шоссе|наб|пл)[. ] ?[\pL0-9].*\d.*"
)
_STREET_HAN = (  # 北京市朝阳区建国路88号, 東京都渋谷区道玄坂2-10-7
    r"(?:〒?\d{3}-?\d{4} ?)?[\p{Han}]{1,10}[省市区區县縣郡都府県州町].{0,24}?"
    r"(?:[路街道弄巷段][\p{Han}]{0,6} ?\d+|\d+[号號番]|\d+丁目|\d+[-－]\d+).*"
)
_STREET_HANGUL = (  # 서울특별시 강남구 테헤란로 123
    r"(?:\p{Hangul}+[시도] )?(?:\p{Hangul}+[시군구] )?(?:\p{Hangul}+[읍면동] )?\p{Hangul}+\d*[로길동] ?\d+.*"
)
_ADDRESS = (
    rf"(?:\d{{1,5}}[a-z]?(?: ?bis| ?ter)?,? (?:[\pL0-9.'’-]+ ){{1,4}}{_STREET_LAST}\b.*"
    rf"|\d{{1,4}}[a-z]?(?: ?bis| ?ter)?,? {_STREET_FIRST} [\pL].*"
    rf"|{_STREET_FIRST} ?[\pL].* ?,? ?(?:n[o°.]* ?)?\d{{1,4}}.*"
    rf"|(?:[\pL.'’-]+[ -]){{0,3}}[\pL.-]*{_STREET_JOINED},? \d{{1,4}} ?[a-z]?\b.*"
    rf"|{_STREET_CYRILLIC}|{_STREET_HAN}|{_STREET_HANGUL})"
)

KINDS = (
    Kind(
        "EMAIL_ADDRESS", Tier.STRUCTURAL,
        r"(?:mailto:)?[\pL0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@(?:[\pL0-9](?:[\pL0-9-]{0,61}[\pL0-9])?\.)+[\pL]{2,24}",
        "email|e mail|mail|mailaddress|courriel|correo|correo electronico|epost|e post|sahkoposti|eposta|emailadres|"
        "posta elettronica|adres email",
    ),
    Kind(
        "PHONE_NUMBER", Tier.STRUCTURAL,
        r"(?:(?:tel|phone|mob|ph)?[.:]? ?)?(?:\+ ?\d{1,3}[ ./-]?(?:\(\d{1,5}\)[ ./-]?)?\d[\d ./-]{4,14}\d|"
        r"\(0?\d{2,5}\)[ ./-]?\d[\d ./-]{4,12}\d|0\d(?:[ .]\d\d){4}|0\d{1,4}[ /-]\d[\d ./-]{4,10}\d|"
        r"[2-9]\d{2}[-.][2-9]\d{2}[-.]\d{4})(?: ?(?:x|ext\.?) ?\d{1,5})?",
        "phone|telephone|tel|telefon|telefono|telefone|telefoon|telefoonnummer|mobile|mobil|mobiel|cell|cellphone|"
        "celular|movil|gsm|handy|handynummer|fax|portable|puhelin|telefonnummer|rufnummer|msisdn|whatsapp|telefon no|"
        "contact no|contact number|cep telefonu|matkapuhelin|numero di telefono|telemovel|nr telefonu|komorka",
        bare=r"\+?\d[\d ()./-]{5,17}\d",
    ),
    Kind(
        "CREDIT_CARD", Tier.CHECKED,
        r"(?:4\d{3}|5[1-5]\d{2}|2[2-7]\d{2}|6(?:011|4[4-9]\d|5\d{2})|35\d{2}|62\d{2})[ -]?\d{4}[ -]?\d{4}[ -]?\d{4}|"
        r"3[47]\d{2}[ -]?\d{6}[ -]?\d{5}|3(?:0[0-5]|[68]\d)\d[ -]?\d{6}[ -]?\d{4}",
        "credit card|creditcard|card number|cardnumber|card no|cc|ccnum|cc number|pan number|debit card|payment card|"
        "kreditkarte|kreditkartennummer|carte bancaire|carte de credit|carte credit|numero carte|tarjeta|"
        "numero tarjeta|carta di credito|cartao|cartao de credito|karta platnicza|creditcardnummer|kredi karti|"
        "luottokortti|kortnummer",
        checks.luhn,
    ),
    Kind(
        "IBAN_CODE", Tier.CHECKED, r"[a-z]{2}\d{2}(?:[ -]?[a-z0-9]{4}){2,7}[ -]?[a-z0-9]{0,4}",
        "iban|bank account|account iban|konto|kontonummer|bankverbindung|compte|compte bancaire|cuenta|"
         "cuenta bancaria|"
        "conto|conto corrente|conta|rekening|rekeningnummer|rachunek|numer konta|bankkonto|tilinumero|hesap no",
        checks.iban,
    ),
    Kind(
        "IP_ADDRESS", Tier.STRUCTURAL, rf"(?:{_OCTET}\.){{3}}{_OCTET}(?:/\d{{1,2}})?|{_IP6}",
        "ip|ip address|ipaddress|ipaddr|client ip|remote addr|remote address|src ip|dst ip|source ip|ipv4|ipv6|"
         "host ip|"
        "adresse ip|direccion ip|indirizzo ip|ip adresse|ip adres|x forwarded for|host addr",
    ),
    Kind(
        "MAC_ADDRESS", Tier.STRUCTURAL, r"(?:[0-9a-f]{2}[:-]){5}[0-9a-f]{2}|(?:[0-9a-f]{4}\.){2}[0-9a-f]{4}",
        "mac|mac address|macaddress|device mac|wifi mac|hwaddr|hardware address|bssid|ethernet address|mac adresse",
        bare=r"[0-9a-f]{12}",
    ),
    Kind(
        "CRYPTO", Tier.CHECKED, r"[13][a-km-zA-HJ-NP-Z1-9]{25,34}|bc1[a-z0-9]{11,71}",
        "wallet|btc|bitcoin|btc address|wallet address|crypto address|crypto wallet|payout address",
        checks.bitcoin, raw=True,
    ),
    Kind(
        "ETHEREUM_ADDRESS", Tier.STRUCTURAL, r"0x[0-9a-f]{40}", "eth address|ethereum|wallet|wallet address",
    ),
    Kind(
        "IMEI", Tier.CHECKED, r"(?:01|35|86)(?:\d{13}|[ -]?\d{6}[ -]\d{6}[ -]\d)",
        "imei|device imei|imei number|imei no|handset|handset id|device id|geraetenummer", checks.luhn,
    ),
    Kind(
        "VIN", Tier.CHECKED, r"[a-hj-npr-z0-9]{8}[0-9x][a-hj-npr-z0-9]{4}\d{4}",
        "vin|vehicle identification number|vehicle id|vehicle number|chassis|chassis number|fahrgestellnummer|fin|"
        "numero de chassis|telaio|numero telaio|bastidor|fahrzeugidentifizierungsnummer|chassisnummer", checks.vin,
        bare=r"[a-hj-npr-z0-9]{17}",
    ),
    Kind(
        "STREET_ADDRESS", Tier.STRUCTURAL, _ADDRESS,
        "address|street|street address|address line|address line 1|addr|home address|shipping address|billing address|"
        "mailing address|adresse|anschrift|strasse|strase|straat|adres|rue|direccion|calle|domicilio|indirizzo|via|"
        "residenza|endereco|morada|rua|logradouro|ulica|osoite|katuosoite|gatuadress|gate|vej|adress|gade|sokak|"
        "wohnort adresse|lieferadresse|rechnungsadresse|straatnaam|domicile",
        bare=r"[\pL0-9 .,'’/#°-]*\pL[\pL0-9 .,'’/#°-]*", types=(),
    ),
    Kind(
        "DATE_OF_BIRTH", Tier.NAMED, _DAY,
        "dob|birth date|birthdate|date of birth|birthday|born|born on|day of birth|birth day|birth dt|birth year|"
        "geburtsdatum|geburtstag|geb datum|geboren|gebdat|date naissance|date de naissance|naissance|ne le|"
        "fecha nacimiento|fecha de nacimiento|nacimiento|data nascita|data di nascita|nascita|data nascimento|"
        "data de nascimento|nascimento|geboortedatum|data urodzenia|urodzenia|fodselsdato|fodelsedatum|syntymaaika|"
        "dogum tarihi|fodselsdag|datum narozeni|data nasterii",
        types=("DATE", "TIMESTAMP", "INTEGER", "BIGINT"),
    ),
    Kind(
        "SECRET_KEY", Tier.STRUCTURAL,
        r"(?:akia|asia)[0-9a-z]{16}|gh[pousr]_[0-9a-z]{30,255}|github_pat_[0-9a-z_]{22,255}|"
        r"[sr]k_(?:live|test)_[0-9a-z]{16,}|xox[abprs]-[0-9a-z-]{10,}|aiza[0-9a-z_-]{30,}|glpat-[0-9a-z_-]{18,}|"
        r"eyj[0-9a-z_-]{8,}\.eyj[0-9a-z_-]{8,}\.[0-9a-z_-]{8,}|sg\.[0-9a-z_-]{20,}\.[0-9a-z_-]{20,}|"
        r"npm_[0-9a-z]{30,}|pypi-[0-9a-z_-]{16,}|hf_[0-9a-z]{30,}|sk-[0-9a-z_-]{20,}|ya29\.[0-9a-z_-]{20,}",
        "api key|apikey|secret|secret key|client secret|access token|auth token|access key|private key|aws key|jwt|"
        "bearer|refresh token|session token|api token|bearer token|jeton|token secret|credentials|slack token",
        bare=r"[^ ]{12,}", types=(),
    ),
    Kind(
        "PASSWORD", Tier.NAME, r"\S{4,100}",
        "password|passwd|pwd|passphrase|passcode|pin code|user password|password hash|passwort|kennwort|"
        "mot de passe|motdepasse|mdp|contrasena|clave acceso|senha|palavra passe|wachtwoord|haslo|losenord|passord|"
        "adgangskode|salasana|sifre|parola|heslo", types=(),
    ),
    Kind(
        "CVV", Tier.NAME, r"\d{3,4}",
        "cvv|cvc|cvv2|cvc2|cvn|csc|card verification|card security code|security code|verification value|"
        "kartenpruefnummer|pruefziffer karte|cryptogramme|codigo de seguridad|codice sicurezza",
        types=("INTEGER", "BIGINT", "SMALLINT"),
    ),
    Kind(
        "MAIDEN_NAME", Tier.NAME, r"[\pL .'’-]{2,60}",
        "maiden name|maiden|mothers maiden name|birth name|geburtsname|nom de jeune fille|nome da solteira|"
        "cognome da nubile|apellido de soltera", types=(),
    ),
    Kind(
        "GENDER", Tier.NAME, r"[\pL -]{1,20}", "gender|sex|geschlecht|genre|sexe|sexo|genero|sesso|geslacht|plec|kon",
        types=(),
    ),
    Kind(
        "NATIONAL_ID", Tier.NAME, r"[\pL0-9 ./-]{4,30}",
        "national id|national identifier|nationalid|government id|citizen number|identity number|identity card number|"
        "personal id|id document|identity document|ausweisnr|numero identite|personal code|identification number",
    ),
    Kind(
        "USERNAME", Tier.NAME, r"[\pL0-9_.@-]{2,60}",
        "username|user name|login|login name|screen name|nickname|benutzername|nom utilisateur|nombre usuario|"
        "gebruikersnaam|nome utente|twitter handle", types=(),
    ),
)  # fmt: skip
