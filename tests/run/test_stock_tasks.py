"""Every task of fairseq has a pruning version; some of every kind train here: exact, kept pruned, resumed."""

import random
import shutil

import numpy as np
import pytest
import torch
from conftest import USER_DIR, masks_of, run_fairseq, same_tensors, words_of
from fairseq import checkpoint_utils
from fairseq.tasks import TASK_REGISTRY
from torch.utils.flop_counter import FlopCounterMode

from fairseq_prune.compat import load_checkpoint
from fairseq_prune.engine.mixin import PruneMixin

TEXT = """--encoder-layers 1 --decoder-layers 1 --encoder-embed-dim 16 --decoder-embed-dim 16 --encoder-ffn-embed-dim 32
    --decoder-ffn-embed-dim 32 --encoder-attention-heads 2 --decoder-attention-heads 2 --max-tokens 100"""
AUDIO = """--conv-feature-layers [(16,10,5),(16,3,4)] --encoder-layers 1 --encoder-embed-dim 16
    --encoder-ffn-embed-dim 32 --encoder-attention-heads 2 --conv-pos 4 --conv-pos-groups 2
    --final-dim 8 --max-tokens 20000"""
RUNS = {  # task -> fixture of its data, options
    "translation_lev": ("parallel", f"""--arch levenshtein_transformer --criterion nat_loss --noise random_delete
        --share-all-embeddings {TEXT}"""),
    "multilingual_translation": ("parallel", f"""--arch multilingual_transformer --lang-pairs de-en,en-de
        --criterion label_smoothed_cross_entropy --share-encoders --share-decoders {TEXT}"""),
    "translation_multi_simple_epoch": ("languages", f"""--arch transformer --lang-pairs de-en,en-de
        --encoder-langtok src --decoder-langtok --criterion cross_entropy {TEXT}"""),
    "translation_from_pretrained_bart": ("parallel", f"""--arch mbart_base --langs de,en --source-lang de
        --target-lang en --layernorm-embedding --share-all-embeddings --criterion cross_entropy {TEXT}"""),
    "denoising": ("monolingual", f"""--arch bart_base --mask 0.3 --mask-length span-poisson --poisson-lambda 3.0
        --tokens-per-sample 32 --sample-break-mode complete --criterion cross_entropy {TEXT}"""),
    "sentence_prediction": ("sentences", """--arch roberta --encoder-layers 1 --encoder-embed-dim 16
        --encoder-ffn-embed-dim 32 --encoder-attention-heads 2 --criterion sentence_prediction --num-classes 2
        --init-token 0 --separator-token 2 --max-positions 64 --batch-size 8"""),
    "speech_to_text": ("features", f"""--arch s2t_transformer_s --config-yaml config.yaml --train-subset train
        --valid-subset dev --criterion label_smoothed_cross_entropy --conv-channels 16 {TEXT} --max-tokens 2000"""),
    "audio_pretraining": ("audio", f"""--arch wav2vec2 --criterion wav2vec --num-negatives 4 --infonce
        --normalize --quantize-targets --latent-vars 4 --latent-groups 2 {AUDIO}"""),
    "hubert_pretraining": ("audio", f"""--arch hubert --criterion hubert --labels ['km'] --label-dir AUDIO
        --label-rate 100 --mask-prob 0.5 --pred-masked-weight 1.0 {AUDIO}"""),
}  # fmt: skip


# Their data or masks draw from the generators of the process, in fairseq too: a resumed run has other noise.
DRAWS = {"denoising", "audio_pretraining", "hubert_pretraining"}


def test_every_task_has_a_pruning_version():
    stock = {name for name, task in TASK_REGISTRY.items() if task.__module__.startswith("fairseq.")}
    assert len(stock) >= 36
    for name in stock:
        task = TASK_REGISTRY[f"prune_{name}"]
        assert issubclass(task, PruneMixin) and issubclass(task, TASK_REGISTRY[name])


@pytest.fixture(scope="module")
def languages(parallel, tmp_path_factory):
    """The parallel data with a dictionary for each language."""
    return parallel


