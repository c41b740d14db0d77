"""The generated corpus: repeatable, disjoint, inflected, and more than a dictionary's work."""

import collections
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import sacrebleu

from scripts.corpus import lexicon
from scripts.corpus.grammar import LONGEST, generate_pairs, write_corpus

MASCULINE = {noun.de for noun in lexicon.NOUNS if noun.gender == "m"} - {"junge"}  # it means young, too
NOT_MASCULINE = {noun.de for noun in lexicon.NOUNS if noun.gender != "m"}
SINGULARS = {noun.en for noun in lexicon.NOUNS} - {noun.en_plural for noun in lexicon.NOUNS}
PLURALS = {noun.en_plural for noun in lexicon.NOUNS} - {noun.en for noun in lexicon.NOUNS}


@pytest.fixture(scope="module")
def pairs():
    return generate_pairs(3000, seed=1)


def sentence(pairs, pattern):
    """The first pair whose German matches."""
    return next((pair for pair in pairs if re.search(pattern, pair[0])), None)


def test_same_seed_same_pairs(pairs):
    assert generate_pairs(50, seed=1) == pairs[:50]
    assert not {de for de, _ in generate_pairs(50, seed=2)} & {de for de, _ in pairs[:50]}


def test_no_sentence_twice_and_none_too_long(pairs):
    assert len({de for de, _ in pairs}) == len(pairs) == 3000
    assert all(2 < len(side.split()) <= LONGEST for pair in pairs for side in pair)


def test_words_are_plain(pairs):
    for side in (side for pair in pairs for side in pair):
        assert side == " ".join(side.lower().split()) and not re.search(r"[_|+*/-]|none| [,] [.,?]", side)


def test_splits_are_disjoint_whole_and_of_the_sizes_asked_for(tmp_path):
    write_corpus(tmp_path / "text", (60, 20, 10), seed=3)
    lines = {path.name: path.read_text("utf-8").splitlines() for path in (tmp_path / "text").iterdir()}
    sizes = {"train": 60, "valid": 20, "test": 10}
    assert {name: len(found) for name, found in lines.items()} == {
        f"{split}.{language}": size for split, size in sizes.items() for language in ("de", "en")
    }
    assert len({line for split in sizes for line in lines[f"{split}.de"]}) == 90


@pytest.mark.parametrize("sizes", [(10, 10), (10, 0, 10)])
def test_bad_sizes_are_refused_and_nothing_is_written(tmp_path, sizes):
    with pytest.raises(ValueError, match="three counts of at least 1"):
        write_corpus(tmp_path / "text", sizes, seed=1)
    assert not (tmp_path / "text").exists()


def test_bad_count_is_refused():
    with pytest.raises(ValueError, match="at least 1"):
        generate_pairs(0, seed=1)


def noun_after(determiner, side, nouns):
    """The known nouns that follow a word directly, over all sentences of one side."""
    found = re.findall(rf"\b{determiner} (\w+)", " . ".join(side))
    return [word for word in found if word in nouns]


def test_german_articles_agree_with_their_nouns(pairs):
    german = [de for de, _ in pairs]
    accusatives = noun_after("den", german, MASCULINE ^ NOT_MASCULINE)
    plural_datives = {lexicon_form for noun in lexicon.NOUNS for lexicon_form in (noun.de_plural, noun.de_plural + "n")}
    assert len(accusatives) > 30
    assert {word for word in accusatives if word in NOT_MASCULINE - MASCULINE} <= plural_datives
    assert len(noun_after("das", german, MASCULINE - NOT_MASCULINE)) == 0
    assert len(noun_after("eine", german, MASCULINE - NOT_MASCULINE)) == 0


def test_english_agrees_in_number(pairs):
    english = [en for _, en in pairs]
    for determiner in ("a", "every", "this"):
        assert noun_after(determiner, english, SINGULARS) and not noun_after(determiner, english, PLURALS)
    for determiner in ("two", "these"):
        assert noun_after(determiner, english, PLURALS) and not noun_after(determiner, english, SINGULARS)
    assert not re.search(r"\ba [aeiou]|\ban [^aeiou]", " ".join(english))


