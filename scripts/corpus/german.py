"""German: inflection of noun phrases and verbs, and the word order of main and subordinate clauses."""

from .meaning import Pronoun

CASES = ("nom", "acc", "dat")
# Endings by declension: one word a case, letters of gender m f n and p(lural) in that order; - is no ending.
ARTICLE_ENDINGS = {
    "der": {"nom": "er e es e", "acc": "en e es e", "dat": "em er em en"},
    "ein": {"nom": "- e - e", "acc": "en e - e", "dat": "em er em en"},
    "number": {"nom": "- - - -", "acc": "- - - -", "dat": "- - - -"},
}
ADJECTIVE_ENDINGS = {
    "der": {"nom": "e e e en", "acc": "en e e en", "dat": "en en en en"},
    "ein": {"nom": "er e es en", "acc": "en e es en", "dat": "en en en en"},
    "number": {"nom": "er e es e", "acc": "en e es e", "dat": "em er em en"},
}
IRREGULAR_ARTICLES = {"des": "das", "de": "die"}
PRONOUNS = {
    "ich": "ich mich mir",
    "du": "du dich dir",
    "er": "er ihn ihm",
    "sie": "sie sie ihr",
    "es": "es es ihm",
    "wir": "wir uns uns",
    "ihr": "ihr euch euch",
    "sie+": "sie sie ihnen",
}
RELATIVE_PRONOUNS = {"nom": "der die das die", "acc": "den die das die", "dat": "dem der dem denen"}
QUESTION_WORDS = {"nom": "wer", "acc": "wen", "dat": "wem"}
CONTRACTIONS = {
    "in dem": "im",
    "in das": "ins",
    "an dem": "am",
    "zu dem": "zum",
    "zu der": "zur",
    "von dem": "vom",
}
# Persons 1, 2, 3 of the singular, then of the plural.
IRREGULAR_VERBS = {
    "sein": "bin bist ist sind seid sind",
    "war": "war warst war waren wart waren",
    "haben": "habe hast hat haben habt haben",
    "werden": "werde wirst wird werden werdet werden",
    "wurde": "wurde wurdest wurde wurden wurdet wurden",
    "können": "kann kannst kann können könnt können",
    "konnte": "konnte konntest konnte konnten konntet konnten",
    "sollen": "soll sollst soll sollen sollt sollen",
    "dürfen": "darf darfst darf dürfen dürft dürfen",
    "wollen": "will willst will wollen wollt wollen",
    "wollte": "wollte wolltest wollte wollten wolltet wollten",
    "müssen": "muss musst muss müssen müsst müssen",
    "musste": "musste musstest musste mussten musstet mussten",
    "wissen": "weiß weißt weiß wissen wisst wissen",
}


def _ending(table, noun, plural):
    """Picks the ending for a noun's gender, or for the plural, out of ``m f n p``."""
    ending = table.split()[3 if plural else "mfn".index(noun.gender)]
    return "" if ending == "-" else ending


def noun_form(noun, plural, case):
    """Returns the noun in this number and case (str)."""
    if plural:
        return noun.de_plural + ("n" if case == "dat" and noun.de_plural[-1] not in "ns" else "")
    if noun.weak and case != "nom":
        return noun.de + ("n" if noun.de.endswith("e") else "en")
    return noun.de


def noun_phrase(entity, case):
    """Inflects a noun phrase or pronoun, with its relative clause.

    Args:
        entity: :class:`Entity` or :class:`Pronoun`.
        case: nom, acc or dat.

    Returns:
        German words (str).
    """
    if isinstance(entity, Pronoun):
        return PRONOUNS[entity.de_pronoun].split()[CASES.index(case)]
    noun, plural, article = entity.noun, entity.plural, entity.article
    declension = "number" if article.de == "ein" and plural else article.declension
    parts = []
    if not (article.de == "ein" and plural):
        form = article.de + _ending(ARTICLE_ENDINGS[article.declension][case], noun, plural)
        parts.append(IRREGULAR_ARTICLES.get(form, form))
    if entity.adjective:
        ending = _ending(ADJECTIVE_ENDINGS[declension][case], noun, plural)
        parts.append(attributive(entity.adjective.de) + ending)
    parts.append(noun_form(noun, plural, case))
    if entity.relative:
        role = "nom" if entity.gap == "subject" else object_case(entity.relative.verb)
        pronoun = _ending(RELATIVE_PRONOUNS[role], noun, plural)
        parts.append(f", {pronoun} {subordinate(entity.relative, entity.gap)} ,")
    return " ".join(parts)


def attributive(adjective):
    """Returns the stem an adjective's endings are put to: teuer becomes teur, müde müd (str)."""
    return adjective[:-2] + "r" if adjective.endswith("uer") else adjective.removesuffix("e")


