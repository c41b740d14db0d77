"""What a sentence says, before it is put into German (`german.py`) or English (`english.py`)."""

from typing import NamedTuple

from .lexicon import Adjective, Adverb, Article, Noun, Relation, Verb


class Entity(NamedTuple):
    """A noun phrase. ``relative`` is a clause in which the noun plays the role ``gap``."""

    noun: Noun
    article: Article
    plural: bool = False
    adjective: Adjective | None = None
    relative: "Clause | None" = None
    gap: str = ""

    person = 3

    @property
    def en_pronoun(self):
        """The English pronoun that can stand for it: he, she, it or they."""
        return "they" if self.plural else self.noun.pronoun

    @property
    def de_pronoun(self):
        """The German pronoun that can stand for it: er, sie, es, or sie+ for the plural."""
        return "sie+" if self.plural else {"m": "er", "f": "sie", "n": "es"}[self.noun.gender]


class Pronoun(NamedTuple):
    """A personal pronoun: German and English nominative; ``sie+`` is the plural sie."""

    de_pronoun: str
    en_pronoun: str
    kind: str = "person"
    plural: bool = False
    person: int = 3


class Mood(NamedTuple):
    """How a clause is put: tense, modal verb or passive.

    ``de`` is the German finite verb (empty: the verb itself), ``needs`` the form left at the end (inf or
    participle), ``en`` the English verb that carries the tense, ``style`` how it does: lexical (does, did),
    auxiliary (can) or be; ``when`` is p(ast), n(ow) or f(uture).
    """

    de: str
    needs: str
    en: str
    style: str
    when: str
    manner: str = ""


class Clause(NamedTuple):
    """One verb with all that belongs to it; a clause with ``adjective`` says what somebody is."""

    subject: Entity | Pronoun
    verb: Verb | None
    mood: Mood
    direct: Entity | Pronoun | None = None
    indirect: Entity | Pronoun | None = None
    adjective: Adjective | None = None
    than: Entity | None = None
    negated: bool = False
    time: Adverb | None = None
    frequency: Adverb | None = None
    manner: Adverb | None = None
    relation: Relation | None = None
    place: Entity | Pronoun | None = None
    front: str = "subject"


def modal(de, en, style, when="n"):
    """Returns the mood of a modal verb."""
    return Mood(de, "inf", en, style, when)


PRESENT = Mood("", "", "", "lexical", "n")
PAST = Mood("perfect", "participle", "", "lexical", "p")
PASSIVES = [Mood("werden", "participle", "is", "be", "n"), Mood("wurde", "participle", "was", "be", "p")]
STATES = [Mood("sein", "", "is", "be", "n"), Mood("war", "", "was", "be", "p")]
MOODS = [
    PRESENT,
    PAST,
    Mood("", "", "will", "auxiliary", "f"),
    modal("werden", "will", "auxiliary", "f"),
    modal("können", "can", "auxiliary"),
    modal("konnte", "could", "auxiliary", "p"),
    modal("sollen", "should", "auxiliary"),
    modal("dürfen", "may", "auxiliary"),
    modal("wollen", "want to", "lexical"),
    modal("wollte", "wanted to", "lexical", "p"),
    modal("müssen", "have to", "lexical"),
    modal("musste", "had to", "lexical", "p"),
    Mood("", "", "like to", "lexical", "n", "gern"),
]
