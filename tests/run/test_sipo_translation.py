"""fairseq-prune sipo on translation models, ours and fairseq's own."""

import json

import pytest
from commands import reported
from conftest import masks_of, words_of
from fairseq import checkpoint_utils
from fairseq.tasks.translation import TranslationTask

from fairseq_prune.cli.main import main
from fairseq_prune.compat import load_checkpoint

QUICK = words_of("--search ncs --population 2 --generations 3 --max-drop 0.05 --start 0.3")
STOCK = words_of("""--encoder-embed-dim 16 --encoder-hidden-size 16 --encoder-layers 1 --decoder-embed-dim 16
    --decoder-hidden-size 16 --decoder-out-embed-dim 16 --decoder-layers 1""")
ARCHS = {
    "rnnsearch_tiny": {"encoder_embedding", "decoder_embedding", "ih", "hh", "attn", "pred"},
    "luongnet_tiny": {"embedding", "ih", "hh", "attn"},
    "lstm": {"embedding", "ih", "hh", "attn"},
}


@pytest.fixture(scope="module", params=ARCHS)
def pruned(request, parallel, tmp_path_factory):
    """(architecture, folder of its search, summary, path of the dense model)."""
    from conftest import Run

    folder = tmp_path_factory.mktemp(request.param)
    options = " ".join(STOCK) if request.param == "lstm" else ""
    Run(folder, parallel, "translation", f"--arch {request.param} {options}").train("--max-update", "12")
    dense, out = folder / "checkpoint_last.pt", folder / "sipo"
    main(["sipo", str(parallel), "--checkpoint", str(dense), "--save-dir", str(out), *QUICK])
    return request.param, out, json.loads((out / "summary.json").read_text()), dense


def test_groups_and_limit(pruned):
    arch, _, summary, _ = pruned
    (entry,) = summary["rounds"]
    assert entry["search"]["by_group"].keys() == ARCHS[arch]
    assert entry["search"]["removed"] > 0.15 and summary["best"] == 0
    before, after = summary["original"]["valid"]["accuracy"], entry["pruned"]["valid"]["accuracy"]
    assert 0 <= before <= 1 and after >= before - 0.05 - 1e-12  # fractions, not points
    assert entry["pruned"]["test"].keys() >= {"bleu", "sacrebleu", "hyp_ppl"}


def test_the_grid_starts_at_zero_and_stops_at_the_first_violation(pruned, parallel, tmp_path):
    """And lists perplexities, of which that of rate 0 is the dense model's."""
    arch, _, summary, dense = pruned
    words = ["--checkpoint", dense, "--save-dir", tmp_path, "--group", "all", "--max-ppl-increase", "0.01"]
    main(["sipo", str(parallel), *map(str, words)])
    rest = [json.loads(line) for line in (tmp_path / "search-0.jsonl").read_text().splitlines()][1:]
    assert [r["rates"] for r in rest] == [[step / 100] for step in range(len(rest))] and 1 < len(rest) < 100
    assert [r["feasible"] for r in rest] == [True] * (len(rest) - 1) + [False]
    assert rest[0]["perplexity"] == pytest.approx(summary["original"]["valid"]["perplexity"])


def test_inspect_shows_what_the_run_measured(pruned, parallel, capsys):
    _, out, summary, dense = pruned
    shown = reported(capsys, "inspect", out / "best.pt", "--original", dense, "--data", parallel)
    search, measured = summary["rounds"][0]["search"], summary["rounds"][0]["pruned"]
    assert shown["pruned"]["pruned"] == search["pruned"] > shown["original"]["pruned"]
    for name in ("bleu", "sacrebleu", "hyp_ppl"):
        assert shown["pruned"][f"test_{name}"] == pytest.approx(measured["test"][name])
        assert shown["original"][f"test_{name}"] == pytest.approx(summary["original"]["test"][name])
    assert shown["pruned"]["valid_perplexity"] == pytest.approx(measured["valid"]["perplexity"])
    main(["inspect", str(out / "best.pt")])
    assert "MACs" in capsys.readouterr().out


def test_unmodified_fairseq_loads_it(pruned):
    """The file of a stock architecture names nothing of ours but the masks beside the weights."""
    arch, out, _, _ = pruned
    content = load_checkpoint(out / "best.pt")
    if arch == "lstm":
        options = {**vars(content["cfg"]["model"]), "user_dir": None}  # that is the training's own
        assert "prune" not in f"{content['cfg']['task']} {options}"
    (model,), _, task = checkpoint_utils.load_model_ensemble_and_task([str(out / "best.pt")])
    assert type(task) is TranslationTask
    for name, keep in masks_of(content).items():
        zeros = model.get_parameter(name)[~keep]
        assert not zeros.any() and not zeros.signbit().any()