def present(verb, person, plural):
    """Returns the finite present of a verb, without its prefix.

    Args:
        verb: :class:`Verb` or the infinitive of an irregular verb (str).
        person: 1, 2 or 3.
        plural: whether the subject is a plural.

    Returns:
        German word (str).
    """
    infinitive = verb if isinstance(verb, str) else verb.de
    if infinitive in IRREGULAR_VERBS:
        return IRREGULAR_VERBS[infinitive].split()[person - 1 + 3 * plural]
    stem = infinitive[:-2]
    if person == 3 and not plural:
        return verb.de_third
    if person == 1 and not plural:
        return stem + "e"
    if person == 2 and not plural:
        stem = verb.de_third.removesuffix("t") if verb.de_third.endswith("t") else stem
        return stem + ("t" if stem[-1] in "sßz" else "st")
    if person == 2:
        return stem + ("et" if stem[-1] in "td" else "t")
    return infinitive


def object_case(verb):
    """Returns the case of a verb's (direct) object: acc or dat (str)."""
    return "dat" if verb.frame.endswith("dat") else "acc"


def _verb_parts(clause):
    """Returns the finite verb, and what stands at the end of a main clause."""
    verb, mood, subject = clause.verb, clause.mood, clause.subject
    head = {"perfect": verb and verb.auxiliary, "": verb}.get(mood.de, mood.de)
    finite = present(head, subject.person, subject.plural)
    if mood.needs == "inf":
        last = verb.prefix + verb.de if mood.de else verb.prefix
    else:
        last = verb.participle if mood.needs else (verb.prefix if verb else "")
    return finite, last


def _relation(relation, entity):
    """Puts a preposition before its noun phrase, contracted where German does so."""
    words = f"{relation.de} {noun_phrase(entity, relation.case)}".split()
    contracted = CONTRACTIONS.get(" ".join(words[:2]))
    return " ".join([contracted, *words[2:]] if contracted else words)


def _objects(clause, gap):
    """Returns (role, words) of the objects: pronouns first, then the dative before the accusative."""
    found = []
    for role, entity in (("indirect", clause.indirect), ("direct", clause.direct)):
        if entity is None or role == gap:
            continue
        case = "dat" if role == "indirect" else object_case(clause.verb)
        found.append((not isinstance(entity, Pronoun), role, noun_phrase(entity, case)))
    return [item for item in found if not item[0]], [item for item in found if item[0]]


def _fields(clause, gap=""):
    """Returns the (role, words) between the finite verb and the end, in their neutral order."""
    pronouns, nouns = ([(role, text) for _, role, text in group] for group in _objects(clause, gap))
    prepositional = clause.verb is not None and "+" in clause.verb.frame and clause.verb.frame != "dat+acc"
    late = []
    if prepositional:
        preposition = clause.verb.frame.split("+")[0]
        late = [(role, f"{preposition} {text}") for role, text in pronouns + nouns]
        pronouns = nouns = []
    fields = [] if gap == "subject" else [("subject", noun_phrase(clause.subject, "nom"))]
    fields += pronouns
    fields += [("time", clause.time.de)] if clause.time else []
    fields += [("frequency", clause.frequency.de)] if clause.frequency else []
    fields += nouns
    fields += [("manner", clause.mood.manner)] if clause.mood.manner else []
    fields += [("not", "nicht")] if clause.negated else []
    fields += [("manner", clause.manner.de)] if clause.manner else []
    if clause.relation and gap != "place":
        fields.append(("place", _relation(clause.relation, clause.place)))
    fields += late
    if clause.adjective:
        fields.append(("adjective", clause.adjective.de_comparative if clause.than else clause.adjective.de))
    fields += [("than", f"als {noun_phrase(clause.than, 'nom')}")] if clause.than else []
    return fields


def _join(*parts):
    """Joins words, and drops the comma that would be doubled or end a sentence."""
    words = " ".join(part for part in parts if part).split()
    following = zip(words, [*words[1:], "."], strict=True)
    return " ".join(word for word, after in following if not (word == "," and after in ",.?"))


def statement(clause):
    """Returns a main clause, the verb second after whatever ``clause.front`` names (str)."""
    fields = _fields(clause)
    finite, last = _verb_parts(clause)
    roles = [role for role, _ in fields]
    _, first = fields.pop(roles.index(clause.front) if clause.front in roles else 0)
    return _join(first, finite, *[text for _, text in fields], last)


def inverted(clause):
    """Returns a main clause whose first place is taken: finite verb, then the subject (str)."""
    finite, last = _verb_parts(clause)
    return _join(finite, *[text for _, text in _fields(clause)], last)


def subordinate(clause, gap=""):
    """Returns a clause with its verb at the end, the role ``gap`` left out (str)."""
    finite, last = _verb_parts(clause)
    if clause.mood.de == "" and clause.verb:
        finite, last = last + finite, ""
    return _join(*[text for _, text in _fields(clause, gap)], last, finite)


def question(clause, gap=""):
    """Returns a question: for yes or no, or for the role ``gap`` (subject, direct, place, time) (str)."""
    finite, last = _verb_parts(clause)
    fields = [text for role, text in _fields(clause, gap) if role != gap]
    if gap in ("time", "place"):
        word = "wann" if gap == "time" else ("wohin" if clause.verb.frame == "dir" else "wo")
    else:
        word = QUESTION_WORDS["nom" if gap == "subject" else object_case(clause.verb)] if gap else ""
    return _join(word, finite, *fields, last, "?")
