"""A small model of our own for names and addresses: how it is trained, and what it is worth.

`python -m benchmarks.pii.ner FOLDER` trains it, a minute or two on one core, then measures it. It learns from made text
alone, Faker's names and addresses in cells and sentences, and is measured on the tuning part, on names of languages
that it has not met, and on real data. It is no part of the product: it finds nothing more in the tuning part, and takes
real places for people. docs/pii.md has the figures.
"""

from __future__ import annotations

import argparse
import random
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from benchmarks.pii import corpus, real, tuning
from benchmarks.pii.corpus import Column
from benchmarks.pii.evaluate import Score, predictions, score

LEARNT = ("en_US en_GB de_DE fr_FR es_ES it_IT nl_NL pl_PL pt_BR sv_SE da_DK cs_CZ fi_FI hr_HR ro_RO hu_HU").split()
"""Locales it learns from."""
UNMET = "en_IN id_ID lt_LT lv_LV et_EE sk_SK sl_SI no_NO is_IS yo_NG zu_ZA tr_TR vi_VN az_AZ uz_UZ".split()
"""Locales whose names it is asked about."""
EXAMPLES, EPOCHS, BATCH, SEED = 24_000, 4, 128, 6
WIDTH, DEPTH, ROWS = 64, 3, 2000
"""The token vectors: HashEmbedCNN's width, depth and rows."""

SENTENCES = (
    "{person} called about the parcel.", "please ask {person} to call back", "Met {person} at {address} today",
    "ship it to {address}, attention of {person}", "{person} hat heute angerufen", "bitte an {person} weiterleiten",
    "Lieferung an {address}", "appeler {person} demain", "livré chez {person}, {address}", "llamar a {person} mañana",
    "entregado en {address}", "consegnato a {person}", "consegna in {address}", "gebeld door {person}",
    "spotkanie z {person} jutro", "reunião com {person} amanhã", "the customer moved to {address} last month",
    "contract signed by {person} and {person}", "{thing} was left at the door", "order of {thing} is delayed",
    "the invoice from {thing} was paid", "{thing} arrived damaged", "meeting in {thing} next week",
)  # fmt: skip
THINGS = (
    "company", "city", "country", "job", "catch_phrase", "color_name", "file_name", "uri", "isbn13", "ean13", "uuid4",
    "date", "license_plate", "currency_name", "user_agent", "sentence", "bs", "md5", "mac_address", "day_of_week",
    "month_name", "language_name", "domain_word", "file_path",
)  # fmt: skip


def examples(count: int) -> Iterator[tuple[str, list[tuple[int, int, str]]]]:
    """Texts with their entities: (first character, last + 1, label)."""
    from faker import Faker

    r = random.Random(SEED)
    makers = [Faker(locale) for locale in LEARNT]
    for place, maker in enumerate(makers):
        maker.seed_instance(SEED + place)
    for _ in range(count):
        yield _example(r, r.choice(makers))


def _example(r: random.Random, fake: Any) -> tuple[str, list[tuple[int, int, str]]]:
    kind = r.random()
    template = "{person}" if kind < 0.25 else "{address}" if kind < 0.4 else "{thing}" if kind < 0.7 else ""
    template = template or r.choice(SENTENCES)
    text, found = "", []
    for part in template.replace("}", "{").split("{"):
        label = {"person": "PERSON", "address": "ADDRESS"}.get(part)
        shown = _person(r, fake) if part == "person" else _address(r, fake) if part == "address" else part
        shown = _thing(r, fake) if part == "thing" else shown
        if label:
            found.append((len(text), len(text) + len(shown), label))
        text += shown
    if r.random() < 0.1:
        text = text.upper() if len(text.upper()) == len(text) else text
    return text, found


def _person(r: random.Random, fake: Any) -> str:
    first, last = fake.first_name(), fake.last_name()
    return str(
        r.choice((f"{first} {last}", f"{first} {last}", f"{last}, {first}", first, last, f"{first} {last[0]}. {last}"))
    )


