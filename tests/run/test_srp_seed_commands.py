"""The commands of SRP's own README run here, with fairseq's programs in place of the authors' scripts."""

import re
import shlex

import pytest
from conftest import TINY, USER_DIR, Run, run_fairseq
from srp_diary import size, widths

TRAIN = r"""
    ../data-bin/iwslt14.tokenized.de-en \
    --user-dir ../src \
    --arch srp_iwslt_de_en --share-decoder-input-output-embed \
    --task SRPtranslation \
    --optimizer srp_adam --adam-betas '(0.9, 0.98)' --clip-norm 0.0 \
    --dropout 0.3 --weight-decay 0.0001 \
    --criterion srp --label-smoothing 0.1 \
    --max-tokens 4096 \
    --eval-bleu \
    --eval-bleu-args '{"beam": 5, "max_len_a": 1.2, "max_len_b": 10}' \
    --eval-bleu-detok moses \
    --eval-bleu-remove-bpe \
    --eval-bleu-print-samples \
    --best-checkpoint-metric bleu --maximize-best-checkpoint-metric \
"""  # what all five have
COMMANDS = {  # in the order of the README; without CUDA_VISIBLE_DEVICES=0, and with its "..src" put right
    "base": r"""python ../src/train.py TRAIN
    --lr 5e-4 --lr-scheduler inverse_sqrt --warmup-updates 4000 \
    --save-dir ../checkpoints/base \
""",
    "stage1": r"""python ../src/pruning.py TRAIN
    --lr 5e-4 \
    --max-epoch 20 --weighted-layernorm \
    --compression-rate 0.2 --srp --pruning-stage 1 \
    --save-interval 1 \
    --pruning-iter 1 --pruning-period 20 --decreasing sa \
    --save-dir ../checkpoints/stage1 \
    --pretrained-model ../checkpoints/base/checkpoint_best.pt \
""",
    "stage2": r"""python ../src/pruning.py TRAIN
    --lr 5e-4 \
    --compression-rate 0.2 --srp --pruning-stage 2 \
    --save-interval 1 --weighted-layernorm \
    --pruning-iter 1 --pruning-period 20 --decreasing sa \
    --save-dir ../checkpoints/stage2 \
    --pretrained-model ../checkpoints/stage1/checkpoint_last.pt
""",
    "single_stage": r"""python ../src/pruning.py TRAIN
    --lr 5e-4 \
    --compression-rate 0.2 --srp --pruning-stage 0 \
    --pruning-iter 1 --pruning-period 20 --decreasing sa \
    --save-dir ../checkpoints/single_stage \
    --pretrained-model ../checkpoints/base/checkpoint_best.pt
""",
    "finetuned": r"""python ../src/finetuning.py TRAIN
    --lr 5e-4 \
    --max-epoch 20 \
    --save-dir ../checkpoints/finetuned \
    --pretrained-model ../checkpoints/stage2/checkpoint_last.pt
""",
}
GENERATE = r"""python ../src/generate.py ../data-bin/iwslt14.tokenized.de-en \
    --user-dir ../src --arch srp_iwslt_de_en --task SRPtranslation \
    --weighted-layernorm \
    --path ../checkpoints/base/checkpoint_best.pt \
    --batch-size 128 --beam 5 --remove-bpe
"""
SHORTER = {"--max-epoch": "1", "--pruning-period": "1", "--warmup-updates": "2"}


def words_of(command, data, checkpoints):
    """The command's words for fairseq-train or fairseq-generate, on toy data, in few updates."""
    command = command.replace("TRAIN", TRAIN.strip()).replace("../checkpoints", str(checkpoints))
    words = shlex.split(command.replace("\\\n", " ").replace("../data-bin/iwslt14.tokenized.de-en", str(data)))
    words = [USER_DIR if word == "../src" else word for word in words[2:]]
    for option, value in SHORTER.items():
        if option in words:
            words[words.index(option) + 1] = value
    return [*words, "--cpu", "--num-workers", "0"]


@pytest.fixture(scope="module")
def checkpoints(parallel, tmp_path_factory):
    """All five runs, one after the other."""
    folder = tmp_path_factory.mktemp("checkpoints")
    for command in COMMANDS.values():
        words = words_of(command, parallel, folder)
        end = [] if "--max-epoch" in words else ["--max-epoch", "1"]  # the README stops them by hand
        run_fairseq("train", *words, *end, *TINY.split())
    return folder


def last(checkpoints, name):
    return Run(checkpoints / name, None, None, None).checkpoint()


def test_stages(checkpoints):
    ends = {name: last(checkpoints, name) for name in COMMANDS}
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


@pytest.mark.parametrize("name", COMMANDS)
def test_best_has_the_best_bleu(checkpoints, name):
    """Of the cut model, in the runs that cut."""
    best = Run(checkpoints / name, None, None, None).checkpoint("checkpoint_best.pt")
    assert widths(best) == widths(last(checkpoints, name))
    assert 0 <= best["extra_state"]["best"] == best["extra_state"]["val_loss"] <= 100  # BLEU, which goes up


@pytest.mark.parametrize("name", ["base", "finetuned"])
def test_generate(checkpoints, parallel, capsys, name):
    command = GENERATE.replace("/base/", f"/{name}/")
    run_fairseq("generate", *words_of(command, parallel, checkpoints), "--max-len-b", "5")
    out = capsys.readouterr().out
    assert len(re.findall(r"^H-\d", out, re.MULTILINE)) == 8 and "BLEU4 = " in out
