"""Cleaning and preparing IWSLT'14, on an archive of a few invented lines."""

import os
import shutil
import tarfile
from pathlib import Path

import programs
import pytest
from srp_models import build

SCRIPTS = Path(__file__).parent.parent / "scripts"
TESTS = ("TED.dev2010", "TEDX.dev2012", "TED.tst2010", "TED.tst2011", "TED.tst2012")
SENTENCES = {"de": "Das ist Satz Nummer", "en": "This is sentence number"}


@pytest.fixture
def archive(tmp_path):
    """The archive's folder de-en: 46 good pairs, a title, and lines that cleaning has to drop."""
    folder = tmp_path / "de-en"
    folder.mkdir()
    for language, words in SENTENCES.items():
        lines = ["<url>http://x</url>", "<talkid>1</talkid>", "<title>Ein Titel, zwei</title>"]
        lines += [f"{words} {number}, ja!" for number in range(45)]
        lines += ["" if language == "de" else "Nothing there.", f"{words} " * 60]
        lines += ["Kurz" if language == "de" else "a much longer side", "<reviewer></reviewer>"]
        (folder / f"train.tags.de-en.{language}").write_text("\n".join(lines) + "\n", "utf-8")
        for name in TESTS:
            text = f'<doc>\n<title>x</title>\n<seg id="1"> {words} {name} </seg>\n</doc>\n'
            (folder / f"IWSLT14.{name}.de-en.{language}.xml").write_text(text, "utf-8")
    return folder


def clean(folder, out):
    """Runs the cleaning script."""
    return programs.run(["python3", SCRIPTS / "iwslt14_text.py", folder, out])


def test_cleaning(archive, tmp_path):
    assert clean(archive, tmp_path / "text").returncode == 0
    text = {path.name: path.read_text("utf-8").splitlines() for path in (tmp_path / "text").iterdir()}
    assert text["train.de"][:2] == ["ein titel , zwei", "das ist satz nummer 0 , ja !"]
    assert text["valid.en"] == [f"this is sentence number {number} , ja !" for number in (21, 44)]
    assert [line.split()[-1] for line in text["test.de"]] == [name.lower() for name in TESTS]
    sizes = {name: len(lines) for name, lines in text.items()}
    assert sizes == {f"{s}.{la}": n for s, n in (("train", 44), ("valid", 2), ("test", 5)) for la in SENTENCES}


@pytest.mark.parametrize("fault", ["missing", "unequal"])
def test_a_damaged_archive_is_refused_in_one_line(archive, tmp_path, fault):
    if fault == "missing":
        (archive / "IWSLT14.TED.tst2011.de-en.en.xml").unlink()
    else:
        (archive / "train.tags.de-en.en").write_text("one line")
    result = clean(archive, tmp_path / "text")
    assert result.returncode == 1 and result.stderr.count("\n") == 1 and not (tmp_path / "text").exists()


@pytest.mark.parametrize("source", ["no network", "no archive", "no corpus inside"])
def test_prepare_leaves_nothing_behind(tmp_path, source):
    (tmp_path / "tmp").mkdir()
    environment = os.environ | {"TMPDIR": str(tmp_path / "tmp"), "IWSLT14_URL": "http://localhost:9/de-en.tgz"}
    if source != "no network":
        environment["ARCHIVE"] = str(tmp_path / "de-en.tgz")
    if source == "no corpus inside":
        tarfile.open(tmp_path / "de-en.tgz", "w:gz").close()
    command = [SCRIPTS / "prepare_iwslt14.sh", tmp_path / "out"]
    result = programs.run(command, environment)
    assert result.returncode and result.stderr.count("\n") == 1, result.stderr
    assert not (tmp_path / "out").exists() and not list((tmp_path / "tmp").iterdir())


@pytest.fixture
def elsewhere(archive, tmp_path):
    """The scripts in a folder of their own, beside which data go, and the archive packed."""
    shutil.copytree(SCRIPTS, tmp_path / "suite/scripts")
    with tarfile.open(tmp_path / "de-en.tgz", "w:gz") as file:
        file.add(archive, "de-en")
    return tmp_path / "suite", os.environ | {"ARCHIVE": str(tmp_path / "de-en.tgz")}


@pytest.mark.parametrize("dictionaries", [None, "joined"])
def test_the_command_of_the_docs(elsewhere, tmp_path, dictionaries):
    """As printed in docs/srp.md, without OUT: where scripts/srp look for it, a dictionary for each side."""
    suite, environment = elsewhere
    environment |= {"DICTIONARIES": dictionaries} if dictionaries else {}
    command = [suite / "scripts/prepare_iwslt14.sh"]
    result = programs.run(command, environment, tmp_path)
    assert result.returncode == 0, result.stderr
    out = suite / "data-bin/iwslt14.tokenized.de-en"
    words = {la: (out / f"dict.{la}.txt").read_text("utf-8").splitlines() for la in SENTENCES}
    assert (words["de"] == words["en"]) == bool(dictionaries)
    sizes = ", ".join(f"{len(words[la]) + 4} {la}" for la in SENTENCES)
    assert f"({dictionaries or 'separate'}): {sizes}" in result.stdout
    again = programs.run(command, environment)
    assert (again.returncode, again.stdout) == (0, f"{out}: already there, kept\n")
    other = programs.run(command, environment | {"DICTIONARIES": "separate" if dictionaries else "joined"})
    assert other.returncode == 2 and f"OUT {out} exists already and was made of something else" in other.stderr


def test_an_unknown_kind_of_dictionaries_is_refused(elsewhere):
    suite, environment = elsewhere
    command = [suite / "scripts/prepare_iwslt14.sh"]
    result = programs.run(command, environment | {"DICTIONARIES": "both"})
    assert result.returncode == 2 and "DICTIONARIES both: give joined or separate" in result.stderr
    assert not (suite / "data-bin").exists()


def test_the_reference_model_of_those_dictionaries():
    """8,848 and 6,632 entries, the target's tied to the output: what SRP's authors began with."""
    model = build("srp_iwslt_de_en", words=(8848, 6632), share_decoder_input_output_embed=True)
    assert sum(parameter.numel() for parameter in model.parameters()) == 39_469_056
