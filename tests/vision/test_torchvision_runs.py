"""Torchvision's nets in training, where one is unlike the others."""

import numpy as np
import pytest
from conftest import train_images, words_of

SHORT = "--arch torchvision --batch-size 8 --max-update 2 --disable-validation"


def train(folder, name, words):
    """Two updates on noise of 3 x 32 x 32."""
    rng, data = np.random.default_rng(1), folder / "data.npz"
    pixels = {f"x_{split}": rng.integers(0, 255, (16, 32, 32, 3), dtype=np.uint8) for split in ("train", "test")}
    np.savez(data, **pixels, y_train=np.arange(16) % 10, y_test=np.arange(16) % 10)
    return train_images(folder, data, *words_of(SHORT), "--torchvision-model", name, *words_of(words))


def test_averages_of_a_net_that_reads_its_version(tmp_path):
    """MNASNet refuses weights that do not say which version of it they are of."""
    state = train(tmp_path, "mnasnet0_5", "--store-ema --ema-decay 0.5")
    averages = state["extra_state"]["ema"]
    changed = [name for name, value in averages.items() if not value.equal(state["model"][name])]
    assert "net.layers.0.weight" in changed  # averaged over the two updates


def test_what_cannot_be_traced_loses_weights(tmp_path):
    state = train(tmp_path, "swin_t", "--prune-method magnitude --prune-target 0.5")
    weights = [value for value in state["model"].values() if value.dim() > 1 and value.is_floating_point()]
    removed = sum(int((value == 0).sum()) for value in weights) / sum(value.numel() for value in weights)
    assert 0.49 < removed < 0.51


@pytest.mark.parametrize(
    "name, why", [("swin_t", "shifts windows"), ("maxvit_t", "grids"), ("shufflenet_v2_x0_5", "shuf")]
)
@pytest.mark.parametrize("words", ["l1 --prune-units channel", "snap_it"])
def test_but_no_channels(tmp_path, name, why, words):
    """Refused by its name before any data are looked for: these do not exist."""
    options = [
        *words_of(SHORT),
        "--torchvision-model",
        name,
        "--prune-target",
        "0.5",
        "--prune-method",
        *words_of(words),
    ]
    with pytest.raises(SystemExit, match=rf"--prune-units .*--torchvision-model {name} .*{why}") as refused:
        train_images(tmp_path, tmp_path / "nowhere", *options)
    assert "\n" not in str(refused.value) and not list(tmp_path.glob("*.pt"))
