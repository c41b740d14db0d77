"""Torchvision's models by name: sizes, weights from a file, mistakes."""

from argparse import Namespace
from types import SimpleNamespace

import pytest
import torch
from fairseq.models import ARCH_CONFIG_REGISTRY
from torch import nn

from vision_bridge.models.classifier import ImageClassifier
from vision_bridge.models.nets import NetSpec
from vision_bridge.models.torchvision_nets import build_torchvision
from vision_bridge.models.weights import load_weights

SMALL = "squeezenet1_1"


def build(name=SMALL, weights=None, classes=10, channels=3, size=32, **options):
    return build_torchvision(name, weights, NetSpec(classes, channels, size, **options))


def classifier(weights=None, only_evaluates=False, name=SMALL, shape=(3, 32, 32)):
    args = Namespace(torchvision_model=name, torchvision_weights=weights and str(weights))
    ARCH_CONFIG_REGISTRY["torchvision"](args)
    task = SimpleNamespace(image_shape=shape, classes=10, only_evaluates=only_evaluates)
    return ImageClassifier.build_model(args, task)


@pytest.fixture
def saved(tmp_path):
    """Save the state dict of a net, or anything."""

    def save(what, name="net.pt"):
        torch.save(what, tmp_path / name)
        return str(tmp_path / name)

    return save


