"""The rest of fairseq's tasks: each is trained once with pruning, or fails as fairseq's own does."""

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import USER_DIR, masks_of, run_fairseq
from fairseq.tasks import TASK_REGISTRY
from test_stock_tasks import PRUNED, RUNS, TEXT, audio, features, fraction, sentences, train  # noqa: F401

from fairseq_prune.compat import load_checkpoint

ENCODER = "--encoder-layers 1 --encoder-embed-dim 16 --encoder-ffn-embed-dim 32 --encoder-attention-heads 2"
DECODER = "--decoder-layers 1 --decoder-embed-dim 16 --decoder-ffn-embed-dim 32 --decoder-attention-heads 2"
DUMMY = "--dict-size 50 --dataset-size 64 --batch-size 8"
BERT = f"{ENCODER} --tokens-per-sample 32 --max-tokens 200"
TRAINED = {  # task -> fixture of its data, options
    "dummy_lm": (None, f"--arch transformer_lm --criterion cross_entropy --tokens-per-sample 16 {DUMMY} {DECODER}"),
    "dummy_masked_lm": (None, f"--arch roberta --criterion masked_lm --tokens-per-sample 16 {DUMMY} {ENCODER}"),
    "dummy_mt": (None, f"""--arch transformer --criterion cross_entropy --src-len 8 --tgt-len 8
        {DUMMY} {ENCODER} {DECODER}"""),
    "span_masked_lm": ("monolingual", f"--arch bart_base --criterion cross_entropy --tokens-per-sample 32 {TEXT}"),
    "multilingual_masked_lm": ("languages", f"--arch roberta --criterion masked_lm {BERT}"),
    "multilingual_denoising": ("languages", f"""--arch bart_base --criterion cross_entropy --tokens-per-sample 32
        --mask 0.3 --mask-length span-poisson --poisson-lambda 3.0 --sample-break-mode complete {TEXT}"""),
    "multilingual_language_modeling": ("languages", f"""--arch transformer_lm --criterion cross_entropy
        --multilang-sampling-alpha 0.5 --tokens-per-sample 32 --max-tokens 200 {DECODER}"""),
    "online_backtranslation": ("mono_and_parallel", f"""--arch transformer --mono-langs de,en --valid-lang-pairs de-en
        --criterion cross_entropy --share-all-embeddings {TEXT}"""),
    "sentence_ranking": ("ranked", f"""--arch roberta --criterion sentence_ranking --num-classes 2 --init-token 0
        --separator-token 2 --max-positions 64 --batch-size 8 {ENCODER}"""),
    "speech_dlm_task": ("channels", f"""--arch speech_dlm --criterion speech_dlm_criterion --decoder-cross-layers 1
        --main-and-cross-weights 0.5,0.5 --duration-prediction True --next-unit-prediction False
        --edge-unit-prediction True --tokens-per-sample 32 --max-tokens 200 --sample-break-mode eos {DECODER}"""),
    "speech_unit_modeling": ("units", f"""--arch transformer_ulm_tiny --criterion speech_unit_lm_criterion
        --ignore-f0-input --ignore-unused-valid-subsets --max-tokens 200 {DECODER}"""),
    "sentence_prediction_adapters": ("sentences", f"""--arch xmod_base_13 --criterion sentence_prediction_adapters
        --num-classes 2 --init-token 0 --separator-token 2 --max-positions 64 --batch-size 8 {ENCODER}"""),
    "text_to_speech": ("spectrograms", """--arch tts_transformer --criterion tacotron2 --config-yaml config.yaml
        --train-subset train --valid-subset dev --max-tokens 2000 --encoder-embed-dim 16 --encoder-attention-heads 2
        --encoder-transformer-layers 1 --encoder-conv-layers 1 --encoder-conv-kernel-size 3
        --decoder-transformer-layers 1 --decoder-embed-dim 16 --decoder-ffn-embed-dim 32 --decoder-attention-heads 2
        --prenet-dim 16 --prenet-layers 1 --postnet-layers 1 --postnet-conv-dim 16 --postnet-conv-kernel-size 3
        --output-frame-dim 8"""),
    "speech_to_speech": ("translated_speech", f"""--arch s2ut_transformer --criterion speech_to_unit
        --label-smoothing 0.1 --config-yaml config.yaml --train-subset train --valid-subset dev --target-is-code
        --target-code-size 10 --vocoder code_hifigan --conv-channels 16 {TEXT} --max-tokens 2000"""),
}  # fmt: skip
FAILING = {  # task -> fixture, options, how fairseq's own ends in this version
    "cross_lingual_lm": ("monolingual", f"--arch xlm_base --criterion legacy_masked_lm_loss {BERT}",
        "MaskedLMDictionary.*add_special_symbols"),
    "legacy_masked_lm": ("monolingual", f"--arch bert_base --criterion legacy_masked_lm_loss {BERT}",
        "BertDictionary.*add_special_symbols"),
    "translation_from_pretrained_xlm": ("parallel", f"--arch transformer --criterion cross_entropy {TEXT}",
        "MaskedLMDictionary.*add_special_symbols"),
    "simul_text_to_text": ("parallel", f"--arch transformer --criterion cross_entropy {TEXT}",
        "examples.simultaneous_translation"),
    "simul_speech_to_text": ("features", RUNS["speech_to_text"][1], "examples.simultaneous_translation"),
    "semisupervised_translation": ("parallel", f"""--arch multilingual_transformer --lang-pairs de-en,en-de
        --criterion cross_entropy {TEXT}""", "loss"),
    "frm_text_to_speech": ("spectrograms", TRAINED["text_to_speech"][1], "unexpected keyword argument 'data_cfg'"),
}  # fmt: skip


