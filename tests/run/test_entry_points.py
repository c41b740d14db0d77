"""fairseq's other programs on masked and cut models: hydra, interactive, hub, ensembles, validate and score."""

import io
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from conftest import USER_DIR, masks_of, run_fairseq, same_tensors, words_of
from fairseq.models.transformer import TransformerModel
from validation import validated_loss

from fairseq_prune.compat import load_checkpoint

DOCS = Path(USER_DIR).parent / "docs"
HOW = {
    "dense": "",
    "masked": "--prune-method magnitude --prune-target 0.5",
    "cut": "--prune-method magnitude --prune-units neuron --prune-target 0.5",
    "cut_otherwise": "--prune-method magnitude --prune-units neuron --prune-target 0.75 --seed 2",
}
HERE = words_of(f"--user-dir {USER_DIR} --task prune_translation --cpu --num-workers 0")


@pytest.fixture(scope="module")
def files(module_run):
    """A file of each kind."""
    runs = {name: module_run(name) for name in HOW}
    for name, run in runs.items():
        run.train(*words_of(HOW[name]))
    return {name: str(run.folder / "checkpoint_last.pt") for name, run in runs.items()}


def translations(printed):
    """Hypotheses, and the scores of their tokens, by number of the sentence."""
    lines = [line.split("\t") for line in printed.splitlines() if re.match(r"[HP]-\d+\t", line)]
    words = {int(line[0][2:]): line[2] for line in lines if line[0][0] == "H"}
    scores = {int(line[0][2:]): [float(s) for s in line[1].split()] for line in lines if line[0][0] == "P"}
    return words, scores


@pytest.fixture
def generate(parallel, capsys):
    def run(path):
        run_fairseq("generate", parallel, *HERE, "--path", path, "--beam", "2", "--max-len-b", "6")
        return translations(capsys.readouterr().out)

    return run


@pytest.mark.parametrize("name", ["masked", "cut"])
def test_interactive_translates_as_generate(name, files, text, parallel, generate, monkeypatch, capsys):
    words, scores = generate(files[name])
    monkeypatch.setattr(sys, "stdin", io.StringIO((text / "test.de").read_text()))
    run_fairseq("interactive", parallel, *HERE, "--path", files[name], "--beam", "2", "--max-len-b", "6")
    assert translations(capsys.readouterr().out) == (words, scores) and len(words) == 8


@pytest.mark.parametrize("names", [("masked", "dense"), ("dense", "masked", "cut"), ("cut", "cut_otherwise")])
def test_an_ensemble_is_the_mean_of_its_models(names, files, text, parallel, generate):
    """Each token's score is the logarithm of the models' mean probability, computed one by one."""
    words, scores = generate(":".join(files[name] for name in names))
    hub = TransformerModel.from_pretrained(str(Path(files["dense"]).parent), "checkpoint_last.pt", str(parallel))
    models = [model_of(files[name], hub.task) for name in names]
    sources = (text / "test.de").read_text().splitlines()
    for number, hypothesis in words.items():
        mean = torch.stack([likelihoods(model, hub, sources[number], hypothesis) for model in models]).mean(0)
        assert mean.log2().tolist() == pytest.approx(scores[number], abs=2e-4)
    alone = likelihoods(models[0], hub, sources[0], words[0]).log2().tolist()
    assert alone != pytest.approx(scores[0], abs=2e-4)  # negative control


def model_of(path, task):
    state = load_checkpoint(path)
    model = task.build_model(state["cfg"]["model"], from_checkpoint=True)
    model.load_state_dict(state["model"], strict=True, model_cfg=state["cfg"]["model"])
    return model.eval()


@torch.no_grad()
def likelihoods(model, hub, source, hypothesis):
    """Of each token of a hypothesis, float32 [length]."""
    tokens, target = (hub.binarize(text) for text in (source, hypothesis))
    shifted = torch.cat([target[-1:], target[:-1]])
    out = model(tokens[None], torch.tensor([len(tokens)]), shifted[None])
    return model.get_normalized_probs(out, log_probs=False)[0].gather(1, target[:, None])[:, 0]


