"""The commands of docs/seeds/srp.md, those of SRP's own README, run here on toy data."""

import re

import pytest
from conftest import TINY, USER_DIR, Run, run_fairseq
from pages import World, blocks
from srp_diary import size, widths

NAMES = ["base", "stage1", "stage2", "single_stage", "finetuned"]
SHORTER = {"--max-epoch": "1", "--pruning-period": "1", "--warmup-updates": "2"}


def words_of(words, data, checkpoints):
    """A command's words on toy data, in few updates."""
    places = {"data-bin/iwslt14.tokenized.de-en": str(data), "fairseq_prune": USER_DIR}
    words = [re.sub("^checkpoints(?=/)", str(checkpoints), places.get(word, word)) for word in words]
    for option, value in SHORTER.items():
        if option in words:
            words[words.index(option) + 1] = value
    return [*words, "--cpu", "--num-workers", "0"]


@pytest.fixture(scope="module")
def commands(tmp_path_factory):
    """Those of docs/seeds/srp.md: five trainings and the translation, lists of words."""
    world = World(tmp_path_factory.mktemp("world"), [], [])
    spoken = [command for block in blocks("docs/seeds/srp.md") for command in world.commands(block)]
    *trainings, translation = (words for name, *words in spoken if name in ("fairseq-train", "fairseq-generate"))
    assert len(trainings) == 5
    return trainings, translation


@pytest.fixture(scope="module")
def checkpoints(parallel, commands, tmp_path_factory):
    """All five runs, one after the other."""
    folder = tmp_path_factory.mktemp("checkpoints")
    for words in commands[0]:
        run_fairseq("train", *words_of(words, parallel, folder), *TINY.split())
    return folder


def last(checkpoints, name):
    return Run(checkpoints / name, None, None, None).checkpoint()


def test_stages(checkpoints):
    ends = {name: last(checkpoints, name) for name in NAMES}
    lengths = {name: widths(end) for name, end in ends.items()}
    assert set(lengths["base"].values()) == {16, 32}
    first = {name for name, length in lengths["stage1"].items() if length < lengths["base"][name]}
    assert first == {"encoder.embedding_c", "decoder.embedding_c"}
    second = {name for name, length in lengths["stage2"].items() if length < lengths["stage1"][name]}
    assert second | first == set(lengths["base"])
    attention = {name for name in lengths["base"] if not name.endswith("fc_c")}
    assert all(lengths["stage2"][name] == lengths["single_stage"][name] for name in attention)
    assert size(ends["stage2"]) <= 0.2 * size(ends["base"]) >= size(ends["single_stage"])


def test_finetuning_goes_on_with_what_is_left(checkpoints):
    before, after = last(checkpoints, "stage2"), last(checkpoints, "finetuned")
    assert widths(after) == widths(before)
    assert (after["model"]["encoder.layers.0.fc1.weight"] != before["model"]["encoder.layers.0.fc1.weight"]).any()


@pytest.mark.parametrize("name", NAMES)
def test_best_has_the_best_bleu(checkpoints, name):
    """Of the cut model, in the runs that cut."""
    best = Run(checkpoints / name, None, None, None).checkpoint("checkpoint_best.pt")
    assert widths(best) == widths(last(checkpoints, name))
    assert 0 <= best["extra_state"]["best"] == best["extra_state"]["val_loss"] <= 100  # BLEU, which goes up


@pytest.mark.parametrize("name", ["base", "finetuned"])
def test_generate(checkpoints, commands, parallel, capsys, name):
    words = [word.replace("/finetuned/", f"/{name}/") for word in commands[1]]
    run_fairseq("generate", *words_of(words, parallel, checkpoints), "--max-len-b", "5")
    out = capsys.readouterr().out
    assert len(re.findall(r"^H-\d", out, re.MULTILINE)) == 8 and "BLEU4 = " in out