def _address(r: random.Random, fake: Any) -> str:
    return str(fake.street_address() if r.random() < 0.6 else fake.address()).replace("\n", ", ").strip()


def _thing(r: random.Random, fake: Any) -> str:
    made = getattr(fake, r.choice(THINGS))()
    if isinstance(made, str) and r.random() < 0.1:
        return f"{fake.color_name()} {r.choice(('Desk', 'Lamp', 'Mug', 'Speaker', 'Kettle'))}"
    return " ".join(str(made).split()) or "none"


def train(folder: Path) -> float:
    """Train the model into a folder; seconds."""
    import spacy
    from spacy.training import Example
    from spacy.util import minibatch

    spacy.util.fix_random_seed(SEED)
    nlp = spacy.blank("xx")
    vectors = {"@architectures": "spacy.HashEmbedCNN.v2", "pretrained_vectors": None, "width": WIDTH, "depth": DEPTH,
               "embed_size": ROWS, "window_size": 1, "maxout_pieces": 3, "subword_features": True}  # fmt: skip
    model = {"@architectures": "spacy.TransitionBasedParser.v2", "state_type": "ner", "extra_state_tokens": False,
             "hidden_width": 64, "maxout_pieces": 2, "use_upper": True, "nO": None, "tok2vec": vectors}  # fmt: skip
    nlp.add_pipe("ner", config={"model": model})
    made = []
    for text, spans in examples(EXAMPLES):
        doc = nlp.make_doc(text)
        if all(doc.char_span(a, b) is not None for a, b, _ in spans):
            made.append(Example.from_dict(doc, {"entities": spans}))
    began = time.perf_counter()
    optimiser = nlp.initialize(lambda: made[:2000])
    r = random.Random(SEED)
    for epoch in range(EPOCHS):
        losses: dict[str, float] = {}
        r.shuffle(made)
        for batch in minibatch(made, BATCH):
            nlp.update(batch, sgd=optimiser, losses=losses, drop=0.1)
        print(f"epoch {epoch + 1}: loss {losses['ner']:.0f}, {time.perf_counter() - began:.0f} s", flush=True)
    nlp.meta.update(name="neurolake_names", version="1")
    nlp.to_disk(folder)
    return time.perf_counter() - began


def unmet() -> list[Column]:
    """Columns of names in languages that the model has not met: full ones, turned ones, given and family names."""
    from faker import Faker

    columns = []
    for locale in UNMET:
        fake = Faker(locale)
        fake.seed_instance(SEED)
        for form in ("{first} {last}", "{last}, {first}", "{first}", "{last}"):
            cells = (form.format(first=fake.first_name(), last=fake.last_name()) for _ in range(corpus.ROWS))
            columns.append(Column("c", "PERSON", f"{locale} {form}", tuple(cells)))
    return columns


def measure(folder: Path) -> None:
    """Print what the product finds without and with the model, names of columns hidden."""
    parts = (("tuning part", tuning.columns()), ("unmet names", unmet()), ("real data", real.columns()))
    for label, columns in ((label, corpus.hidden(part)) for label, part in parts):
        for pipeline in ("", str(folder)):
            began = time.perf_counter()
            found = score(columns, predictions(columns, pii_ner=pipeline))
            print(f"{label}, {'with' if pipeline else 'without'} the model: {_line(found)}", end="")
            taken = ", ".join(f"{a} for {b} {count}" for (a, b), count in found.taken_for.items())
            print(f", {time.perf_counter() - began:.0f} s; taken for another: {taken or 'none'}", flush=True)


def _line(found: Score) -> str:
    return (
        f"{found.true} of {found.there} columns, precision {found.precision:.3f}, F1 {found.f1:.3f}, "
        f"{found.false_on_negatives} of {found.negatives} negatives"
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Train where there is no model yet, then measure; 0."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.pii.ner", description=__doc__)
    parser.add_argument("folder", type=Path, help="where the model is, or will be")
    folder = parser.parse_args(arguments).folder
    if not folder.exists():
        print(f"trained in {train(folder):.0f} s")
    size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    print(f"{size / 1e6:.1f} MB")
    measure(folder)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
