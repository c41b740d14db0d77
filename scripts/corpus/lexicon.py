"""The tables of `nouns.py` and `words.py` as typed rows, and which nouns are clear in a given place."""

from functools import cache
from typing import NamedTuple

from . import nouns, words


class Noun(NamedTuple):
    """A noun: ``pronoun`` is the English one of its singular (he, she or it)."""

    kind: str
    de: str
    gender: str
    weak: bool
    de_plural: str
    en: str
    en_plural: str
    pronoun: str


class Verb(NamedTuple):
    """A verb: ``frame`` says what follows it, ``kinds`` and ``object_kinds`` who does it to whom."""

    prefix: str
    de: str
    de_third: str
    participle: str
    auxiliary: str
    frame: str
    kinds: frozenset
    object_kinds: frozenset
    en: str
    en_past: str
    en_participle: str
    particle: str


class Adjective(NamedTuple):
    """An adjective and the kinds of noun it can describe."""

    de: str
    de_comparative: str
    en: str
    en_comparative: str
    kinds: frozenset


class Article(NamedTuple):
    """A determiner: ``declension`` is der, ein or number; None where the English has no such number."""

    weight: int
    de: str
    declension: str
    en: str | None
    en_plural: str | None


class Relation(NamedTuple):
    """A preposition, the German case it asks for, and the kinds of noun it can stand before."""

    de: str
    case: str
    en: str
    kinds: frozenset


class Adverb(NamedTuple):
    """An adverb; ``when`` holds the times it can speak of: p(ast), n(ow), f(uture)."""

    de: str
    en: str
    when: str = "pnf"


def _rows(text):
    """Splits a table into rows of words."""
    return [line.split() for line in text.strip().splitlines()]


def _kinds(text):
    """Turns ``being,food`` into a set of kinds, short names spelled out."""
    names = (words.KINDS.get(name, name) for name in text.split(",") if name != "-")
    return frozenset(",".join(names).split(",")) - {""}


def _blank(text):
    """Puts the blanks back that a table writes as ``_``."""
    return text.replace("_", " ").strip()


def english_plural(noun):
    """Returns the regular plural of an English noun (str)."""
    if noun.endswith(("s", "x", "ch", "sh", "to")):
        return noun + "es"
    return noun[:-1] + "ies" if noun[-1] == "y" and noun[-2] not in "aeiou" else noun + "s"


def english_past(verb):
    """Returns the regular past of an English verb (str)."""
    if verb.endswith("e"):
        return verb + "d"
    return verb[:-1] + "ied" if verb[-1] == "y" and verb[-2] not in "aeiou" else verb + "ed"


def _noun(kind, de, gender, de_plural, en, en_plural=None):
    """Reads one row of NOUNS."""
    gender, _, nature = gender.partition("/")
    natural = {"m": "he", "f": "she"} if kind == "person" else {}
    pronoun = nature or natural.get(gender[0], "it")
    en_plural = en_plural or english_plural(en)
    return Noun(kind, de, gender[0], gender.endswith("*"), de_plural, en, en_plural, pronoun)


def verb(de, third, participle, frame, kinds, object_kinds, en):
    """Reads one row of VERBS.

    Args: the columns of that table, each a str.

    Returns:
        The :class:`Verb`.
    """
    prefix, _, de = de.rpartition("|")
    forms, _, particle = en.partition("_")
    if "/" in en:
        base, past, last = en.split("/")
        en_participle, _, particle = last.partition("_")
    else:
        base, past, en_participle = forms, english_past(forms), english_past(forms)
    auxiliary = "sein" if participle.startswith("+") else "haben"
    german = (prefix, de, third, participle.lstrip("+"), auxiliary, frame)
    english = (base, past, en_participle, _blank(particle))
    return Verb(*german, _kinds(kinds), _kinds(object_kinds), *english)


def _adjective(de, de_comparative, en, en_comparative, kinds):
    """Reads one row of ADJECTIVES."""
    comparative = f"more {en}" if en_comparative == "-" else en_comparative
    return Adjective(de, de_comparative, en, comparative, _kinds(kinds))


def _article(weight, de, declension, en, en_plural):
    """Reads one row of ARTICLES."""
    singular, plural = (None if form == "-" else _blank(form) for form in (en, en_plural))
    return Article(int(weight), de, declension, singular, plural)


def _relation(de, case, en, kinds):
    """Reads one row of ADJUNCTS or DIRECTIONS."""
    return Relation(de, case, _blank(en), _kinds(kinds))


def _pairs(text):
    """Reads ``German English|German English`` into adverbs."""
    return [Adverb(*map(_blank, pair.split())) for pair in text.split("|")]


NOUNS = [_noun(kind, *row) for kind, table in nouns.NOUNS.items() for row in _rows(table)]
VERBS = [verb(*row) for row in _rows(words.VERBS)]
ADJECTIVES = [_adjective(*row) for row in _rows(words.ADJECTIVES)]
ARTICLES = [_article(*row) for row in _rows(words.ARTICLES)]
TIMES = [Adverb(_blank(de), _blank(en), when) for de, en, when in _rows(words.TIMES)]
ADJUNCTS = [_relation(*row) for row in _rows(words.ADJUNCTS)]
DIRECTIONS = [_relation(*row) for row in _rows(words.DIRECTIONS)]
FREQUENCIES, MANNERS = _pairs(words.FREQUENCIES), _pairs(words.MANNERS)
CONJUNCTIONS, COORDINATORS = _pairs(words.CONJUNCTIONS), _pairs(words.COORDINATORS)
REPORTS = [
    (verb(de, third, participle, "-", "person", "-", en), Adverb(join, en_join))
    for de, third, participle, join, en_join, en in _rows(words.REPORTS)
]


@cache
def clear_nouns(kinds, possible=None):
    """Lists the nouns that can be translated where they stand.

    Args:
        kinds: kinds wanted (frozenset of str).
        possible: kinds that the German words around would allow too (frozenset of str); a noun with another
            meaning among these is left out. By default ``kinds`` themselves.

    Returns:
        Nouns of these kinds whose German form has no second meaning there (list of Noun).
    """
    possible = kinds if possible is None else possible
    return [
        noun
        for noun in NOUNS
        if noun.kind in kinds
        and not any(other.de == noun.de and other is not noun and other.kind in possible for other in NOUNS)
    ]
