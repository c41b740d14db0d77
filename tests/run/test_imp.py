"""fairseq-prune imp: what rounds begin and end with, and that a killed run goes on."""

import json
import math
import shutil

import pytest
import torch
from conftest import TINY, masks_of, same_tensors, words_of

from fairseq_prune.cli.main import main
from fairseq_prune.compat import load_checkpoint
from fairseq_prune.drivers.imp.settings import fractions

TRAIN = words_of("""--task prune_image_classification --arch lenet300 --image-size 8 --max-train-images 64
    --batch-size 16 --criterion image_classification --optimizer sgd --momentum 0.9 --max-epoch 2 --cpu
    --num-workers 0 --log-format simple --log-interval 1000""")


def test_fractions():
    assert fractions(0.488, 0.2) == [0.0, *(pytest.approx(1 - 0.8**r) for r in (1, 2)), 0.488]
    found = fractions(0.98, 0.2)
    assert len(found) == 1 + math.ceil(math.log(0.02) / math.log(0.8)) == 19 and found[-1] == 0.98
    assert all(1 - 0.8**r == pytest.approx(f) for r, f in enumerate(found[:-1])) and found == sorted(found)
    assert fractions(0.2, 0.5) == [0.0, 0.2]


@pytest.fixture
def imp(trains_here, capsys):
    """Run the driver; returns the records, and the trainings' folders."""

    def run(folder, *words, train=("--lr", "0.05")):
        trains_here.clear()
        main(["imp", "synthetic", "--save-dir", str(folder), "--target", "0.3", *words, "--train", *TRAIN, *train])
        header, *records = map(json.loads, (folder / "rounds.jsonl").read_text().splitlines())
        assert f"the last one: {folder}/round-2/checkpoint_last.pt" in capsys.readouterr().out
        return records, list(trains_here)

    return run


def smallest(checkpoint, masks, fraction):
    """Names and places of the weights of matrices that are not among the smallest, over all layers."""
    matrices = {name: value for name, value in checkpoint["model"].items() if value.dim() == 2}
    flat = torch.cat(
        [torch.where(masks.get(n, torch.ones(())) > 0, v.abs(), -1.0).flatten() for n, v in matrices.items()]
    )
    gone = flat.argsort(stable=True)[: round(fraction * len(flat))]
    keep = torch.ones(len(flat), dtype=torch.bool)
    keep[gone] = False
    parts = keep.split([value.numel() for value in matrices.values()])
    return {name: part.view(value.shape) for (name, value), part in zip(matrices.items(), parts, strict=True)}


@pytest.mark.parametrize("rewind", ["0up", "3up"])
def test_rounds(imp, tmp_path, rewind, monkeypatch):
    """Each begins with the saved point, to the bit, without the smallest weights of the round before."""
    begun, at = {}, "start-{}.pt" if rewind == "0up" else "round-{}/checkpoint_last.pt"
    folder = tmp_path / "imp"

    def keep_copy(point, weights, masks, path, resumes):
        original(point, weights, masks, path, resumes)
        begun[path] = load_checkpoint(path)

    from fairseq_prune.drivers.imp import rounds

    original = rounds.write_pruned
    monkeypatch.setattr(rounds, "write_pruned", keep_copy)
    records, trained = imp(folder, "--rewind", rewind, train=words_of("--lr 0.05 --store-ema --ema-decay 0.9"))
    assert trained == ["round-0", "round-1", "round-2"]
    point = load_checkpoint(folder / ("start.pt" if rewind == "0up" else "rewind.pt"))
    assert point["optimizer_history"][-1]["num_updates"] == int(rewind[0])
    for number, fraction in enumerate(fractions(0.3, 0.2)):
        ended = load_checkpoint(folder / f"round-{number}/checkpoint_last.pt")
        record, masks = records[number], masks_of(ended)
        total = sum(value.numel() for value in ended["model"].values() if value.dim() == 2)
        assert (record["pruned"], record["prunable"]) == (round(fraction * total), total)
        assert sum(int((~keep).sum()) for keep in masks.values()) == round(fraction * total)
        assert ended["optimizer_history"][-1]["num_updates"] == 8  # to the end, each
        for values in (ended["model"], ended["extra_state"]["ema"]):  # averages were those of a dense model
            assert all(not values[name][~keep].any() for name, keep in masks.items())
        if number:
            first = begun[str(folder / at.format(number))]
            before = load_checkpoint(folder / f"round-{number - 1}/checkpoint_last.pt")
            expected = smallest(before, masks_of(before), fraction)
            assert same_tensors({name: keep for name, keep in expected.items() if not keep.all()}, masks_of(first))
            for name, value in first["model"].items():
                assert torch.equal(value, point["model"][name] * expected.get(name, 1))
            resumed = first["last_optimizer_state"] is not None
            assert resumed == (rewind != "0up") and same_tensors(masks_of(first), masks)
    assert not list((folder / "round-0").glob("checkpoint[0-9_]?*[0-9].pt"))


