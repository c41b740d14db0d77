"""Tasks whose training step does more than hand a sample to the criterion are scored and evaluated by that step."""

import functools
import json

import pytest
import torch
from conftest import words_of
from test_stock_tasks import RUNS, audio, features, languages, train  # noqa: F401

from fairseq_prune.checkpoint.load import load_model, load_task
from fairseq_prune.cli.main import main
from fairseq_prune.compat import load_checkpoint
from fairseq_prune.deploy.verify import require_same
from fairseq_prune.engine.task_loss import loss_of
from fairseq_prune.evaluate.load import Workbench

NEURONS = words_of("--prune-units neuron --max-update 2")


@pytest.fixture(scope="module")
def pruned(request, tmp_path_factory):
    """Function of (task, method) -> checkpoint of a run that removed half of the neurons by derivatives."""

    @functools.cache
    def run(task, *words, much=("--prune-target", "0.5")):
        fixture, options = RUNS[task]
        folder = tmp_path_factory.mktemp(task)
        train(f"prune_{task}", request.getfixturevalue(fixture), folder, options, *words, *NEURONS, *much)
        return str(folder / "checkpoint_last.pt")

    return run


def inspected(path, data, capsys):
    capsys.readouterr()
    main(["inspect", path, "--data", str(data), "--json"])
    return next(iter(json.loads(capsys.readouterr().out).values()))


def loaded(path):
    """Model in eval mode, task, its criterion, a sample of it."""
    task, config = load_task(path)
    model = load_model(path, task).eval()
    task.load_dataset("valid")
    batches = task.get_batch_iterator(task.dataset("valid"), max_sentences=4, ignore_invalid_inputs=True)
    return model, task, task.build_criterion(config.criterion).eval(), next(iter(batches.next_epoch_itr(shuffle=False)))


def test_pairs_of_languages(pruned, parallel, tmp_path, capsys):
    """The loss is that of all pairs; an encoder that they share loses each of its neurons once."""
    path = pruned("multilingual_translation", "--prune-method", "snip", much=("--prune-macs-left", "0.9"))
    model, task, criterion, sample = loaded(path)
    assert model.models["de-en"].encoder is model.models["en-de"].encoder
    sides = next(iter(model.models.values()))
    assert 32 < sum(len(side.layers[0].fc1.weight) for side in (sides.encoder, sides.decoder)) < 64
    generator, loss = torch.get_rng_state(), loss_of(task, criterion)
    found, size, _ = loss(model, sample)
    assert torch.equal(generator, torch.get_rng_state()) and not any(m.training for m in model.modules())
    expected = [criterion(model.models[pair], sample[pair])[:2] for pair in ("de-en", "en-de")]
    assert float(found.detach()) == pytest.approx(sum(float(value.detach()) for value, _ in expected))
    assert size == sum(count for _, count in expected)
    found.backward()
    assert model.models["en-de"].decoder.layers[0].fc1.weight.grad is not None
    fields = inspected(path, parallel, capsys)
    assert fields["valid_loss"] > 0 and not any("bleu" in name for name in fields)
    search = "--save-dir", str(tmp_path / "sipo"), "--max-drop", "0.01", "--group", "all"
    for words, said in (
        (("sipo", str(parallel), "--checkpoint", path, *search), "only models that predict word by word"),
        (("bench", path), "bench runs translation, language models and image classifiers"),
    ):
        with pytest.raises(SystemExit, match=f"MultilingualTransformerModel: {said}"):
            main(list(words))


def test_noise_of_a_task(pruned):
    """Levenshtein's step makes what is to be corrected; the same noise for the same state of the generators."""
    path = pruned("translation_lev", "--prune-method", "taylor")
    model, task, criterion, sample = loaded(path)
    with pytest.raises(KeyError, match="prev_target"):
        criterion(model, sample)
    loss = loss_of(task, criterion)
    first, again = (float(loss(model, sample)[0].detach()) for _ in range(2))
    torch.manual_seed(5)
    assert first == again != float(loss(model, sample)[0].detach())
    with pytest.raises(SystemExit, match="gradient_flow: LevenshteinTransformerModel hands out no logits"):
        pruned("translation_lev", "--prune-method", "grasp")
    bench = Workbench(path)
    assert not bench.predicts_words(model) and bench.by_criterion(model, "valid")["loss"] > 0


@pytest.mark.parametrize("task", ["audio_pretraining", "hubert_pretraining", "translation_lev"])
def test_cut_models_are_compared(pruned, task, tmp_path):
    """Also where the model alone does not run on a sample, or masks it by noise that nobody seeds."""
    path, other = pruned(task, "--prune-method", "l1"), str(tmp_path / "other.pt")
    assert require_same(path, path, 2)[0] == 0
    state = load_checkpoint(path)
    next(value for name, value in state["model"].items() if name.endswith("layers.0.fc2.weight"))[0, 0] += 0.01
    torch.save(state, other)
    with pytest.raises(ValueError, match="the outputs of the new model differ by"):
        require_same(path, other, 2)


def test_inputs_where_samples_hold_lists(pruned, tmp_path):
    out = tmp_path / "out.pt"
    main(
        [
            "prune",
            pruned("hubert_pretraining", "--prune-method", "l1"),
            str(out),
            "--target",
            "0.5",
            "--method",
            "wanda",
        ]
    )
    weight = load_checkpoint(out)["model"]["encoder.layers.0.fc2.weight"]
    assert (weight == 0).sum(1).tolist() == [8] * 16


def test_a_cut_model_of_sounds_is_finetuned(pruned, audio, tmp_path):  # noqa: F811
    """It keeps its widths within the new model, which is compared without what only its criterion needs."""
    path = pruned("audio_pretraining", "--prune-method", "l1")
    options = f"""--arch wav2vec_ctc --w2v-path {path} --criterion ctc --labels ltr --normalize --max-tokens 20000
        --mask-prob 0 --disable-validation --max-update 2"""
    model = train("prune_audio_finetuning", audio, tmp_path, options)["model"]
    assert model["w2v_encoder.w2v_model.encoder.layers.0.fc1.weight"].shape == (16, 16)
    tuned = str(tmp_path / "checkpoint_last.pt")
    assert require_same(tuned, tuned, 2)[0] == 0


def test_other_tasks_hand_samples_on(new_run, monolingual, features, tmp_path, capsys):  # noqa: F811
    """Also where the validation split has another name; an adaptive softmax is judged by its criterion."""
    options = RUNS["speech_to_text"][1]
    train("prune_speech_to_text", features, tmp_path / "speech", f"{options} --max-update 1")
    speech = inspected(str(tmp_path / "speech" / "checkpoint_last.pt"), features, capsys)
    assert 0 <= speech["valid_accuracy"] <= 100 and speech["valid_perplexity"] > 1
    arch = """--arch transformer_lm --decoder-layers 1 --decoder-embed-dim 16 --decoder-ffn-embed-dim 32
        --decoder-attention-heads 2 --tokens-per-sample 16 --adaptive-softmax-cutoff 10,20"""
    run = new_run(task="prune_language_modeling", arch=arch, data=monolingual)
    run.train(*words_of("--criterion adaptive_loss --ddp-backend legacy_ddp --max-update 1"))
    path = str(run.folder / "checkpoint_last.pt")
    model, task, criterion, _ = loaded(path)
    assert loss_of(task, criterion) is criterion
    assert inspected(path, monolingual, capsys)["valid_loss"] > 0
