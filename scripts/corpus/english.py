"""English: agreement, tenses, do-support, and the fixed order subject, verb, object, manner, place, time."""

from .meaning import Pronoun

OBJECT_PRONOUNS = {"i": "me", "he": "him", "she": "her", "we": "us", "they": "them"}
BE = {"is": "am are is are are are", "was": "was were was were were were"}


def third_person(verb):
    """Returns the third person singular of an English verb (str)."""
    head, _, rest = verb.partition(" ")
    if head == "have":
        head = "has"
    elif head[-1] == "y" and head[-2] not in "aeiou":
        head = head[:-1] + "ies"
    else:
        head += "es" if head.endswith(("s", "sh", "ch", "x", "o")) else "s"
    return f"{head} {rest}".strip()


def noun_phrase(entity, role="object"):
    """Returns a noun phrase with its relative clause, or a pronoun in its role (subject or object) (str)."""
    if isinstance(entity, Pronoun):
        form = entity.en_pronoun
        return form if role == "subject" else OBJECT_PRONOUNS.get(form, form)
    article = entity.article.en_plural if entity.plural else entity.article.en
    rest = [entity.adjective.en] if entity.adjective else []
    rest.append(entity.noun.en_plural if entity.plural else entity.noun.en)
    if article == "a" and rest[0][0] in "aeiou":
        article = "an"
    if entity.relative:
        link = "who" if entity.noun.kind == "person" else "which"
        rest.append(f"{link} {clause_words(entity.relative, gap=entity.gap)}")
    return " ".join([article, *rest] if article else rest)


def _singular_third(subject):
    """Whether the subject asks for the -s of the third person."""
    return subject.person == 3 and not subject.plural


def _lexical_head(clause):
    """Returns (base, form that agrees, whether it is a past) of a verb that uses do-support."""
    verb, mood = clause.verb, clause.mood
    if mood.en:
        base = {"wanted to": "want to", "had to": "have to"}.get(mood.en, mood.en)
        forms = base, mood.en, f"{verb.en} {verb.particle}"
    else:
        forms = verb.en, verb.en_past, verb.particle
    base, past, rest = forms
    is_past = mood.when == "p"
    form = past if is_past else (third_person(base) if _singular_third(clause.subject) else base)
    return base, form, rest


def verb_group(clause, fronted=False):
    """Puts the verb into words.

    Args:
        clause: :class:`Clause`.
        fronted: whether an auxiliary has to stand apart, before the subject.

    Returns:
        (auxiliary, rest): words before the subject (empty if not ``fronted``), words after it (both str).
    """
    verb, mood, subject = clause.verb, clause.mood, clause.subject
    if mood.style == "lexical":
        base, form, rest = _lexical_head(clause)
        auxiliary = "did" if mood.when == "p" else ("does" if _singular_third(subject) else "do")
        if not (fronted or clause.negated):
            auxiliary, base = "", form
        rest = f"{base} {rest}"
    elif mood.style == "auxiliary":
        auxiliary, rest = mood.en, f"{verb.en} {verb.particle}"
    else:
        auxiliary = BE[mood.en].split()[subject.person - 1 + 3 * subject.plural]
        rest = f"{verb.en_participle} {verb.particle}" if verb else _predicate(clause)
    rest = [
        auxiliary if not fronted else "",
        "not" if clause.negated else "",
        clause.frequency.en if clause.frequency else "",
        rest.strip(),
    ]
    return (auxiliary if fronted else ""), " ".join(word for word in rest if word)


def _predicate(clause):
    """Returns what a subject is: old, or older than somebody."""
    if clause.than:
        return f"{clause.adjective.en_comparative} than {noun_phrase(clause.than)}"
    return clause.adjective.en


def _after_verb(clause, gap):
    """Returns objects, manner, place and time."""
    parts = []
    if clause.indirect and gap != "indirect":
        turned = isinstance(clause.direct, Pronoun)
        person = noun_phrase(clause.indirect)
        goods = [] if gap == "direct" else [noun_phrase(clause.direct)]
        parts = [*goods, f"to {person}"] if turned or not goods else [person, *goods]
    elif clause.direct and gap != "direct":
        parts.append(noun_phrase(clause.direct))
    parts.append(clause.manner.en if clause.manner else "")
    if clause.relation and gap != "place":
        parts.append(f"{clause.relation.en} {noun_phrase(clause.place)}")
    parts.append(clause.time.en if clause.time and gap != "time" else "")
    return parts


def clause_words(clause, gap=""):
    """Returns a clause, the role ``gap`` left out (str)."""
    subject = "" if gap == "subject" else noun_phrase(clause.subject, "subject")
    _, verb = verb_group(clause)
    return " ".join(part for part in [subject, verb, *_after_verb(clause, gap)] if part)


def question(clause, gap=""):
    """Returns a question: for yes or no, or for the role ``gap`` (subject, direct, place, time) (str)."""
    if gap == "subject":
        return f"who {clause_words(clause, gap)} ?"
    word = {"direct": "who", "place": "where", "time": "when"}.get(gap, "")
    auxiliary, verb = verb_group(clause, fronted=True)
    parts = [word, auxiliary, noun_phrase(clause.subject, "subject"), verb, *_after_verb(clause, gap), "?"]
    return " ".join(part for part in parts if part)