def test_a_teacher_of_all_rounds(imp, tmp_path):
    """The last round learns from the one of the first."""
    imp(tmp_path / "alone", "--rewind", "3up")
    teacher = tmp_path / "alone/round-0/checkpoint_last.pt"
    imp(tmp_path / "taught", "--rewind", "3up", train=["--lr", "0.05", "--prune-teacher", str(teacher)])
    alone, first, last = (load_checkpoint(tmp_path / f"{name}/checkpoint_last.pt") for name in (
        "alone/round-2", "taught/round-0", "taught/round-2"
    ))  # fmt: skip
    seen = [run["extra_state"]["PruneImageClassificationTask"]["teacher"] for run in (first, last)]
    assert seen[0] == seen[1] and not same_tensors(dict(alone["model"]), dict(last["model"]))


def test_rounds_follow_the_table_of_rates(imp, tmp_path):
    """A round that resumes at the point goes on with its epochs: --lr-ft counts from the first update of all."""
    imp(tmp_path / "imp", "--rewind", "1ep", train=words_of("--lr-scheduler phased --lr-ft 0:0.1,1:0.01"))
    for number in range(3):
        ended = load_checkpoint(tmp_path / f"imp/round-{number}/checkpoint_last.pt")
        assert ended["last_optimizer_state"]["param_groups"][0]["lr"] == 0.01


def test_killed(imp, tmp_path):
    """In the second training: the first is not repeated, the rest ends alike."""
    whole, half = tmp_path / "whole", tmp_path / "half"
    records, _ = imp(whole, "--rewind", "1ep")
    shutil.copytree(whole, half)
    lines = (whole / "rounds.jsonl").read_text().splitlines(keepends=True)
    (half / "rounds.jsonl").write_text("".join(lines[:2]) + lines[2][:20])
    assert load_checkpoint(half / "rewind.pt")["optimizer_history"][-1]["num_updates"] == 4  # of an epoch
    for number in (1, 2):
        shutil.rmtree(half / f"round-{number}")
    again, trained = imp(half, "--rewind", "1ep")
    assert trained == ["round-1", "round-2"]
    assert [record["quality"] for record in again] == [record["quality"] for record in records]
    assert imp(half, "--rewind", "1ep")[1] == []
    with pytest.raises(SystemExit, match="was begun with another fraction; resume with the same options"):
        imp(half, "--rewind", "1ep", "--fraction", "0.3")
    (half / "round-2" / "checkpoint_last.pt").write_bytes(b"half")
    with pytest.raises(SystemExit, match="checkpoint .*/round-2/checkpoint_last.pt: not "):
        imp(half, "--rewind", "1ep")
    (half / "rounds.jsonl").write_text("{}\n")
    with pytest.raises(SystemExit, match="/rounds.jsonl was begun with another"):
        imp(half, "--rewind", "1ep")