@pytest.fixture(scope="module")
def languages(monolingual, tmp_path_factory):
    """Text of two languages, each in its folder; of one there is less."""
    folder = tmp_path_factory.mktemp("languages")
    shutil.copy(monolingual / "dict.txt", folder)
    for language, split in (("de", "train"), ("en", "valid")):
        shutil.copytree(monolingual, folder / language)
        for ending in ("bin", "idx"):
            shutil.copy(monolingual / f"{split}.{ending}", folder / language / f"train.{ending}")
    return folder


@pytest.fixture(scope="module")
def mono_and_parallel(parallel, tmp_path_factory):
    """The parallel data, and both sides of them as text of one language."""
    folder = tmp_path_factory.mktemp("mono") / "data"
    shutil.copytree(parallel, folder)
    shutil.copy(folder / "dict.de.txt", folder / "dict.txt")
    for language in ("de", "en"):
        (folder / language).mkdir()
        for ending in ("bin", "idx"):
            shutil.copy(folder / f"train.de-en.{language}.{ending}", folder / language / f"train.{ending}")
    return folder


@pytest.fixture(scope="module")
def ranked(text, monolingual, tmp_path_factory):
    """Sentences with two options each, of which one is right."""
    folder = tmp_path_factory.mktemp("ranked")
    splits = ["--srcdict", monolingual / "dict.txt", "--trainpref", text / "train.en", "--validpref", text / "valid.en"]
    for name in ("input0", "input1", "input2"):
        run_fairseq("preprocess", "--only-source", *splits, "--destdir", folder / name)
    (folder / "label").mkdir()
    for split in ("train", "valid"):
        lines = (text / f"{split}.en").read_text().splitlines()
        (folder / "label" / f"{split}.label").write_text("".join(f"{len(line) % 2}\n" for line in lines))
    return folder


@pytest.fixture(scope="module")
def channels(monolingual, tmp_path_factory):
    """Two channels of units, as of two people who talk."""
    folder = tmp_path_factory.mktemp("channels")
    for channel in ("unitA", "unitB"):
        shutil.copy(monolingual / "dict.txt", folder / f"dict.{channel}.txt")
        for split in ("train", "valid"):
            for ending in ("bin", "idx"):
                shutil.copy(monolingual / f"{split}.{ending}", folder / f"{split}.{channel}.{ending}")
    return folder


@pytest.fixture(scope="module")
def units(tmp_path_factory):
    """Units of speech, how long each lasts, and its pitch."""
    folder, rng = tmp_path_factory.mktemp("units"), np.random.default_rng(1)
    for split, count in (("train", 24), ("valid", 4)):
        lengths = rng.integers(5, 10, count)
        (folder / f"{split}.leng.txt").write_text("".join(f"{length}\n" for length in lengths))
        (folder / f"{split}.path.txt").write_text("".join(f"{split}{i}.wav\n" for i in range(count)))
        np.save(folder / f"{split}.code.npy", rng.integers(0, 10, lengths.sum()))
        np.save(folder / f"{split}.dur.npy", rng.integers(1, 5, lengths.sum()))
        np.save(folder / f"{split}.f0.npy", rng.uniform(80, 200, lengths.sum()).astype(np.float32))
        torch.save({"f0_mean": 140.0}, folder / f"{split}.f0_stat.pt")
    manifests = {split: str(folder / split) for split in ("train", "valid")}
    about = {"manifests": manifests, "n_units": 10, "sampling_rate": 16000, "code_hop_size": 320}
    (folder / "config.json").write_text(json.dumps(about))
    return folder / "config.json"


def table_of_arrays(folder, columns, rows):
    """A table as speech tasks read it; the second column names a generated array of as many frames as the third."""
    rng = np.random.default_rng(1)
    for split in ("train", "dev"):
        lines = [columns]
        for i, (frames, *more) in enumerate(rows(split)):
            np.save(folder / f"{split}{i}.npy", rng.standard_normal((frames, 8)).astype(np.float32))
            lines.append("\t".join([f"{split}{i}", f"{folder}/{split}{i}.npy", str(frames), *more]))
        (folder / f"{split}.tsv").write_text("\n".join(lines) + "\n")


