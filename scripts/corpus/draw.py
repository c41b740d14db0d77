"""Draws what clauses say at random, and only what German says clearly enough to have one translation."""

from . import german, lexicon
from .meaning import MOODS, PASSIVES, PAST, PRESENT, STATES, Clause, Entity, Pronoun

SPEAKERS = [
    Pronoun("ich", "i", person=1),
    Pronoun("du", "you", person=2),
    Pronoun("wir", "we", plural=True, person=1),
    Pronoun("ihr", "you", plural=True, person=2),
]
OTHERS = [Pronoun("er", "he"), Pronoun("sie", "she"), Pronoun("sie+", "they", plural=True)]
PERSON = frozenset({"person"})
BY = lexicon.Relation("von", "dat", "by", frozenset())


def marked(entity):
    """Whether an entity's German form tells the nominative from the accusative (bool)."""
    return german.noun_phrase(entity, "nom") != german.noun_phrase(entity, "acc")


def without_relative(entity):
    """Returns the entity without its relative clause."""
    return entity._replace(relative=None, gap="") if isinstance(entity, Entity) else entity


class Draw:
    """Random entities and clauses out of one generator.

    Args:
        rng: :class:`random.Random`, the only source of chance.
    """

    def __init__(self, rng):
        self.rng = rng

    def chance(self, probability):
        """Returns True with this probability."""
        return self.rng.random() < probability

    def entity(self, kinds, possible=None, relative=0.0):
        """Draws a noun phrase.

        Args:
            kinds: kinds of noun wanted (frozenset of str).
            possible: kinds that the words around would allow (frozenset of str); ``kinds`` by default.
            relative: probability of a relative clause.

        Returns:
            :class:`Entity`.
        """
        noun = self.rng.choice(lexicon.clear_nouns(kinds, possible))
        plural = self.chance(0.3)
        number = "en_plural" if plural else "en"
        articles = [article for article in lexicon.ARTICLES if getattr(article, number) is not None]
        article = self.rng.choices(articles, [article.weight for article in articles])[0]
        fitting = [row for row in lexicon.ADJECTIVES if noun.kind in row.kinds]
        adjective = self.rng.choice(fitting) if fitting and self.chance(0.3) else None
        entity = Entity(noun, article, plural, adjective)
        return self._with_relative(entity) if self.chance(relative) else entity

    def _with_relative(self, entity):
        """Adds a relative clause, if the verb drawn for it can be understood."""
        gap = self.rng.choice(["subject", "direct"])
        frames, field = ("acc", "dat"), "object_kinds"
        if gap == "subject":
            frames, field = ("-", "acc", "dat"), "kinds"
        verbs = [row for row in lexicon.VERBS if row.frame in frames and entity.noun.kind in getattr(row, field)]
        if not verbs:
            return entity
        clause = self.clause(verb=self.rng.choice(verbs), extras=0.3, moods=(PRESENT, PAST), **{gap: entity})
        told_apart = german.object_case(clause.verb) == "dat" or marked(clause.subject) or marked(entity)
        if gap == "direct" and not told_apart:
            return entity
        return entity._replace(relative=clause._replace(negated=False), gap=gap)

    def clause(self, verb=None, subject=None, direct=None, extras=1.0, moods=None, relative=0.0):
        """Draws a clause with a full verb.

        Args:
            verb: :class:`Verb`; any by default.
            subject: who does it; drawn by default.
            direct: whom or what it is done to; drawn by default.
            extras: factor on the probabilities of adverbs and places.
            moods: moods to choose from; any by default.
            relative: probability of a relative clause in subject and object.

        Returns:
            :class:`Clause`.
        """
        verb = verb or self.rng.choice(lexicon.VERBS)
        subject = subject or self._subject(verb, relative)
        if verb.object_kinds and not direct:
            direct = self._object(verb, subject, relative)
        mood = self.rng.choice(moods) if moods else self._mood(subject)
        indirect = None
        if verb.frame == "dat+acc":
            indirect = self.rng.choice(OTHERS) if self.chance(0.2) else self.entity(PERSON)
        clause = Clause(subject, verb, mood, direct, indirect)
        if not moods and verb.frame == "acc" and self.chance(0.15) and isinstance(direct, Entity):
            clause = self._passive(clause)
        clause = self._adverbs(clause, extras)
        return clause._replace(front=self._front(clause))

    def _subject(self, verb, relative):
        """Draws who does it: an entity of a kind the verb asks for, or one of the speakers."""
        if "person" in verb.kinds and self.chance(0.3):
            return self.rng.choice(SPEAKERS + OTHERS)
        return self.entity(verb.kinds, self._kinds_of(verb, "kinds"), relative)

    def _object(self, verb, subject, relative):
        """Draws whom it is done to."""
        if "person" in verb.object_kinds and self.chance(0.15):
            person = subject.person if isinstance(subject, Pronoun) else None
            others = [other for other in SPEAKERS + OTHERS if other.person != person]
            if german.object_case(verb) == "acc":
                others = [other for other in others if other.de_pronoun != "sie+"]  # sie would be her or them
            return self.rng.choice(others)
        return self.entity(verb.object_kinds, self._kinds_of(verb, "object_kinds"), relative)

    @staticmethod
    def _kinds_of(verb, field):
        """Returns the kinds that go with any reading of this German verb."""
        same = [row for row in lexicon.VERBS if (row.prefix, row.de) == (verb.prefix, verb.de)]
        return frozenset().union(*(getattr(row, field) for row in same))

    def _mood(self, subject):
        """Draws a mood: half of the clauses are plain, and only persons can want, may or like to."""
        if self.chance(0.5):
            return self.rng.choice((PRESENT, PAST))
        person = isinstance(subject, Pronoun) or subject.noun.kind == "person"
        return self.rng.choice(MOODS if person else MOODS[:6])

    def _passive(self, clause):
        """Turns it round: the object becomes the subject, who does it stands behind von."""
        mood = self.rng.choice(PASSIVES)
        if self.chance(0.4) and isinstance(clause.subject, Entity):
            agent = without_relative(clause.subject)
            return Clause(clause.direct, clause.verb, mood, relation=BY, place=agent)
        return Clause(clause.direct, clause.verb, mood)

    def _adverbs(self, clause, extras):
        """Adds negation, time, manner, frequency and place."""
        verb, found = clause.verb, {}
        times = [time for time in lexicon.TIMES if clause.mood.when in time.when]
        # The German present means the future only beside a time.
        needed = clause.mood.en == "will" and not clause.mood.de
        if needed:
            times = [time for time in times if "n" not in time.when]
        if needed or self.chance(0.35 * extras):
            found["time"] = self.rng.choice(times)
        if self.chance(0.12 * extras):
            found["frequency"] = self.rng.choice(lexicon.FREQUENCIES)
        elif self.chance(0.12 * extras) and not self._indefinite(clause):
            found["negated"] = True
        if self.chance(0.12 * extras) and clause.relation is None:
            found["manner"] = self.rng.choice(lexicon.MANNERS)
        if clause.relation is None:
            relations = ()
            if verb.frame == "dir" and self.chance(0.7):
                relations = lexicon.DIRECTIONS
            elif verb.frame in ("-", "acc", "dat") and self.chance(0.3 * extras):
                relations = lexicon.ADJUNCTS
            if relations:
                relation = self.rng.choice(relations)
                found.update(relation=relation, place=self._place(relation))
        return clause._replace(**found)

    def _place(self, relation):
        """Draws what follows a preposition, clear among all that the same German words allow."""
        rows = lexicon.ADJUNCTS + lexicon.DIRECTIONS
        same = [row.kinds for row in rows if (row.de, row.case) == (relation.de, relation.case)]
        return self.entity(relation.kinds, frozenset().union(*same))

    @staticmethod
    def _indefinite(clause):
        """Whether kein would have to take the place of nicht."""
        entities = [entity for entity in (clause.subject, clause.direct) if isinstance(entity, Entity)]
        return any(entity.article.en not in ("the", "this", "my", "your", "our") for entity in entities)

    def _front(self, clause):
        """Draws what stands before the verb; an object only where the cases show who does what."""
        roles = ["subject"] * 3
        roles += [role for role in ("time", "place") if getattr(clause, role)]
        if clause.direct and clause.verb.frame == "acc" and not isinstance(clause.direct, Pronoun):
            roles += ["direct"] if marked(clause.subject) or marked(clause.direct) else []
        return self.rng.choice(roles)

    def state(self, subject=None):
        """Draws a clause that says how somebody or something is, or compares two.

        Args:
            subject: an :class:`Entity`; drawn by default.

        Returns:
            :class:`Clause`.
        """
        rows = [row for row in lexicon.ADJECTIVES if subject is None or subject.noun.kind in row.kinds]
        if not rows:
            return self.clause(subject=subject, verb=self.rng.choice(lexicon.VERBS))
        adjective = self.rng.choice(rows)
        possible = frozenset().union(*(row.kinds for row in lexicon.ADJECTIVES if row.de == adjective.de))
        subject = subject or self.entity(adjective.kinds, possible, relative=0.15)
        than = self.entity(adjective.kinds, possible) if self.chance(0.4) else None
        clause = Clause(subject, None, self.rng.choice(STATES), adjective=adjective, than=than)
        if than is None and self.chance(0.3):
            clause = clause._replace(frequency=self.rng.choice(lexicon.FREQUENCIES))
        elif self.chance(0.2) and not self._indefinite(clause):
            clause = clause._replace(negated=True)
        return clause
