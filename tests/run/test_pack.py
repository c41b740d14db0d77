"""`fairseq-prune pack` and `--prune-pack`: packed checkpoints do for fairseq what the others do."""

import re
import shutil

import pytest
import torch
from commands import refused, reported
from conftest import USER_DIR, masks_of, run_fairseq, same_tensors

from fairseq_prune.cli.main import main
from fairseq_prune.compat import load_checkpoint
from fairseq_prune.pruning.packed_state import PACKED

PRUNED = "--prune-method magnitude --prune-target 0.9".split()


@pytest.fixture(scope="module")
def pruned(module_run):
    run = module_run("pruned")
    run.train(*PRUNED, "--disable-validation")
    return run.folder / "checkpoint_last.pt"


@pytest.fixture(scope="module")
def packed(pruned, tmp_path_factory):
    out = tmp_path_factory.mktemp("packed") / "packed.pt"
    main(["pack", str(pruned), str(out)])
    return out


def report(capsys, *words):
    return reported(capsys, *words)


def translations(capsys, data, path):
    capsys.readouterr()
    run_fairseq(
        "generate", data, "--user-dir", USER_DIR, "--task", "prune_translation", "--path", path, "--cpu",
        "--num-workers", "0", "--beam", "2", "--max-len-b", "20", "--required-batch-size-multiple", "1",
    )  # fmt: skip
    found = re.findall(r"^(H-\d+)\t(\S+)\t(.*)$", capsys.readouterr().out, re.MULTILINE)
    assert len(found) == 8
    return found


def test_it_translates_the_same(pruned, packed, parallel, capsys):
    assert packed.stat().st_size < pruned.stat().st_size / 2
    assert load_checkpoint(packed, unpack=False)[PACKED].keys() > {"encoder.embed_tokens.weight"}
    assert translations(capsys, parallel, packed) == translations(capsys, parallel, pruned)


def test_commands_read_it(pruned, packed, tmp_path, capsys):
    before, after = (report(capsys, "inspect", path) for path in (pruned, packed))
    assert after["total"].pop("bytes") == packed.stat().st_size < before["total"].pop("bytes")
    assert after["tensors"] == before["tensors"] and after["total"] == {k: before["total"][k] for k in after["total"]}
    assert report(capsys, "prune", packed, tmp_path / "more.pt", "--target", "0.95")["removed"] > 0.94
    exported = report(capsys, "export", packed, tmp_path / "plain.pt", "--to", "fairseq", "--batches", "1")
    assert exported["largest_difference"] == 0
    cut = [report(capsys, "compact", path, tmp_path / f"{path.stem}-cut.pt") for path in (pruned, packed)]
    assert cut[0]["removed"] == cut[1]["removed"] and cut[0]["after"]["params"] == cut[1]["after"]["params"]


def test_there_and_back(pruned, packed, tmp_path, capsys):
    sizes = report(capsys, "unpack", packed, tmp_path / "back.pt")
    assert sizes["before"] == packed.stat().st_size < sizes["after"] == (tmp_path / "back.pt").stat().st_size
    before, back = load_checkpoint(pruned), load_checkpoint(tmp_path / "back.pt", unpack=False)
    assert same_tensors(back["model"], before["model"]) and same_tensors(masks_of(back), masks_of(before))
    assert (
        PACKED not in back and back["last_optimizer_state"] is None and "PruneTranslationTask" in before["extra_state"]
    )
    assert "PruneTranslationTask" not in back["extra_state"]


def test_half(pruned, packed, tmp_path, capsys):
    half = report(capsys, "pack", pruned, tmp_path / "half.pt", "--half")
    before, after = load_checkpoint(pruned)["model"], load_checkpoint(tmp_path / "half.pt")["model"]
    error = max(float((before[name] - after[name]).abs().max()) for name in before)
    assert half["largest_error"] == pytest.approx(error) and 0 < error < 1e-3
    assert half["after"] < packed.stat().st_size and after["encoder.embed_tokens.weight"].dtype == torch.float32


def test_training_goes_on_from_it(new_run, pruned, packed):
    """To the same bits as from the file that was packed, and what is removed stays so."""
    from_packed, control = (
        new_run(name).train("--finetune-from-model", path, "--disable-validation", "--max-update", 6)
        for name, path in (("packed", packed), ("control", pruned))
    )
    assert same_tensors(from_packed["model"], control["model"])
    assert same_tensors(masks_of(from_packed), masks_of(load_checkpoint(pruned)))
    assert not same_tensors(from_packed["model"], load_checkpoint(pruned)["model"])  # control: it has trained


