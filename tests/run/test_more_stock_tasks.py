"""The rest of fairseq's tasks: each is trained once with pruning, or fails as fairseq's own does."""

import shutil

import pytest
from conftest import run_fairseq
from test_stock_tasks import AUDIO, PRUNED, RUNS, TEXT, audio, features, fraction, sentences, train  # noqa: F401

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