@pytest.fixture(scope="module")
def spectrograms(text, tmp_path_factory):
    """Sentences with spectrograms to be spoken."""
    folder = tmp_path_factory.mktemp("spectrograms")
    (folder / "dict.txt").write_text("".join(f"w{i} 1\n" for i in range(40)))
    kind = "type: spectrogram, sample_rate: 16000, n_fft: 512, hop_len_t: 0.01, win_len_t: 0.02, n_mels: 8"
    kind += ", eps: 1.0e-5, f_min: 0, f_max: 8000"
    (folder / "config.yaml").write_text(f"vocab_filename: dict.txt\nfeatures: {{{kind}}}\n")

    def rows(split):
        lines = (text / f"{'valid' if split == 'dev' else split}.en").read_text().splitlines()[:24]
        return [(8 * len(line.split()), line, "one") for line in lines]

    table_of_arrays(folder, "id\taudio\tn_frames\ttgt_text\tspeaker", rows)
    return folder


@pytest.fixture(scope="module")
def translated_speech(tmp_path_factory):
    """Features with the units of their translation."""
    folder, rng = tmp_path_factory.mktemp("translated"), np.random.default_rng(2)
    (folder / "config.yaml").write_text("input_feat_per_channel: 8\ninput_channels: 1\n")

    def rows(split):
        return [(20 + i, " ".join(map(str, rng.integers(0, 10, 8))), "8") for i in range(12)]

    table_of_arrays(folder, "id\tsrc_audio\tsrc_n_frames\ttgt_audio\ttgt_n_frames", rows)
    return folder


@pytest.mark.parametrize("task", TRAINED)
def test_trains_pruned(task, request, tmp_path):
    fixture, options = TRAINED[task]
    data = [request.getfixturevalue(fixture)] if fixture else []
    assert fraction(train(f"prune_{task}", data, tmp_path / "run", options, *PRUNED)) == pytest.approx(0.75, abs=0.02)


@pytest.mark.parametrize("task", FAILING)
def test_fails_as_fairseq_s_own(task, request, tmp_path):
    """What is broken there, or lacks its dependency, says the same here."""
    fixture, options, reason = FAILING[task]
    data = request.getfixturevalue(fixture)
    said = []
    for name in (task, f"prune_{task}"):
        with pytest.raises((ImportError, KeyError, TypeError), match=reason) as error:
            train(name, data, tmp_path / name, options)
        said.append((error.type, str(error.value)))
    assert said[0] == said[1]


@pytest.fixture(scope="module")
def pretrained(audio, tmp_path_factory):  # noqa: F811
    """A wav2vec 2.0 model, pruned, with letters as the labels of its sounds."""
    folder = tmp_path_factory.mktemp("pretrained")
    for split in ("train", "valid"):
        count = len((audio / f"{split}.tsv").read_text().splitlines()) - 1
        (audio / f"{split}.lbl").write_text("".join(f"{'abcd'[i % 4]}\n" for i in range(count)))
    (audio / "dict.lbl.txt").write_text("".join(f"{letter} 1\n" for letter in "abcd"))
    train("prune_audio_pretraining", audio, folder, RUNS["audio_pretraining"][1], *PRUNED)
    return folder / "checkpoint_last.pt"


TUNED = """--labels lbl --normalize --max-tokens 20000 --freeze-finetune-updates 0 --disable-validation --w2v-path"""


def test_understanding_speech(audio, pretrained, tmp_path):  # noqa: F811
    """``nlu_finetuning`` keeps what was removed of the encoder."""
    tuned = train("prune_nlu_finetuning", audio, tmp_path, f"--arch wav2vec_ctc --criterion ctc {TUNED} {pretrained}")
    for name, keep in masks_of(load_checkpoint(pretrained)).items():
        if (inner := f"w2v_encoder.w2v_model.{name}") in tuned["model"]:
            assert torch.equal(masks_of(tuned)[inner], keep) and not tuned["model"][inner][~keep].any()
    assert len(masks_of(tuned)) > 5


def test_audio_classification_fails_as_fairseq_s_own(audio, pretrained, tmp_path):  # noqa: F811
    """Its dictionary of labels has no special symbols, which reading labels asks for."""
    for name in ("audio_classification", "prune_audio_classification"):
        with pytest.raises(AttributeError, match="no attribute 'pad_index'"):
            options = f"--arch wav2vec_classification --criterion model --pooling mean {TUNED} {pretrained}"
            train(name, audio, tmp_path / name, options)


ELSEWHERE = {"translation", "language_modeling", "masked_lm", "audio_finetuning"}  # trained by other tests


def test_no_task_is_left_out():
    """Each of fairseq's tasks is trained with pruning, or known to fail in fairseq itself; docs/tasks.md says which."""
    stock = {name for name, task in TASK_REGISTRY.items() if task.__module__.startswith("fairseq.")}
    trained = TRAINED.keys() | RUNS.keys() | ELSEWHERE | {"nlu_finetuning"}
    failing = FAILING.keys() | {"audio_classification"}
    assert trained | failing == stock and not trained & failing
    page = (Path(USER_DIR).parent / "docs/tasks.md").read_text()
    told = dict(re.findall(r"^\| (.+?) \| (.+?) \|", page, re.MULTILINE))
    by_row = {name: row for names, row in told.items() for name in re.findall(r"`(\w+)`", names)}
    assert by_row.keys() == stock
    assert {name for name, row in by_row.items() if row.startswith("fails in fairseq")} == failing
