"""What runs of fairseq-train log of their cost, and what inspect reads from their files."""

import json

import pytest
from conftest import masks_of

from fairseq_prune.cli.main import main
from fairseq_prune.pruning.measures import harmonic_mean

NODES = 16 + 32 + 64  # of resnet8 that can be removed
STEM, FC = 64 * 9 * 3 * 16, 640
DENSE = STEM + FC + 2 * 9 * (64 * 16 * 16) + 9 * 16 * (16 * 32 + 32 * 32) + 9 * 4 * (32 * 64 + 64 * 64)
CUT = STEM + FC + 9 * 64 * 2 * 16 * 4 + 9 * 16 * (16 * 16 + 16 * 32) + 9 * 4 * (32 * 44 + 44 * 64)  # 4, 16, 44 left
L1 = "--prune-method l1 --stage-pr [0,0.75,0.5,0.3,0] --prune-start 6up".split()
BATCH = 16


def account_of(checkpoint):
    return checkpoint["extra_state"]["PruneImageClassificationTask"]["account"]


def test_training_costs_what_the_net_was(new_image_run):
    """Six updates of the dense net and ten of the cut one; interrupted and resumed on the way."""
    run, resumed = new_image_run(), new_image_run("resumed")
    account = account_of(run.train(*L1, "--save-interval-updates", "7"))
    assert account["dense"] == 3 * BATCH * 16 * DENSE
    assert account["spent"]["macs"] == 3 * BATCH * (6 * DENSE + 10 * CUT)
    assert account["start"]["nodes"] == NODES
    half = run.folder / "checkpoint_2_7.pt"
    assert account_of(run.checkpoint(half.name))["spent"]["macs"] == 3 * BATCH * (6 * DENSE + CUT)
    resumed.begin_at(half)
    assert account_of(resumed.train(*L1)) == account


def test_masks_cost_dense_macs_and_scoring_counts(new_image_run):
    words = "--prune-method snip --prune-target 0.9 --prune-batches 2 --max-update 5".split()
    spent = account_of(new_image_run().train(*words))["spent"]
    assert spent["macs"] == 3 * BATCH * (2 + 5) * DENSE
    assert 3 * BATCH * 2 * DENSE < spent["nonzero_macs"] < 3 * BATCH * (2 + 0.5 * 5) * DENSE


def logged(caplog, name):
    """The last line of a kind that fairseq logged as JSON."""
    return json.loads([record.getMessage() for record in caplog.records if record.name == name][-1])


def dead(checkpoint):
    """Nodes that no weight writes or no weight reads, counted tensor by tensor."""
    layers = [(f"net.layer{stage}.0.conv1.weight", f"net.layer{stage}.0.conv2.weight") for stage in (1, 2, 3)]
    pairs = [(checkpoint["model"][first].flatten(1), checkpoint["model"][second]) for first, second in layers]
    return sum(int(((a == 0).all(1) | (b.transpose(0, 1).flatten(1) == 0).all(1)).sum()) for a, b in pairs)


def test_logged(new_image_run, caplog):
    """Of masks of single weights: nodes that they have emptied, and the real file's size."""
    caplog.set_level("INFO")
    run = new_image_run()
    words = "--prune-method snip --prune-target 0.99 --prune-batches 1 --log-format json --validate-interval 1"
    checkpoint = run.train(*words.split(), "--max-update", "8")
    found = logged(caplog, "valid")
    gone = dead(checkpoint)
    assert gone > 0 and masks_of(checkpoint)
    assert (found["valid_nodes"], found["valid_dead_nodes"]) == (str(NODES - gone), str(gone))
    assert float(found["valid_nodes_removed"]) == pytest.approx(gone / NODES, abs=1e-4)
    assert float(found["valid_removed"]) == 0.99
    hm = harmonic_mean(0.99, float(found["valid_top1"]) / 100)
    assert float(found["valid_hm"]) == pytest.approx(hm, abs=2e-4)
    assert 0.95 * found_size(run) < float(found["valid_checkpoint_bytes"]) <= found_size(run)
    assert not any("hm" in name or "nodes" in name for name in dense_names(new_image_run, caplog))


def found_size(run):
    return (run.folder / "checkpoint_last.pt").stat().st_size


def dense_names(new_image_run, caplog):
    """What an unpruned run logs."""
    caplog.clear()
    new_image_run("dense").train("--max-update", "2", "--log-format", "json")
    return logged(caplog, "train")


def test_inspect(new_image_run, capsys):
    run = new_image_run()
    run.train(*L1)
    path = str(run.folder / "checkpoint_last.pt")
    capsys.readouterr()
    main(["inspect", path, "--json"])
    total = json.loads(capsys.readouterr().out)["total"]
    assert (total["nodes"], total["dead_nodes"]) == (4 + 16 + 44, 0)
    assert total["nodes_removed"] == (NODES - 64) / NODES and total["fraction_removed"] == 0
    assert total["params_removed"] == pytest.approx(1 - total["params"] / 75_290, abs=1e-12)
    assert total["train_macs"] == 3 * BATCH * (6 * DENSE + 10 * CUT)
    assert total["train_speedup"] == pytest.approx(16 * DENSE / (6 * DENSE + 10 * CUT))
    main(["inspect", path])
    assert f"{total['nodes_removed']:.4f} of nodes removed" in capsys.readouterr().out
    main(["inspect", path, "--data", "synthetic", "--json"])
    model = json.loads(capsys.readouterr().out)["model"]
    assert model["valid_hm"] == harmonic_mean(total["params_removed"], model["valid_top1"] / 100)
