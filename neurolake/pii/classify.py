"""From evidence to a verdict on a leaf: shape, check digits against a control, the column's name, Presidio."""

from __future__ import annotations

import datetime
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from neurolake._duckdb import Cursor
from neurolake.governance.facts import WITHIN
from neurolake.pii import people, presidio, shapes
from neurolake.pii.kinds import KINDS, Kind, Tier
from neurolake.pii.names import Title, read
from neurolake.pii.samples import Leaf

__all__ = ["DETECTOR", "Verdict", "classify", "placed"]

DETECTOR = "neurolake-pii/3"
"""The version that findings carry: it changes when verdicts may."""

VALID_MIN, VALID_NAMED_MIN = Tier.CHECKED.value, 0.5
LIFT_MIN = 0.4
"""How far true check digits must stand above the shuffled control."""
SHAPE_NAMED_MIN = 0.6
"""The share of cells of a weak shape, where the name speaks for it."""
FIRST_CELLS, FIRST_VALID_MIN = 60, 0.3
"""Where hardly any of the first cells have true check digits, the others are not asked."""
CONTROL_CELLS_MIN = 8
"""Fewer distinct cells make no control: the name must speak too, or chance be out of the question."""
CHANCE_MAX = 1e-4
"""Where there is no control: how likely so few cells may all have true check digits by chance."""
SURE = frozenset(("EMAIL_ADDRESS", "IBAN_CODE", "CREDIT_CARD", "SECRET_KEY", "MAC_ADDRESS", "CRYPTO"))
"""Kinds that a name for a thing does not talk away."""
PERSON_SHAPE_MIN, PERSON_KNOWN_MIN, PERSON_KNOWN_ALONE_MIN = 0.6, 0.2, 0.45
COMPANIES_MAX = 0.2
NONE = (0.0, 0.0)


LOOKALIKES: Mapping[str, tuple[re.Pattern[str], float]] = {
    "UK_NHS": (re.compile(r"\d{9}[xX]"), 0.02),  # ISBN-10 has the same check digits, and X among them
    "PHONE_NUMBER": (re.compile(r"\d\d?[-/. ]\d\d?[-/. ](?:19|20)\d\d|(?:19|20)\d\d[-/. ]\d\d[-/. ]\d\d"), 0.3),
}
"""Cells that something else has, and the share of them that speaks against a kind."""


_DAY = re.compile(
    r"(?:((?:19|20)\d\d)([-/.]?)(?:0[1-9]|1[0-2])\2(?:0[1-9]|[12]\d|3[01])"
    r"|\d\d?[-/. ](?:\d\d?|[A-Za-z]{3,9})[-/., ]{1,2}((?:19|20)\d\d))(?:[ T]00:00:00)?"
)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What one leaf holds. `said` is how much the column's name speaks for it."""

    leaf: Leaf
    entity: str
    confidence: float
    evidence: str
    share: float
    said: int = 0

    @property
    def rank(self) -> tuple[float, int]:
        """What decides between two verdicts on one leaf."""
        return self.confidence + (0.2 if self.said else 0.0), self.said


def classify(
    cursor: Cursor,
    leaves: Sequence[Leaf],
    custom: Mapping[str, Kind] | None = None,
    check: Callable[[], None] = lambda: None,
) -> list[Verdict]:
    """The verdicts on all leaves of a sample: at most one for each.

    Args:
        cursor: for the native counts.
        leaves: of one table.
        custom: kinds of the lake's own, beside the known ones.
        check: is called before each leaf, and raises where somebody has stopped the scan.
    """
    kinds = {**KINDS, **(custom or {})}
    titles = [read(leaf.path) for leaf in leaves]
    said = {
        (place, kind.entity): strength
        for place, title in enumerate(titles)
        for kind in kinds.values()
        if (strength := title.supports(kind))
    }
    counted = shapes.count(
        cursor,
        leaves,
        kinds.values(),
        [(place, kinds[entity]) for place, entity in said if _fits(leaves[place], kinds[entity])],
    )
    verdicts = []
    for place, (leaf, title) in enumerate(zip(leaves, titles, strict=True)):
        check()
        candidates = [
            found
            for entity, kind in kinds.items()
            if ((place, entity) in counted or (place, entity) in said)
            and (found := _judge(kind, leaf, title, counted.get((place, entity), NONE), said.get((place, entity), 0)))
        ]
        candidates += _person(leaf, title) + _birth(leaf, title)
        if candidates:
            verdicts.append(_confirmed(max(candidates, key=lambda found: found.rank)))
        elif (other := _of_presidio(leaf, title)) is not None:
            verdicts.append(other)
    return verdicts


