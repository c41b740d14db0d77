"""The generated parallel corpus: German-like sentences and their English-like translations.

Sentences are drawn as meanings and put into both languages, so every pair is exact. The German inflects
articles and adjectives, puts verbs second or last, splits them and leaves readings open that only the
context closes, so translating takes more than a dictionary. Everything follows from a seed.
"""

import os
import random

from fairseq_prune.files.atomic import write_text

from . import english, german, lexicon
from .draw import OTHERS, PERSON, SPEAKERS, Draw, without_relative
from .meaning import PAST, PRESENT, Entity, Pronoun

LONGEST = 28  # words a side
SPLITS = ("train", "valid", "test")


def _statement(draw):
    """One main clause."""
    clause = draw.state() if draw.chance(0.25) else draw.clause(relative=0.2)
    return f"{german.statement(clause)} .", f"{english.clause_words(clause)} ."


def _question(draw):
    """A question for yes or no, for a person, a place or a time."""
    clause = draw.clause(extras=0.7)
    gaps = ["time"] if clause.time else []
    gaps += ["place"] if clause.relation and clause.relation.en in ("in", "on", "into", "onto") else []
    people = {role for role in ("subject", "direct") if _is_person(getattr(clause, role))}
    if "direct" in people and clause.verb.frame in ("acc", "dat"):
        gaps.append("direct")
    if "subject" in people and not clause.subject.plural:
        gaps.append("subject")
    gap = draw.rng.choice(["", *gaps])
    return german.question(clause, gap), english.question(clause, gap)


def _is_person(entity):
    """Whether a noun phrase can be asked for by who (bool)."""
    return isinstance(entity, Entity) and entity.noun.kind == "person"


def _followed(draw):
    """Two clauses, the second about the first one's subject or object in a pronoun."""
    first = draw.clause(extras=0.5, relative=0.1)
    second = _about(draw, first)
    if draw.chance(0.4):
        link = draw.rng.choice(lexicon.COORDINATORS)
        return (
            f"{german.statement(first)} , {link.de} {german.statement(second)} .",
            f"{english.clause_words(first)} , {link.en} {english.clause_words(second)} .",
        )
    link = draw.rng.choice(lexicon.CONJUNCTIONS)
    if draw.chance(0.5):
        return (
            f"{german.statement(first)} , {link.de} {german.subordinate(second)} .",
            f"{english.clause_words(first)} {link.en} {english.clause_words(second)} .",
        )
    return (
        f"{link.de} {german.subordinate(first)} , {german.inverted(second)} .",
        f"{link.en} {english.clause_words(first)} , {english.clause_words(second)} .",
    )


def _about(draw, first):
    """Draws a clause whose subject is a pronoun for an entity of ``first``, where only one is meant."""
    mentioned = [entity for entity in (first.subject, first.direct, first.indirect, first.place) if entity]
    readings = {}
    for entity in mentioned:
        readings.setdefault(entity.de_pronoun, set()).add(entity.en_pronoun)
    entities = [entity for entity in mentioned if isinstance(entity, Entity)]
    clear = [entity for entity in entities if len(readings[entity.de_pronoun]) == 1]
    if not clear:
        return draw.clause(extras=0.4)
    chosen = draw.rng.choice(clear)
    pronoun = Pronoun(chosen.de_pronoun, chosen.en_pronoun, chosen.noun.kind, chosen.plural)
    verbs = [verb for verb in lexicon.VERBS if chosen.noun.kind in verb.kinds]
    if not verbs or draw.chance(0.25):
        return draw.state(without_relative(chosen))._replace(subject=pronoun)
    return draw.clause(verb=draw.rng.choice(verbs), subject=pronoun, extras=0.4, moods=(PRESENT, PAST))


def _report(draw):
    """Somebody says, hopes or asks something."""
    verb, link = draw.rng.choice(lexicon.REPORTS)
    subject = draw.rng.choice(SPEAKERS + OTHERS) if draw.chance(0.5) else draw.entity(PERSON)
    outer = draw.clause(verb=verb, subject=subject, extras=0.2, moods=(PRESENT, PAST))
    inner = draw.state() if draw.chance(0.2) else draw.clause(extras=0.6)
    return (
        f"{german.statement(outer)} , {link.de} {german.subordinate(inner)} .",
        f"{english.clause_words(outer)} {link.en} {english.clause_words(inner)} .",
    )


PATTERNS = {_statement: 5, _question: 2, _followed: 3, _report: 2}  # pattern: weight


def generate_pairs(count, seed):
    """Generates sentence pairs, no German sentence twice.

    Args:
        count: number of pairs, at least 1.
        seed: any int; the same seed gives the same pairs, and a smaller count a prefix of them.

    Returns:
        ``count`` pairs (German, English) of lower-case words with blanks between (list of tuple of str).

    Raises:
        ValueError: ``count`` is below 1.
    """
    if count < 1:
        raise ValueError(f"count={count} must be at least 1, e.g. 15000")
    draw = Draw(random.Random(seed))
    pairs = {}
    while len(pairs) < count:
        pattern = draw.rng.choices(list(PATTERNS), list(PATTERNS.values()))[0]
        de, en = pattern(draw)
        if max(len(de.split()), len(en.split())) <= LONGEST:
            pairs.setdefault(de, en)
    return list(pairs.items())


def write_corpus(folder, sizes, seed):
    """Writes train, valid and test as ``folder/train.de``, ``folder/train.en`` and so on.

    Each file appears whole or not at all; the splits share no sentence.

    Args:
        folder: folder to write to (str or Path); made if missing.
        sizes: pairs in train, valid and test (three ints, each at least 1).
        seed: any int, see :func:`generate_pairs`.

    Raises:
        ValueError: ``sizes`` are not three positive counts.
    """
    sizes = list(sizes)
    if len(sizes) != len(SPLITS) or min(sizes) < 1:
        raise ValueError(f"sizes={sizes} must be three counts of at least 1, for train, valid and test")
    pairs = generate_pairs(sum(sizes), seed)
    for split, size in zip(SPLITS, sizes, strict=True):
        part, pairs = pairs[:size], pairs[size:]
        for side, language in enumerate(("de", "en")):
            path = os.path.join(folder, f"{split}.{language}")
            write_text(path, "".join(f"{pair[side]}\n" for pair in part))
