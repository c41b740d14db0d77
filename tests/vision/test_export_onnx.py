"""`fairseq-prune export --to onnx`: onnxruntime sees in images what fairseq sees."""

import numpy as np
import onnxruntime
import pytest
import torch
from commands import refused, reported

from fairseq_prune.checkpoint.load import load_model, load_task
from fairseq_prune.compat.onnx import write_onnx


def export(capsys, *words):
    return reported(capsys, "export", *words, "--to", "onnx", "--batches", "5")


@pytest.fixture
def small(compacted):
    """A ResNet-8 some of whose channels were cut."""
    return compacted[0]


def test_any_batch_size(small, capsys, tmp_path):
    out = tmp_path / "small.onnx"
    report = export(capsys, small, out)
    assert report["same_class"] == report["images"] == 5 * (4 + 1) and report["largest_difference"] < 1e-5
    assert report["bytes"] == out.stat().st_size and [p.name for p in tmp_path.iterdir()] == ["small.onnx"]
    model = load_model(str(small), load_task(str(small))[0]).eval()
    images = torch.rand(7, *model.image_shape, generator=torch.Generator().manual_seed(1))
    found = onnxruntime.InferenceSession(str(out)).run(["scores"], {"images": images.numpy()})[0]
    assert np.abs(found - model(images).detach().numpy()).max() < 1e-4 and found.shape == (7, 10)


def test_smaller_than_the_dense_one_and_without_norms(small, dense, capsys, tmp_path):
    import onnx

    sizes = [export(capsys, path, tmp_path / f"{i}.onnx")["bytes"] for i, path in enumerate((small, dense))]
    assert sizes[0] < 0.7 * sizes[1]
    kinds = {node.op_type for node in onnx.load(tmp_path / "0.onnx").graph.node}
    assert "Conv" in kinds and "BatchNormalization" not in kinds


def test_a_wrong_file_is_refused_and_leaves_nothing(small, tmp_path, monkeypatch):
    """The negative control: what is written is another model than what is compared."""

    def wrong(model, *args):
        with torch.no_grad():
            weight = next(model.parameters())
            weight[0] += 0.1
            write_onnx(model, *args)
            weight[0] -= 0.1

    monkeypatch.setattr("fairseq_prune.deploy.export.onnx_images.write_onnx", wrong)
    line = refused("export", small, tmp_path / "out.onnx", "--to", "onnx")
    assert "the outputs of onnxruntime differ by" in line and not list(tmp_path.iterdir())


def test_what_onnx_has_no_operator_for(capfd, tmp_path):
    """One line, and not the graph that torch prints."""
    net = torch.nn.AdaptiveAvgPool2d(2)
    with pytest.raises(ValueError, match="does not write this net as ONNX: Unsupported: .*adaptive_avg_pool2d"):
        write_onnx(net, {"images": torch.rand(1, 3, 1, 1)}, ["scores"], {}, str(tmp_path / "out.onnx"))
    assert "graph" not in capfd.readouterr().out


def test_what_other_targets_say_to_images(small, tmp_path):
    out = tmp_path / "out"

    def said(to, *words):
        return refused("export", small, out, "--to", to, *words)

    assert "ImageClassifier is not a fairseq Transformer" in said("ctranslate2")
    assert "task prune_image_classification: fairseq has none like it" in said("fairseq")
    assert "--quantization int8: has no effect here" in said("onnx", "--quantization", "int8")
    assert not out.exists()
