"""The prunable set: each tensor once, under all its names."""

import pytest
import torch
from small_models import build_model
from torch import nn

from fairseq_prune.pruning.prunable import find_prunables


class Tied(nn.Module):
    """An embedding shared with the output layer, a bias, and a norm."""

    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(7, 4)
        self.fc = nn.Linear(4, 4)
        self.norm = nn.LayerNorm(4)
        self.out = nn.Linear(4, 7, bias=False)
        self.out.weight = self.embed.weight


def names(model, **patterns):
    return [p.name for p in find_prunables(model, **patterns)]


def test_matrices_by_default_and_shared_ones_once():
    embed, fc = find_prunables(Tied())
    assert (embed.name, embed.aliases) == ("embed.weight", ("embed.weight", "out.weight"))
    assert (fc.name, fc.aliases) == ("fc.weight", ("fc.weight",))


def test_untied_tensors_count_apart():
    model = Tied()
    model.out.weight = nn.Parameter(model.embed.weight.detach().clone())
    assert names(model) == ["embed.weight", "fc.weight", "out.weight"]


def test_a_stock_transformer_with_one_embedding():
    model = build_model("transformer", share_all_embeddings=True)
    found = find_prunables(model)
    assert found[0].aliases == (
        "encoder.embed_tokens.weight", "decoder.embed_tokens.weight", "decoder.output_projection.weight",
    )  # fmt: skip
    matrices = [p for p in model.parameters() if p.dim() >= 2]
    assert sum(p.parameter.numel() for p in found) == sum(p.numel() for p in matrices)


def test_include_adds():
    assert names(Tied(), include=["*.bias"]) == ["embed.weight", "fc.weight", "fc.bias", "norm.bias"]
    assert names(Tied(), include=["norm.*"]) == ["embed.weight", "fc.weight", "norm.weight", "norm.bias"]


def test_skip_knows_every_alias():
    for pattern in ("embed.*", "out.*", "out.weight"):
        assert names(Tied(), skip=[pattern]) == ["fc.weight"]


def test_skip_wins_over_include():
    assert names(Tied(), include=["*"], skip=["*.bias", "out.*"]) == ["fc.weight", "norm.weight"]


def test_patterns_respect_case():
    with pytest.raises(ValueError, match="FC"):
        names(Tied(), skip=["FC.*"])


@pytest.mark.parametrize("kind", ["include", "skip"])
def test_a_pattern_without_a_match_names_the_nearest(kind):
    with pytest.raises(ValueError) as error:
        names(Tied(), **{kind: ["fc.*", "out.wieght"]})
    for word in (f"--prune-{kind} out.wieght", "did you mean 'out.weight'", "e.g. 'embed.weight'"):
        assert word in str(error.value)


def test_nothing_left_is_an_error():
    with pytest.raises(ValueError, match=r"--prune-skip '\*' leaves nothing to prune; see --prune-include"):
        names(Tied(), skip=["*"])
    with pytest.raises(ValueError, match="see --prune-include"):
        names(nn.LayerNorm(4))
    assert names(nn.LayerNorm(4), include=["weight"]) == ["weight"]


def test_weight_is_the_parameter_without_its_graph():
    _, fc = find_prunables(Tied())
    assert fc.weight().data_ptr() == fc.parameter.data_ptr() and not fc.weight().requires_grad


def test_whole_tensors_have_no_mask():
    embed, _ = find_prunables(Tied())
    whole, holed = torch.ones(7, 4, dtype=torch.bool), torch.arange(28).view(7, 4) > 0
    assert embed.masks_for(whole) == {}
    assert embed.masks_for(holed).keys() == {"embed.weight"}
    assert embed.mask_in({}) is None
    assert torch.equal(embed.mask_in(embed.masks_for(holed)), holed)