def test_an_optimizer_that_is_kept(new_run, pruned, tmp_path):
    main(["pack", str(pruned), str(tmp_path / "all.pt"), "--keep-optimizer"])
    words = [*PRUNED, "--max-update", 12, "--disable-validation", "--restore-file"]
    resumed, control = (
        new_run(name).train(*words, path) for name, path in (("packed", tmp_path / "all.pt"), ("control", pruned))
    )
    assert resumed["optimizer_history"][-1]["num_updates"] == 12
    assert same_tensors(resumed["model"], control["model"])
    assert same_tensors(resumed["last_optimizer_state"], control["last_optimizer_state"])


GRADUAL = "--prune-method magnitude --prune-target 0.9 --prune-schedule linear --prune-end 6up".split()


def test_a_run_that_packs_what_it_saves(new_run):
    """Interrupted amid pruning and resumed, it ends with the bits of a run that was not and packs nothing."""
    plain, run = new_run("plain"), new_run("packs")
    control = plain.train(*GRADUAL)
    run.train(*GRADUAL, "--prune-pack", "--save-interval-updates", "3")
    middle = run.folder / "checkpoint_1_3.pt"
    shutil.move(middle, run.folder / "checkpoint_last.pt")
    (run.folder / "checkpoint_best.pt").unlink()
    first = run.checkpoint()
    resumed = run.train(*GRADUAL, "--prune-pack")
    for part in ("model", "last_optimizer_state"):
        assert same_tensors(resumed[part], control[part])
    assert same_tensors(masks_of(resumed), masks_of(control)) and not same_tensors(masks_of(first), masks_of(control))
    for name in ("checkpoint_last.pt", "checkpoint_best.pt"):
        assert load_checkpoint(run.folder / name, unpack=False)[PACKED]
        assert PACKED not in load_checkpoint(plain.folder / name, unpack=False)
        assert (run.folder / name).stat().st_size < (plain.folder / name).stat().st_size


def test_what_is_asked_is_of_one_run(new_run):
    """A run that starts from a packed file packs only if it is told to."""
    first = new_run("packs")
    first.train(*PRUNED, "--prune-pack", "--disable-validation")
    second = new_run("second")
    second.train("--finetune-from-model", first.folder / "checkpoint_last.pt", "--disable-validation")
    assert PACKED not in load_checkpoint(second.folder / "checkpoint_last.pt", unpack=False)


def test_srp_starts_from_it(new_run, packed):
    srp = new_run("srp", task="srp_translation", arch=ARCH)
    after = srp.train("--compression-rate", "0.5", "--pretrained-model", packed, "--disable-validation", "--prune-pack")
    assert after["model"]["encoder.layers.0.fc1.weight"].numel() < 32 * 16


ARCH = """--arch srp_transformer --share-all-embeddings --encoder-layers 1 --decoder-layers 1 --encoder-embed-dim 16
    --decoder-embed-dim 16 --encoder-ffn-embed-dim 32 --decoder-ffn-embed-dim 32 --encoder-attention-heads 2
    --decoder-attention-heads 2"""


class TestRefused:
    def test_out(self, packed, pruned, tmp_path):
        assert "is CHECKPOINT itself" in refused("pack", pruned, pruned, "--overwrite")
        assert "is PACKED itself" in refused("unpack", packed, packed, "--overwrite")
        for command, path in (("pack", pruned), ("unpack", packed)):
            assert refused(command, path, packed if command == "pack" else pruned).endswith(
                "exists; give another name or --overwrite"
            )

    def test_what_is_not_packed(self, pruned, tmp_path):
        assert "is not packed; use it as it is" in refused("unpack", pruned, tmp_path / "out.pt")
        assert "no such file" in refused("unpack", tmp_path / "none.pt", tmp_path / "out.pt")
        assert list(tmp_path.iterdir()) == []

    def test_a_damaged_file(self, new_run, packed, parallel, tmp_path):
        stored = load_checkpoint(packed, unpack=False)
        name = "encoder.embed_tokens.weight"
        stored["model"][name] = stored["model"][name][1:].clone()
        path = tmp_path / "damaged.pt"
        torch.save(stored, path)
        line = f"checkpoint {path}: not a readable fairseq checkpoint (its packed {name} is damaged: "
        assert refused("unpack", path, tmp_path / "out.pt").startswith(line)
        with pytest.raises(SystemExit) as error:
            new_run().train("--finetune-from-model", path)
        assert error.value.code.startswith(line) and "\n" not in error.value.code