def _fits(leaf: Leaf, kind: Kind) -> bool:
    if leaf.type == "day":
        return "DATE" in kind.types
    return leaf.type == "text" or (leaf.type == "number" and "BIGINT" in kind.types)


def _looks_like_another(kind: Kind, leaf: Leaf) -> bool:
    pattern, most = LOOKALIKES.get(kind.entity, (None, 0.0))
    return pattern is not None and sum(map(bool, map(pattern.fullmatch, leaf.values))) >= most * len(leaf.values)


def _judge(kind: Kind, leaf: Leaf, title: Title, share: tuple[float, float], said: int) -> Verdict | None:
    if not leaf.values or not _fits(leaf, kind) or _looks_like_another(kind, leaf):
        return None
    against = title.speaks_against() and not said
    if kind.tier is Tier.CHECKED:
        return _checked(kind, leaf, share[1], said, against) if said or not kind.named else None
    if against and kind.entity not in SURE:
        return None
    strict, loose = share
    if kind.tier in (Tier.NAMED, Tier.NAME):
        least = SHAPE_NAMED_MIN if kind.tier is Tier.NAMED else 0.5
        if said and loose >= least:
            base = 0.72 if kind.tier is Tier.NAMED else 0.78
            return Verdict(leaf, kind.entity, base + 0.1 * loose, f"name, shape {loose:.2f}", loose, said)
        return None
    if strict >= kind.tier.value or (said and strict >= 0.4):
        confidence = (0.66 if kind.tier is Tier.STRUCTURAL else 0.6) + 0.28 * strict + (0.05 if said else 0)
        return Verdict(leaf, kind.entity, confidence, f"shape {strict:.2f}{', name' if said else ''}", strict, said)
    if said and loose >= SHAPE_NAMED_MIN and (kind.bare or strict >= 0.5):
        return Verdict(leaf, kind.entity, 0.68 + 0.15 * loose, f"name, weak shape {loose:.2f}", loose, said)
    return None


def _checked(kind: Kind, leaf: Leaf, shape: float, said: int, against: bool) -> Verdict | None:
    if shape < VALID_NAMED_MIN:
        return None
    valid, control = shapes.true_digits(kind, leaf.values[:FIRST_CELLS])
    if valid >= FIRST_VALID_MIN and len(leaf.values) > FIRST_CELLS:
        valid, control = shapes.true_digits(kind, leaf.values)
    lift = valid - control
    enough = len(leaf.values) >= CONTROL_CELLS_MIN
    strong = valid >= (0.95 if against else VALID_MIN) and lift >= (0.6 if against else LIFT_MIN) and enough
    if not enough and valid == 1.0 and not against and kind.entity not in LOOKALIKES:
        strong = shapes.by_chance(kind, leaf.values) ** len(leaf.values) <= CHANCE_MAX
    if strong or (said and valid >= VALID_NAMED_MIN and (lift >= LIFT_MIN or not enough)):
        confidence = 0.7 + 0.2 * valid + 0.05 * min(1, lift) + (0.04 if said else 0)
        evidence = f"check digits {valid:.2f}, shuffled {control:.2f}{', name' if said else ''}"
        return Verdict(leaf, kind.entity, confidence, evidence, valid, said)
    if said and shape >= SHAPE_NAMED_MIN:
        return Verdict(leaf, kind.entity, 0.62, f"name, shape {shape:.2f}, check digits {valid:.2f}", shape, said)
    return None