@pytest.mark.parametrize(
    "words, message",
    [
        ("--target 1", "--target 1.0: give a fraction in .0, 1., e.g. --target 0.9"),
        ("--fraction 0", "--fraction 0.0: give a fraction in .0, 1., e.g. --fraction 0.2"),
        ("--rewind soon", "--rewind soon: cannot read 'soon' as a time; write e.g. '4ep' or '500up'"),
        ("--rewind 2ep", "--rewind 2ep: is not before the end of a training .--max-epoch 2.; give e.g. --rewind 0ep"),
        ("--scope everywhere", "--scope everywhere: "),
        ("--checkpoint none.pt", "checkpoint none.pt: no such file; give e.g. checkpoints/checkpoint_best.pt"),
        ("--checkpoint IMP/start.pt", "--save-dir .*/imp: --checkpoint .*/imp/start.pt is in it, and would be written"),
        (
            "--checkpoint /dev/null",
            "checkpoint /dev/null: is not an ordinary file; give a file that fairseq-train saved",
        ),
        ("--train --arch resnet8", "--task: options of fairseq-train are needed to train; add e.g. --train --task"),
        ("--train --task translation --arch x --max-epoch 2", "--task translation: does not keep weights removed"),
        (
            "--train --task prune_translation --arch transformer",
            "--max-epoch: trainings need an end; add e.g. --train --max-epoch 80",
        ),
        (
            "--train --task prune_translation --arch transformer --optimiser adam --max-epoch 2",
            "--train: unrecognized arguments: --optimiser adam; fairseq-train --help lists its options",
        ),
        ("--train --no-save", "--no-save: rounds continue from saved checkpoints as they are; leave it out"),
        (
            "--train {TRAIN} --prune-teacher self",
            "--prune-teacher self: trainings of imp begin with different models; give a file, e.g. checkpoints/dense",
        ),
        ("--train {TRAIN} --prune-teacher no.pt", "--prune-teacher no.pt: checkpoint no.pt: no such file"),
        ("--train --prune-method l1", "--prune-method: is set by fairseq-prune imp itself; leave it out after --train"),
    ],
)
def test_bad_input(words, message, tmp_path):
    train = [] if "--train" in words else ["--train", *TRAIN]
    given = words.replace("IMP", str(tmp_path / "imp")).replace("{TRAIN}", " ".join(TRAIN)).split()
    with pytest.raises(SystemExit, match=message):
        main(["imp", "nowhere", "--save-dir", str(tmp_path / "imp"), "--target", "0.9", *given, *train])
    assert not (tmp_path / "imp").exists()


@pytest.mark.parametrize(
    "rewind, ends, reason, reached",
    [
        ("8up", "", "--max-epoch 2 is 8 updates", "7up"),
        ("4up", "--update-freq 2", "--max-epoch 2 is 4 updates", "3up"),
        ("1ep", "--max-update 4", "--max-update 4 is reached in epoch 1", "0ep"),
    ],
)
def test_a_point_that_only_the_data_say_is_beyond_the_training(rewind, ends, reason, reached, tmp_path, monkeypatch):
    """64 images make 4 batches; refused before the first training, which nothing else would be said to."""
    words = ["imp", "synthetic", "--save-dir", str(tmp_path), "--target", "0.3", "--train", *TRAIN, *ends.split()]
    trained = []
    monkeypatch.setattr("fairseq_prune.drivers.imp.rounds.train", lambda *given: trained.append(given) or 1 / 0)
    with pytest.raises(SystemExit, match=f"^--rewind {rewind}: is not before the end of a training .{reason}.; give e"):
        main([*words[:2], "--rewind", rewind, *words[2:]])
    assert not trained and not list(tmp_path.iterdir())
    with pytest.raises(ZeroDivisionError):
        main([*words[:2], "--rewind", reached, *words[2:]])
    assert trained


def test_data_without_batches(parallel, tmp_path):
    """No sentence is that short."""
    words = f"""imp {parallel} --save-dir {tmp_path} --target 0.3 --rewind 3up --train --task prune_translation
        --arch transformer {TINY} --max-tokens 1 --max-epoch 2 --cpu"""
    with pytest.raises(SystemExit, match=f"^{parallel}: fairseq-train makes no batches of it .IndexError"):
        main(words.split())
    assert not list(tmp_path.iterdir())


def test_a_first_training_that_failed(tmp_path, monkeypatch):
    """Before it saved anything: other options may be tried in the folder. Not afterwards."""
    folder, failed = tmp_path / "imp", "fairseq-train stopped"

    def fail(data, path, words):
        raise ValueError(failed)

    def starts(*words):
        with pytest.raises(SystemExit) as caught:
            main(["imp", "synthetic", "--save-dir", str(folder), "--target", "0.3", "--train", *TRAIN, *words])
        return caught.value.code, load_checkpoint(folder / "start.pt")["model"]

    monkeypatch.setattr("fairseq_prune.drivers.imp.rounds.train", fail)
    (line, first), (again, second) = starts("--lr", "5"), starts("--lr", "0.5", "--seed", "2")
    assert line == again == failed and not same_tensors(first, second)
    (folder / "round-0").mkdir()
    shutil.copy(folder / "start.pt", folder / "round-0" / "checkpoint_last.pt")
    assert "rounds.jsonl was begun with another train; resume" in starts("--lr", "0.5")[0]
