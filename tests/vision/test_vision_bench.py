"""`fairseq-prune bench` of image classifiers."""

import json

from fairseq_prune.cli.main import main
from fairseq_prune.drivers.bench import compare
from fairseq_prune.drivers.bench.trial import Trial


def test_images(dense, compacted, capsys, monkeypatch):
    """All runtimes see the same, and MACs are those of inspect."""
    monkeypatch.setattr(compare, "Child", lambda request: Trial(json.loads(json.dumps(request))))
    paths = str(dense), str(compacted[0])
    capsys.readouterr()
    main(
        [
            "bench",
            *paths,
            "--sentences",
            "40",
            "--batch-sizes",
            "8",
            "--runtimes",
            "fairseq,csr,torchscript,onnx",
            "--json",
        ]
    )
    report = json.loads(capsys.readouterr().out)
    assert [row["runtime"] for row in report["rows"]] == 2 * ["fairseq", "torchscript", "onnx"]
    assert report["unit"] == "images" and {note["reason"] for note in report["notes"]} == {
        "convolutions have no CSR form"
    }
    for path, rows in zip(paths, (report["rows"][:3], report["rows"][3:]), strict=True):
        main(["inspect", path, "--json"])
        assert {row["macs"] for row in rows} == {json.loads(capsys.readouterr().out)["total"]["macs"]}
        assert len({row["accuracy"] for row in rows}) == 1 and rows[0]["accuracy"] > 50
    assert report["rows"][3]["expected"] > 1.2