@pytest.mark.parametrize(
    "name, size, parameters",
    [
        ("resnet18", 32, 11_689_512),
        ("densenet121", 32, 7_978_856),
        (SMALL, 32, 1_235_496),
        ("vgg11", 32, 132_863_336),
        ("vit_b_32", 64, None),
        ("regnet_y_400mf", 32, 4_344_144),
        ("mobilenet_v2", 33, 3_504_872),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_models_by_name(name, size, parameters):
    with torch.device("meta") if name.startswith("vgg") else torch.device("cpu"):
        net = build(name, classes=1000, size=size).eval()
        assert net(torch.zeros(1, 3, size, size)).shape == (1, 1000)
    assert parameters is None or sum(p.numel() for p in net.parameters()) == parameters


def test_inception_has_auxiliary_logits_in_training():
    model = classifier(name="inception_v3", shape=(3, 299, 299)).to("meta")
    assert [logits.shape for logits in model(model.example())] == [(2, 10), (2, 10)]
    assert model.eval()(model.example()).shape == (2, 10)


@pytest.mark.parametrize("name", [SMALL, "resnet18", "googlenet"])
def test_weights_from_a_file(name, saved):
    torch.manual_seed(1)
    net, other = build(name, size=64).eval(), build(name, size=64).eval()
    image = torch.randn(2, 3, 64, 64)
    expected = net(image)
    assert not torch.equal(other(image), expected)  # the weights matter
    assert torch.equal(build(name, saved(net.state_dict()), size=64).eval()(image), expected)


def test_the_older_names_of_densenet_load(saved):
    state = build("densenet121").state_dict()
    older = {key.replace(".norm1.", ".norm.1.").replace(".conv2.", ".conv.2."): state[key] for key in state}
    assert older.keys() != state.keys()
    loaded = build("densenet121", saved(older)).state_dict()
    assert loaded.keys() == state.keys() and all(torch.equal(loaded[key], state[key]) for key in state)


def test_trying_the_size_leaves_the_net_and_the_seed_alone():
    from torchvision import models

    torch.manual_seed(3)
    plain, after = models.resnet18(num_classes=10).state_dict(), torch.rand(1)
    torch.manual_seed(3)
    ours = build("resnet18").state_dict()
    assert all(torch.equal(ours[key], plain[key]) for key in plain)
    assert torch.equal(torch.rand(1), after)


def test_a_checkpoint_needs_no_file_of_weights(tmp_path, saved):
    weights = saved(build().state_dict())
    assert classifier(weights)
    assert classifier(tmp_path / "gone.pt", only_evaluates=True)
    with pytest.raises(SystemExit, match="gone.pt: cannot be read"):
        classifier(tmp_path / "gone.pt")


@pytest.mark.parametrize("name, heads", [(SMALL, 2), ("googlenet", 6)])
def test_weights_for_other_classes(name, heads, saved, caplog):
    """Everything but the classifiers, auxiliary ones too, which begin as those of a net without weights."""
    torch.manual_seed(1)
    theirs = build(name, classes=1000, size=64).state_dict()
    weights = saved(theirs)
    torch.manual_seed(2)
    new = build(name, size=64).state_dict()
    torch.manual_seed(2)
    with caplog.at_level("INFO"):
        ours = build(name, weights, size=64).state_dict()
    fresh = {entry for entry in ours if ours[entry].shape != theirs[entry].shape}
    assert len(fresh) == heads and all(torch.equal(ours[entry], new[entry]) for entry in fresh)
    assert all(torch.equal(ours[entry], theirs[entry]) for entry in ours.keys() - fresh)
    (said,) = [record.message for record in caplog.records if "new weights" in record.message]
    assert "net.pt has 1000 classes, the images have 10: new weights for " in said


def test_weights_of_another_model(saved):
    weights = saved(build("resnet18").state_dict())
    with pytest.raises(ValueError, match=f"net.pt: does not fit --torchvision-model {SMALL}"):
        build(weights=weights)
    with pytest.raises(ValueError, match="net.pt: does not fit --torchvision-model resnet50"):
        build("resnet50", weights=weights)


def test_weights_that_lack_an_entry(saved):
    state = build().state_dict()
    state.popitem()
    with pytest.raises(ValueError, match="does not fit"):
        build(weights=saved(state))


@pytest.mark.parametrize("content", [{"model": {}}, [1, 2], {1: torch.ones(1)}], ids=["checkpoint", "list", "numbered"])
def test_files_without_a_state_dict(content, saved):
    with pytest.raises(ValueError, match="net.pt: holds no state dict"):
        build(weights=saved(content))


@pytest.mark.parametrize("content", [b"", b"no weights", b"hello", b"s75", b"\x80\x02garbage", b"PK\x03\x04"])
def test_files_that_cannot_be_read(content, tmp_path):
    path = tmp_path / "net.pt"
    path.write_bytes(content)
    with pytest.raises(ValueError, match="net.pt: cannot be read, .*give e.g.") as error:
        build(weights=str(path))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "options, message",
    [
        ({"name": "resnt18"}, "--torchvision-model resnt18: torchvision has no such model; did you mean 'resnet18'"),
        ({"name": None}, "--torchvision-model None: torchvision has no such model; give e.g. resnet18"),
        ({"channels": 1}, f"--torchvision-model {SMALL}: takes images of 3 channels, these have 1; give e.g. --arch"),
        ({"size": 8}, f"--torchvision-model {SMALL}: does not take images of 8 x 8 px; give e.g. --image-size 224"),
        ({"name": "inception_v3", "size": 298}, "298 x 298 px; give e.g. --image-size 299"),
        ({"name": "vit_b_32", "size": 50}, "50 x 50 px; give e.g. --image-size 224"),
        ({"batch_norm": False}, "--no-batch-norm: --arch torchvision leaves no choice; give e.g. --arch vgg16_fc3"),
        ({"dropout": 0.5}, "--net-dropout: --arch torchvision leaves no choice; give e.g. --arch vgg16_fc3"),
    ],
    ids=["typo", "none", "grey", "small", "inception", "vit", "norm", "dropout"],
)
def test_mistakes(options, message):
    with pytest.raises(ValueError) as error:
        build(**options)
    assert message in str(error.value)


@pytest.mark.parametrize(("given", "asked"), [("IMAGENET1K_V1", "IMAGENET1K_V1"), ("default", "IMAGENET1K_V2")])
def test_weights_that_torchvision_names(given, asked, monkeypatch):
    """The seeds' are the first version; the default is the latest."""
    from torchvision.models import WeightsEnum

    def download(self, **kwargs):
        raise OSError(self.name)

    monkeypatch.setattr(WeightsEnum, "get_state_dict", download)
    with pytest.raises(ValueError, match=f"{given}: cannot be read, {asked};"):
        build("resnet50", given, size=32)


def test_weights_in_the_names_of_the_ddp_suite():
    """It renames the layers of VGG."""
    features, classifier = nn.Sequential(nn.Linear(2, 2)), nn.Sequential(*(nn.Linear(2, 2) for _ in range(7)))
    net = nn.ModuleDict({"features": features, "classifier": classifier})
    theirs = {
        "classifier.0": "linear0",
        "classifier.3": "linear1",
        "classifier.6": "last_linear",
        "features.0": "_features.0",
    }
    state = {}
    for entry, tensor in net.state_dict().items():
        layer, _, leaf = entry.rpartition(".")
        state[f"{theirs.get(layer, layer)}.{leaf}"] = torch.full_like(tensor, len(state))
    load_weights(net, state, "--net-weights", "a.pt", "vgg16", 2, "")
    assert [float(tensor.flatten()[0]) for tensor in net.state_dict().values()] == [*range(len(state))]