def _person(leaf: Leaf, title: Title) -> list[Verdict]:
    if leaf.type != "text" or not leaf.values:
        return []
    said, weakly = title.speaks_for(people.COLUMN_NAMES), title.speaks_for(people.COLUMN_NAMES_WEAK)
    shape = people.share_of_shape(leaf.values)
    if shape < PERSON_SHAPE_MIN or people.share_of_companies(leaf.values) > COMPANIES_MAX:
        return []
    against = title.speaks_against() and not said
    known = people.share_of_known(leaf.values, by_family=not against)
    weakly = 0 if against else weakly
    alone = 0.8 if against else PERSON_KNOWN_ALONE_MIN
    if (
        (said and (known >= PERSON_KNOWN_MIN / 4 or shape >= 0.8))
        or (weakly and known >= PERSON_KNOWN_MIN)
        or known >= alone
    ):
        confidence = 0.62 + 0.2 * known + (0.15 if said else 0.08 if weakly else 0)
        spoken = ", name" if said or weakly else ""
        return [Verdict(leaf, "PERSON", confidence, f"known names {known:.2f}{spoken}", known, said)]
    return []


def _birth(leaf: Leaf, title: Title) -> list[Verdict]:
    """Days that spread as births do: over decades, hardly any in the last fourteen years. It is no proof."""
    if leaf.type == "other" or len(leaf.values) < CONTROL_CELLS_MIN or title.speaks_against():
        return []
    matches = [match for match in map(_DAY.fullmatch, leaf.values) if match]
    if len(matches) < 0.8 * len(leaf.values):
        return []
    years = sorted(int(match[1] or match[3]) for match in matches)
    early, late, now = years[len(years) // 10], years[len(years) * 9 // 10], datetime.datetime.now(datetime.UTC).year
    if now - 110 <= early <= now - 45 and late <= now - 14 and late - early >= 30 and years[-1] <= now:
        share = len(matches) / len(leaf.values)
        return [Verdict(leaf, "DATE_OF_BIRTH", 0.66, f"days from {early} to {late}, as births spread", share)]
    return []


def _confirmed(found: Verdict) -> Verdict:
    """Ask Presidio about a few cells. It can only add: its check for a country may be older or narrower than ours."""
    share = presidio.share(found.entity, found.leaf.values)
    if share is None:
        return placed(found)
    raised = found.confidence + 0.03 * share
    return placed(replace(found, confidence=raised, evidence=f"{found.evidence}, presidio {share:.2f}"))


def placed(found: Verdict) -> Verdict:
    """The verdict as it is recorded: no surer than may be, its evidence with the place in a nested column."""
    place = f"{WITHIN}{found.leaf.path}" if found.leaf.nested else ""
    return replace(
        found,
        confidence=round(min(0.99, found.confidence), 2),
        evidence=found.evidence + place,
        share=round(found.share, 3),
    )


NOT_PERSONAL = frozenset(("DATE_TIME", "URL", "UUID", "DE_PLZ"))
"""What Presidio finds and no policy asks about."""


def _of_presidio(leaf: Leaf, title: Title) -> Verdict | None:
    """An entity that only Presidio knows, where the column's name is the entity's."""
    if leaf.type not in ("text", "number") or not leaf.values:
        return None
    for entity, phrase in _rest():
        if (said := title.speaks_for(phrase)) and (
            share := presidio.share(entity, leaf.values) or 0
        ) >= SHAPE_NAMED_MIN:
            return placed(Verdict(leaf, entity, 0.7 + 0.2 * share, f"name, presidio {share:.2f}", share, said))
    return None


def _rest() -> Iterable[tuple[str, str]]:
    for entity in sorted(presidio.entities() - set(KINDS) - NOT_PERSONAL):
        words = entity.lower().split("_")
        yield entity, f"{' '.join(words)}|{' '.join(words[1:])}" if len(words) > 2 else " ".join(words)