@pytest.fixture(scope="module")
def sentences(text, tmp_path_factory):
    """Sentences with a label each, as fairseq's GLUE script makes them."""
    folder = tmp_path_factory.mktemp("sentences")
    for split in ("train", "valid"):
        lines = (text / f"{split}.en").read_text().splitlines()
        (folder / f"{split}.label").write_text("".join(f"{len(line) % 2}\n" for line in lines))
    splits = ["--trainpref", text / "train.en", "--validpref", text / "valid.en"]
    run_fairseq("preprocess", "--only-source", *splits, "--destdir", folder / "input0")
    labels = ["--trainpref", folder / "train.label", "--validpref", folder / "valid.label"]
    run_fairseq("preprocess", "--only-source", *labels, "--destdir", folder / "label")
    return folder


@pytest.fixture(scope="module")
def features(text, tmp_path_factory):
    """Generated filter-bank features with their sentences."""
    folder, rng = tmp_path_factory.mktemp("features"), np.random.default_rng(1)
    (folder / "dict.txt").write_text("".join(f"w{i} 1\n" for i in range(40)))
    (folder / "config.yaml").write_text("vocab_filename: dict.txt\ninput_feat_per_channel: 8\ninput_channels: 1\n")
    for split, name in (("train", "train"), ("dev", "valid")):
        rows = ["id\taudio\tn_frames\ttgt_text\tspeaker"]
        for i, line in enumerate((text / f"{name}.en").read_text().splitlines()[:40]):
            frames = 8 * len(line.split())
            np.save(folder / f"{split}{i}.npy", rng.standard_normal((frames, 8)).astype(np.float32))
            rows.append(f"{split}{i}\t{folder}/{split}{i}.npy\t{frames}\t{line}\tone")
        (folder / f"{split}.tsv").write_text("\n".join(rows) + "\n")
    return folder


