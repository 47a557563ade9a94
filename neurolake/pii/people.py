"""Names of people: common given and family names of many languages, and what a cell with a name looks like.

A name is no pattern, so a list is the only native evidence there is. It decides about a column, never about a cell:
half of a column's cells must hold a name of the list. Rare names need the column's name.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence

from neurolake.pii import scripts
from neurolake.pii.kinds import titles

__all__ = [
    "COLUMN_NAMES",
    "COLUMN_NAMES_WEAK",
    "share_of_companies",
    "share_of_known",
    "share_of_shape",
    "spans",
]

COLUMN_NAMES = (
    "full name|fullname|first name|firstname|last name|lastname|surname|given name|family name|middle name|forename|"
    "customer name|contact name|contact person|patient name|patient|employee name|person name|employee|owner name|"
    "account holder|cardholder|cardholder name|holder name|author name|nombre completo|apellido|apellidos|nombre|"
    "vorname|nachname|familienname|prenom|nom de famille|nom complet|nom|cognome|nome completo|sobrenome|apelido|"
    "voornaam|achternaam|volledige naam|imie|nazwisko|imie i nazwisko|fornamn|efternamn|fornavn|etternavn|efternavn|"
    "etunimi|sukunimi|ad soyad|soyad|passenger|passenger name|guest name|student name|teacher|doctor name|recipient|"
    "beneficiary name|spouse name|emergency contact|manager name|cliente nome|nombre cliente|nom client|contact|"
    f"ansprechpartner|jmeno|prijmeni|keresztnev|vezeteknev|kundenname|naam|{titles.PHRASES['PERSON']}"
)
COLUMN_NAMES_WEAK = (
    "name|nome|customer|client|cliente|kunde|klant|user|person|personne|member|author|guest|driver|" + titles.WEAK
)

_GIVEN = """
aaron abdul abigail adam adele adrian agnes agnieszka ahmed aisha alan albert alejandro alessandro alex alexander
alexandra alfonso ali alice alicia alina amanda amara amelie amir amit amy ana anand andre andrea andreas andrei
andrew andrzej angel angela anil anita anja ann anna anne annette anthony antoine anton antonio arjun arthur arturo
ashley astrid aya ayse barbara bart beata beatrice beatriz ben benjamin bernard bernd bianca birgit bjorn bob bogdan
boris bram brandon brian brigitte bruno camille carl carla carlos carmen carol caroline catherine cecilia celine
charles charlotte chiara chidi chloe chris christian christina christine christopher cindy claire clara claudia colin
concepcion craig cristina cynthia daan daniel daniela danielle dariusz dave david dawid deborah deepak denis dennis
derek diana diego dieter dimitri dmitri dolores dominic dominik donald donna dorota dorothy douglas edith eduardo
edward eileen elena eleni elif elisa elisabeth elizabeth ella ellen elodie emil emily emma emre enrico enrique eric
erik erika ernst esther ethan eugene eva evelyn ewa fabian fabio fatima fatou federico felix fernando filip filippo
florian frances francesca francesco francisco francois frank franz fred frederic freja gabriel gabriela gary georg
george georgia gerald gerard gerhard gianluca giorgio giovanni gisele giulia giuseppe gloria grace graham greg gregory
greta grzegorz guido guillaume gunther gustav hannah hannes hans harald harold harry haruto hassan heather heidi heike
heinz helen helena helga helmut henri henrik henry herbert hiroshi holger hugo hyun ian ibrahim ida ignacio igor ines
inge ingrid irena irene isaac isabel isabella isabelle ivan jacek jack jacob jacqueline jacques jakub james jamie jan
jana jane janet janine janusz jasmin jason javier jean jeff jeffrey jennifer jens jeremy jerzy jesper jesse jessica
jesus ji jim jin joan joanna joao joaquin joe joel johan johann johanna johannes john jonas jonathan jordan jorge jose
josef joseph joshua joyce juan juana judith julia julian julie julien juliette jun jurgen justin jutta kai karen karin
karl karolina kasia katarina katarzyna kate katharina katherine kathleen kathryn katja kazuko keith kelly kenji
kenneth kenta kevin kim klara klaus kofi krystyna krzysztof kumar kwame kyle larry lars laura lauren laurent lea leila
lena leo leon leonardo leonie lerato liam linda ling linh lisa lorenzo lotte louis louise luca lucas lucia lucie luis
luisa lukas luke lydia maciej magdalena maja malgorzata manfred manuel manuela marc marcel marcin marco marcus
margaret maria mariam mariana marie marina mario marion mark marko markus marta martha martin martina mary maryam
mateo mateusz mathieu matteo matthew matthias max maximilian megan mehmet mei melanie melissa mercedes michael michal
michel michele michelle miguel mihai mikael mike milan min miriam mohamed mohammad mohammed monica monika monique
muhammad mustafa nadia nancy natalia natalie nathalie nathan neha ngozi nguyen nicholas nick nicola nicolas nicole
nikolai nina noah nora norbert nuria olaf olga oliver olivia olivier oluwaseun omar oscar oskar pablo pamela paola
paolo pascal patricia patrick patrizia paul paula paulina paulo pawel pedro penelope peter petra philip philipp pia
pierre pilar piotr priya rachel rafael rahul rainer raj rajesh ralf ramon raquel raul ravi rebecca regina reinhard
renata rene ricardo riccardo richard rita robert roberto robin rodrigo roger roland rolf roman ronald rosa rosario
rose roxana ruben rudolf russell ruth ryan sabine sabrina sakura salma salvatore sam samantha samuel sandra sandro
sanjay sanne sara sarah sean sebastian seo serge sergei sergio sharon sheila shreya silvia simon simone sipho sofia
sofie sonia sonja sophia sophie stefan stefania stefano steffen stephan stephanie stephen steve steven sung sunil
suresh susan susana susanne sven svetlana sylvia sylvie sylwia takashi tamara tania tanja tara tatiana teresa thabo
thanh theo theresa thierry thomas tiago tim timothy tobias tom tomas tomasz tony tove tyler ulrich ulrike ursula uwe
valentina valerie vanessa vera veronica veronika victor victoria vijay vikram viktor vincent vincenzo virginia
vladimir volker walter wanda wei wendy werner wilhelm willem william wojciech wolfgang xavier yan yasmin yolanda yong
yuki yusuf yuto yves zbigniew zeynep zoe zofia
"""
_FAMILY = """
abdullah adams aguilar ahmed alexander ali allen almeida alonso alvarez andersen anderson andersson araujo arnold
bailey baker bakker barbosa barnes bauer baumann becker bell bennett berg bernard bertrand bianchi blanc bonnet boyer
brandt braun brooks brown bruno bryant burns butler campbell cano carter carvalho castillo castro chan chang chavez
chen choi christensen clark clarke collins colombo conti cook cooper costa cox cruz davies davis dekker delgado deluca
demir diaz dietrich dubois dupont duran durand edwards eriksson espinoza esposito evans faure fernandes fernandez
ferrari ferreira fischer fisher flores fontana foster fournier fox franke friedrich fuchs fujita gallo garcia garnier
gauthier gautier george gibson gil girard gomes gomez gonzales gonzalez gordon graf graham gray greco green griffin
gruber guerin gupta gustafsson gutierrez haas hahn hall hamilton hansen hansson harris harrison hartmann hayes
henderson henry hernandez herrera hill hoffman hoffmann hofmann holm horn howard huang huber hughes hunter hussein
ibrahim ito ivanov jackson james jansen janssen jansson jenkins jensen jimenez johansen johansson johnson jones
jorgensen joshi jung kaiser kaminski karlsson kaya keller kelly kennedy khan kim king klein koch kohler korhonen
kowalczyk kowalska kowalski kramer krause kruger kumar lambert lang lange larsen larson larsson laurent lee lefebvre
lefevre legrand lehmann leroy lewandowski lewis li lin liu lombardi long lopes lopez lorenz ludwig maier marino
marques marshall martin martinez martins mason matsumoto maurer mayer mccarthy mehta meier mendes mendoza mercier
meyer michel miller mitchell molina moller moore morales moreau morel moreno moretti morgan morris morrison mulder
muller murphy murray nair nakamura navarro nelson neumann nguyen nielsen nieminen nilsen nilsson novak nowak oconnor
oliveira olsen olson olsson ortega ortiz ozturk pappas park parker patel patterson pedersen pereira perez perrin
persson peters petersen peterson petit petrov pfeiffer phillips popescu popov powell price ramirez ramos reddy reed
reyes reynolds ribeiro ricci richard richardson richter rivera rizzo robert roberts robin robinson rocha rodrigues
rodriguez rogers rojas romano romero ross rossi rousseau roux ruiz russell russo ryan sahin sakamoto salazar sanchez
sanders santoro santos sato sauer schafer scherer schmid schmidt schmitt schmitz schneider scholz schreiber schroder
schubert schulte schulz schulze schumacher schwarz scott seidel sharma shaw silva simmons simon simpson singh smirnov
smit smith snyder sokolov soto sousa souza stein stevens stewart sullivan suzuki svensson szabo takahashi tanaka
taylor teixeira thomas thompson torres tran turner ueda vargas vasquez vega virtanen visser vogel vogt wagner walker
wallace walter wang ward watanabe watson weber weiss wells werner west white wilson winkler winter wisniewska
wisniewski wojcik wolf wolff wong wright wu yamamoto yang yildiz yilmaz young zhang zhao ziegler zielinska zielinski
zimmermann
"""
_GIVEN_NAMES = frozenset(_GIVEN.split())
_KNOWN = _GIVEN_NAMES | frozenset(_FAMILY.split())
_COMPANY = re.compile(
    r"\b(?:inc|llc|ltd|limited|gmbh|ag|corp|corporation|co|company|holdings?|group|partners|bank|university|sarl|sas|sa|"
    r"spa|srl|bv|nv|lda|ltda|oy|oyj|ab|as|aps|plc|kg|ohg|sp\.? z\.? ?o\.? ?o|a/s|s\.?p\.?a|kft|doo|pte|pty|services|"
    r"solutions|systems|technologies|industries|international|foundation|institute|hospital|school)\b\.?$",
    re.IGNORECASE,
)
_WORD = r"[^\W\d_][^\W\d_'’.-]*(?:['’-][^\W\d_]+)*\.?"
_SHAPE = re.compile(
    rf"(?:(?:mr|mrs|ms|dr|prof|herr|frau|sr|sra|mme|mlle|ing|sig)\.? )?{_WORD}(?:,? {_WORD}){{0,4}}", re.IGNORECASE
)
_TITLES = frozenset("mr mrs ms miss dr prof herr frau mme mlle monsieur madame sig signor signora senor senora".split())
_TOKEN = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)*")
_BETWEEN = re.compile(r"[ -]")
NAME_WORDS_MAX = 4
_FOLD = str.maketrans("łøđı", "lodi")


def folded(text: str) -> str:
    """Fold to lower case without accents.

    >>> folded("Wiśniewska"), folded("Łukasz")
    ('wisniewska', 'lukasz')
    """
    plain = unicodedata.normalize("NFKD", text.lower().translate(_FOLD))
    return "".join(char for char in plain if not unicodedata.combining(char))


def share_of_known(values: Sequence[str], *, by_family: bool = True) -> float:
    """The share of cells in which a word is a name of the lists.

    Args:
        values: the cells.
        by_family: count Chinese and Korean names by their first character, which many other words share.

    >>> share_of_known(["Anna Nowak", "Oak desk"])
    0.5
    """
    found = sum(
        any(word in _KNOWN for word in re.split(r"[^a-z]+", folded(value)))
        or (scripts.is_other(value) and scripts.known(value))
        for value in values
    )
    family = scripts.share_by_family_name(values) if by_family else 0.0
    # A share that does not suffice alone still supports a column's name.
    return max(found / max(1, len(values)), family if family >= scripts.BY_FAMILY_MIN else family / 2)


def share_of_shape(values: Sequence[str]) -> float:
    """The share of cells that look like a name: one to five words of letters, the first with a capital if it can.

    >>> share_of_shape(["Anna Nowak", "NOWAK, Anna", "Dr. B. Li", "see notes", "A-17", "अमित शर्मा", "李小龙", "стул"])
    0.625
    """
    plain = (_unmarked(value) for value in values if len(value) <= 60)
    found = sum(
        bool(_SHAPE.fullmatch(value)) and not any(word[0].islower() for word in re.findall(r"[^\W\d_]{3,}", value)[:1])
        for value in plain
    )
    return found / max(1, len(values))


def _unmarked(value: str) -> str:
    """Without the signs of scripts whose vowels are marks, which count as no letters."""
    if not scripts.is_other(value):
        return value
    return "".join(char for char in value if not unicodedata.category(char).startswith("M"))


def share_of_companies(values: Sequence[str]) -> float:
    """The share of cells that end as names of companies do."""
    return sum(bool(_COMPANY.search(value)) for value in values) / max(1, len(values))


def spans(text: str) -> Iterator[tuple[int, int]]:
    """Where names of people stand in a text, by the lists: a given name, or what follows a title, and the words after.

    A family name alone is a word like any other, and so is a given name in small letters with no known name beside it.

    >>> text = "Call Anna Nowak-Lis or Mr Xu about the white oak desk of anna schmidt."
    >>> [text[start:end] for start, end in spans(text)]
    ['Anna Nowak-Lis', 'Xu', 'anna schmidt']
    """
    words = list(_TOKEN.finditer(text))
    place = 0
    while place < len(words):
        start = place + (folded(words[place][0]) in _TITLES)
        after_title = start > place and start < len(words) and words[start][0][:1].isupper()
        if after_title or (start == place and _begins_a_name(text, words, place)):
            last = _last_of_name(text, words, start)
            yield words[start].start(), words[last].end()
            place = last
        place += 1


def _begins_a_name(text: str, words: Sequence[re.Match[str]], place: int) -> bool:
    word = words[place][0]
    if folded(word) not in _GIVEN_NAMES:
        return False
    return word[:1].isupper() or (_adjoins(text, words, place) and folded(words[place + 1][0]) in _KNOWN)


def _last_of_name(text: str, words: Sequence[re.Match[str]], first: int) -> int:
    last = first
    while last - first + 1 < NAME_WORDS_MAX and _adjoins(text, words, last):
        word = words[last + 1][0]
        if not word[:1].isupper() and folded(word) not in _KNOWN:
            break
        last += 1
    return last


def _adjoins(text: str, words: Sequence[re.Match[str]], place: int) -> bool:
    """Whether another word stands right behind one."""
    if place + 1 >= len(words):
        return False
    return _BETWEEN.fullmatch(text, words[place].end(), words[place + 1].start()) is not None