def test_english_verbs_agree_with_pronouns(pairs):
    english = " . ".join(en for _, en in pairs)
    third = {verb.en + "s" for verb in lexicon.VERBS}
    assert set(re.findall(r"[.,] (?:he|she|it) (\w+)", english)) & third
    assert not set(re.findall(r"[.,] (?:i|you|we|they) (\w+)", english)) & third
    assert not re.search(r"[.,] (?:he|she|it) (?:do|are|have|were|want)\b", english)


def test_german_word_order(pairs):
    assert sentence(pairs, r"^(?:gestern|letzte woche) (?:hat|ist|habe|bin|haben|sind) ")
    assert not sentence(pairs, r"^gestern (?:der|die|das|ein|eine) ")
    _, english = sentence(pairs, r"^\w+ ruft .* an \.$")
    assert " calls " in english
    assert sentence(pairs, r", (?:weil|dass|ob) .*\w+ (?:hat|haben|ist|sind) \.$")
    assert not sentence(pairs, r", (?:weil|dass) (?:hat|haben|ist|sind) ")


def test_context_decides_between_readings(pairs):
    for word, first, second in (("birne", "pear", "bulb"), ("schloss", "lock", "castle"), ("scharf", "sharp", "spicy")):
        found = [en for de, en in pairs if re.search(rf"\b{word}\b", de)]
        counts = [sum(bool(re.search(rf"\b{en}\b", line)) for line in found) for en in (first, second)]
        assert min(counts) > 1, (word, counts)


def test_tables_give_each_german_word_one_translation_in_its_place():
    places = collections.defaultdict(set)
    for verb in lexicon.VERBS:
        for kind in verb.kinds:
            for other in verb.object_kinds or {""}:
                places[verb.prefix, verb.de, verb.frame == "dir", kind, other].add((verb.en, verb.particle))
    for adjective in lexicon.ADJECTIVES:
        for kind in adjective.kinds:
            places[adjective.de, kind].add(adjective.en)
    for noun in lexicon.NOUNS:
        places[noun.de, noun.kind, "noun"].add(noun.en)
    assert [place for place, english in places.items() if len(english) > 1] == []


def test_one_german_sentence_has_one_english(pairs):
    other = dict(generate_pairs(2000, seed=2))
    shared = [(de, en) for de, en in pairs if de in other]
    assert shared and all(other[de] == en for de, en in shared)


def dictionary(pairs):
    """The best English word for each German one, by how much more often they meet than by chance (Dice)."""
    german, english, both = collections.Counter(), collections.Counter(), collections.Counter()
    for de, en in pairs:
        ours, theirs = set(de.split()), set(en.split())
        german.update(ours)
        english.update(theirs)
        both.update((a, b) for a in ours for b in theirs)
    best = {}
    for (a, b), count in both.items():
        best[a] = max(best.get(a, (0, "")), (2 * count / (german[a] + english[b]), b))
    return {word: translation for word, (_, translation) in best.items()}


def test_a_dictionary_is_not_enough(pairs):
    train, test = pairs[:2700], pairs[2700:]
    words = dictionary(train)
    guesses = [" ".join(words.get(word, word) for word in de.split()) for de, _ in test]
    references = [[en for _, en in test]]
    score = sacrebleu.corpus_bleu(guesses, references, tokenize="none", force=True).score
    assert 5 < score < 30
    singles = sacrebleu.corpus_bleu(guesses, references, tokenize="none", force=True).precisions[0]
    assert singles > 55  # so the dictionary itself is a fair one


def test_the_script_writes_it(tmp_path):
    """As the demo calls it: from outside, without the package in the path."""
    script = Path(__file__).parents[1] / "scripts" / "make_corpus.py"
    words = [sys.executable, script, tmp_path / "text", "--pairs", "50", "--held-out", "5"]
    subprocess.run(words, check=True, cwd=tmp_path, env={**os.environ, "PYTHONPATH": ""})
    lengths = {path.name: len(path.read_text().splitlines()) for path in (tmp_path / "text").iterdir()}
    assert lengths == {f"{split}.{side}": 50 if split == "train" else 5 for split in SPLITS for side in ("de", "en")}


SPLITS = ("train", "valid", "test")