@pytest.fixture(scope="module")
def audio(tmp_path_factory):
    """Generated sounds, with a cluster for every frame and letters for every sound."""
    import soundfile

    folder, rng = tmp_path_factory.mktemp("audio"), np.random.default_rng(1)
    letters, sounds = random.Random(1), folder / "sounds"
    sounds.mkdir()
    (folder / "dict.km.txt").write_text("".join(f"{i} 1\n" for i in range(5)))
    (folder / "dict.ltr.txt").write_text("".join(f"{c} 1\n" for c in "|abcd"))
    for split, count in (("train", 24), ("valid", 4)):
        manifest, clusters, words = [str(sounds)], [], []
        for i in range(count):
            samples = 160 * int(rng.integers(20, 30))
            soundfile.write(sounds / f"{split}{i}.wav", 0.1 * rng.standard_normal(samples), 16000)
            manifest.append(f"{split}{i}.wav\t{samples}")
            clusters.append(" ".join(str(rng.integers(5)) for _ in range(samples // 160)))
            words.append(" ".join(letters.choice("abcd") for _ in range(4)) + " |")
        for ending, lines in (("tsv", manifest), ("km", clusters), ("ltr", words)):
            (folder / f"{split}.{ending}").write_text("\n".join(lines) + "\n")
    return folder


def train(task, data, folder, options, *words):
    common = """--optimizer adam --lr 0.01 --cpu --num-workers 0 --max-update 6 --no-epoch-checkpoints
        --log-format simple --log-interval 1000 --required-batch-size-multiple 1"""
    options = words_of(options.replace("AUDIO", str(data)))
    where = data if isinstance(data, list) else [data]
    run_fairseq(
        "train",
        *where,
        "--user-dir",
        USER_DIR,
        "--task",
        task,
        *options,
        *words_of(common),
        "--save-dir",
        folder,
        *words,
    )
    return load_checkpoint(folder / "checkpoint_last.pt")


PRUNED = words_of(
    "--prune-method magnitude --prune-target 0.75 --prune-schedule linear --prune-end 4up --prune-every 2up"
)


def fraction(checkpoint):
    masks, model = masks_of(checkpoint), checkpoint["model"]
    for name, keep in masks.items():
        assert not model[name][~keep].any()
    places = {model[name].data_ptr(): keep for name, keep in masks.items()}
    shapes = {v.data_ptr(): v.numel() for n, v in model.items() if v.dim() > 1 and v.is_floating_point()}
    return sum(int((~keep).sum()) for keep in places.values()) / sum(shapes.values())


@pytest.mark.parametrize("task", RUNS)
def test_trains_pruned(task, request, tmp_path):
    fixture, options = RUNS[task]
    data = request.getfixturevalue(fixture)
    whole = train(f"prune_{task}", data, tmp_path / "whole", options, *PRUNED, "--save-interval-updates", "3")
    assert fraction(whole) == pytest.approx(0.75, abs=0.02) and all(
        value.isfinite().all() for value in whole["model"].values() if value.is_floating_point()
    )
    (tmp_path / "again").mkdir()
    shutil.copy(next((tmp_path / "whole").glob("checkpoint_*_3.pt")), tmp_path / "again" / "checkpoint_last.pt")
    again = train(f"prune_{task}", data, tmp_path / "again", options, *PRUNED)
    if task not in DRAWS:
        assert same_tensors(dict(again["model"]), dict(whole["model"]))


def test_a_budget_of_multiplications_that_no_formula_knows(features, tmp_path):
    """A speech model is run to see what it multiplies: neurons are removed until it is as little as asked."""
    options = RUNS["speech_to_text"][1]
    words = words_of("--prune-method magnitude --prune-units neuron --prune-macs-left 0.95")
    dense = train("prune_speech_to_text", features, tmp_path / "dense", f"{options} --max-update 1")
    model = train("prune_speech_to_text", features, tmp_path / "pruned", options, *words)["model"]
    neurons = [name for name in model if name.endswith("fc1.weight")]
    left, whole = (sum(len(state[name]) for name in neurons) for state in (model, dense["model"]))
    assert 2 < left < whole == 64
    before, after = (torch_counts(tmp_path / name / "checkpoint_last.pt") for name in ("dense", "pruned"))
    assert 0.94 < after / before <= 0.95


def torch_counts(path):
    """Multiply-accumulates of a forward pass over the first training sample."""
    (model,), cfg, task = checkpoint_utils.load_model_ensemble_and_task([str(path)])
    task.load_dataset("train")
    inputs = task.dataset("train").collater([task.dataset("train")[0]])["net_input"]
    with FlopCounterMode(display=False) as counter:
        model.eval()(**inputs)
    return counter.get_total_flops() // 2


def taught(folder):
    """Options of a student of the model in a folder, which tell at every update how far it is from it."""
    return ["--prune-teacher", folder / "checkpoint_last.pt", "--log-interval", "1", "--max-update", "2"]


@pytest.mark.parametrize("task", ["multilingual_translation", "sentence_prediction", "speech_to_text"])
def test_learns_from_a_teacher(task, request, tmp_path, caplog):
    fixture, options = RUNS[task]
    data = request.getfixturevalue(fixture)
    train(f"prune_{task}", data, tmp_path / "teacher", options, "--max-update", "1")
    assert "kd_loss" not in caplog.text
    train(f"prune_{task}", data, tmp_path / "student", options, *taught(tmp_path / "teacher"))
    assert "kd_loss" in caplog.text


def test_fine_tuning_a_pruned_encoder(audio, tmp_path, caplog):
    """What is removed of wav2vec 2.0 stays removed while a model that loads it is trained with CTC."""
    pretrained = train("prune_audio_pretraining", audio, tmp_path / "w2v", RUNS["audio_pretraining"][1], *PRUNED)
    options = f"""--arch wav2vec_ctc --w2v-path {tmp_path / "w2v" / "checkpoint_last.pt"} --labels ltr --criterion ctc
        --normalize --apply-mask --mask-prob 0.3 --max-tokens 20000 --freeze-finetune-updates 0 --disable-validation"""
    tuned = train("prune_audio_finetuning", audio, tmp_path / "ctc", options)
    before, after = masks_of(pretrained), masks_of(tuned)
    moved = 0
    for name, keep in before.items():
        inner = f"w2v_encoder.w2v_model.{name}"
        if inner in tuned["model"]:
            assert torch.equal(after[inner], keep) and not tuned["model"][inner][~keep].any()
            moved += int((tuned["model"][inner] != pretrained["model"][name]).sum())
    assert moved and len(after) > 5
    caplog.clear()
    train("prune_audio_finetuning", audio, tmp_path / "taught", options, *taught(tmp_path / "ctc"))
    assert "kd_loss=" in caplog.text