@pytest.mark.parametrize("name", ["masked", "cut"])
def test_validate(name, files, parallel):
    """The loss that the training found in the end."""
    loss = validated_loss(parallel, "prune_translation", files[name])
    assert loss == pytest.approx(load_checkpoint(files[name])["extra_state"]["val_loss"], abs=2e-3)


def test_score_needs_nothing_of_ours(files, parallel, tmp_path, capsys):
    """fairseq-score compares texts: the BLEU that fairseq-generate printed."""
    run_fairseq("generate", parallel, *HERE, "--path", files["masked"], "--beam", "2", "--scoring", "bleu")
    printed = capsys.readouterr().out
    for letter, column in (("H", 2), ("T", 1)):
        lines = [line.split("\t")[column] for line in printed.splitlines() if line.startswith(f"{letter}-")]
        (tmp_path / letter).write_text("".join(f"{line}\n" for line in lines))
    run_fairseq("score", "--sys", tmp_path / "H", "--ref", tmp_path / "T")
    bleu = r"BLEU4 = ([\d.]+)"
    assert re.search(bleu, capsys.readouterr().out)[1] == re.search(bleu, printed)[1]


HUB = """
import sys
from fairseq.models.transformer import TransformerModel
folder, data, user_dir, source = sys.argv[1:]
model = TransformerModel.from_pretrained(folder, "checkpoint_last.pt", data, user_dir=user_dir)
print(type(model.task).__name__, sum(p.numel() for p in model.parameters()))
print(model.translate(source, beam=2, max_len_b=6))
"""


def elsewhere(tmp_path, *command):
    """Run a command in another folder, by a Python that does not know where the project is."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    words = [str(word) for word in command]
    done = subprocess.run(words, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def test_hub_in_another_folder(files, parallel, text, generate, tmp_path):
    """`from_pretrained(..., user_dir=...)` is enough for a cut model: the folder that --user-dir would name."""
    folder, source = Path(files["cut"]).parent, (text / "test.de").read_text().splitlines()[0]
    printed = elsewhere(tmp_path, sys.executable, "-c", HUB, folder, parallel, USER_DIR, source).splitlines()
    model = load_checkpoint(files["cut"])["model"]
    sizes = {tensor.data_ptr(): tensor.numel() for name, tensor in model.items() if not name.endswith("version")}
    assert printed[0] == f"PruneTranslationTask {sum(sizes.values())}"
    assert printed[1] == generate(files["cut"])[0][0]


OVERRIDDEN = """common.cpu=true common.seed=1 task.prune_end=4up +task.prune_every=2up optimization.max_update=6
    dataset.max_tokens=100 dataset.num_workers=0 checkpoint.no_epoch_checkpoints=true model.encoder.layers=1
    model.decoder.layers=1 model.encoder.embed_dim=16 model.decoder.embed_dim=16 model.encoder.ffn_embed_dim=32
    model.decoder.ffn_embed_dim=32 model.encoder.attention_heads=2 model.decoder.attention_heads=2"""
THE_SAME = """--prune-method magnitude --prune-target 0.9 --prune-schedule cubic --prune-end 4up --prune-every 2up
    --max-update 6 --lr 0.0003 --lr-scheduler inverse_sqrt --warmup-updates 200"""


def test_hydra(parallel, new_run, tmp_path):
    """The page's config and command, in another folder: to the bit what fairseq-train makes of the same options."""
    page = (DOCS / "tasks.md").read_text()
    config, command = (re.search(rf"```{kind}\n(.*?)```", page, re.DOTALL)[1] for kind in ("yaml", "bash"))
    (tmp_path / "config").mkdir()
    config = config.replace("/path/to/fairseq_prune", USER_DIR).replace("/path/to/data-bin", str(parallel))
    (tmp_path / "config/pruned.yaml").write_text(config)
    program, *words = words_of(command)
    save = f"checkpoint.save_dir={tmp_path / 'hydra'}"
    elsewhere(tmp_path, Path(sys.executable).parent / program, *words, *words_of(OVERRIDDEN), save)
    right = new_run("right").train(*words_of(THE_SAME))
    made = load_checkpoint(tmp_path / "hydra/checkpoint_last.pt")
    assert same_tensors(dict(made["model"]), dict(right["model"]))
    assert same_tensors(masks_of(made), masks_of(right)) and len(masks_of(made)) > 5
