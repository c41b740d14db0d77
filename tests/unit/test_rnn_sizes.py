"""RNNSearch and LuongNet have their published sizes, and start as they should."""

import re
from argparse import Namespace
from types import SimpleNamespace

import pytest
import torch
from srp_models import build, dictionary

from fairseq_prune.families.recurrent.grouping import group_parameters

GROUPS = {  # arch, preset -> group -> (pattern, size); the tables of Li et al.'s experiments
    ("rnnsearch", "stage"): {
        "encoder_embedding": (r"encoder\.embed_tokens\.", 31_001_240),
        "decoder_embedding": (r"decoder\.embed_tokens\.", 31_002_480),
        "ih": (r".+\.(weight|bias)_ih(_|$)", 12_732_000),
        "hh": (r".+\.(weight|bias)_hh(_|$)", 9_012_000),
        "attn": (r"decoder\.attention\.", 4_003_000),
        "pred": (r"decoder\.output_projection\.", 50_054_004),
    },
    ("rnnsearch", "layer"): {
        "encoder_embedding": (r"encoder\.embed_tokens\.", 31_001_240),
        "decoder_embedding": (r"decoder\.embed_tokens\.", 31_002_480),
        "encoder_rnn0": (r"encoder\.rnn\..+_l0(_reverse)?$", 3_366_000),
        "encoder_rnn1": (r"encoder\.rnn\..+_l1(_reverse)?$", 4_506_000),
        "decoder_rnn0": (r"decoder\.layers\.0\.", 7_866_000),
        "decoder_rnn1": (r"decoder\.layers\.1\.", 6_006_000),
        "attn": (r"decoder\.attention\.", 4_003_000),
        "pred": (r"decoder\.output_projection\.", 50_054_004),
    },
    ("luongnet", "stage"): {
        "embedding": (r".+\.embed_tokens\.|decoder\.output_projection\.", 150_060_004),
        "ih": (r".+\.(weight|bias)_ih(_|$)", 36_032_000),
        "hh": (r".+\.(weight|bias)_hh(_|$)", 32_032_000),
        "attn": (r"decoder\.attention\.", 3_000_000),
    },
    ("luongnet", "layer"): {
        "encoder_embedding": (r"encoder\.embed_tokens\.", 50_002_000),
        "decoder_embedding": (r"decoder\.embed_tokens\.", 50_004_000),
        **{f"encoder_rnn{k}": (rf"encoder\.rnn\..+_l{k}$", 8_008_000) for k in range(4)},
        "decoder_rnn0": (r"decoder\.layers\.0\.", 12_008_000),
        **{f"decoder_rnn{k}": (rf"decoder\.layers\.{k}\.", 8_008_000) for k in (1, 2, 3)},
        "attn": (r"decoder\.attention\.", 3_000_000),
        "pred": (r"decoder\.output_projection\.", 50_054_004),
    },
}


@pytest.fixture(scope="module")
def published():
    """The models at their default sizes with 50,000 words on each side; no memory is allocated."""
    from fairseq.models import build_model

    words = dictionary(50_004)
    task = SimpleNamespace(source_dictionary=words, target_dictionary=words)
    with torch.device("meta"):
        models = {arch: build_model(Namespace(arch=arch), task) for arch in ("rnnsearch", "luongnet")}
    return models


@pytest.mark.parametrize("arch, size", [("rnnsearch", 137_804_724), ("luongnet", 221_124_004)])
def test_published_size(published, arch, size):
    assert sum(p.numel() for p in published[arch].parameters()) == size


@pytest.mark.parametrize("arch", ["rnnsearch", "luongnet"])
def test_published_dropout(published, arch):
    assert published[arch].encoder.rnn.dropout == published[arch].decoder.dropout_module.p == 0.3


@pytest.mark.parametrize("arch, preset", GROUPS)
def test_published_groups(published, arch, preset):
    groups = GROUPS[arch, preset]
    found = dict.fromkeys(groups, 0)
    for name, parameter in published[arch].named_parameters():
        (group,) = [group for group, (pattern, _) in groups.items() if re.match(pattern, name)]
        found[group] += parameter.numel()
    assert found == {group: size for group, (_, size) in groups.items()}


@pytest.mark.parametrize("arch, preset", GROUPS)
def test_our_groups_are_the_published_ones(published, arch, preset):
    sizes = {name: parameter.numel() for name, parameter in published[arch].named_parameters()}
    found = {group: sum(map(sizes.get, names)) for group, names in group_parameters(preset, list(sizes)).items()}
    assert found == {group: size for group, (_, size) in GROUPS[arch, preset].items()}


@pytest.mark.parametrize("arch, size", [("rnnsearch_small", 4_501_300), ("luongnet_small", 4_907_764)])
def test_small_size(arch, size):
    with torch.device("meta"):
        model = build(arch, words=(6004, 6004))
    assert sum(p.numel() for p in model.parameters()) == size


@pytest.mark.parametrize("arch", ["rnnsearch_tiny", "luongnet_tiny"])
def test_every_tensor_starts_uniform_without_zeros(arch):
    for name, parameter in build(arch, words=(400, 400)).named_parameters():
        assert parameter.abs().min() > 0, name
        assert parameter.abs().max() <= 0.1, name
        if parameter.numel() > 500:
            assert 0.054 < parameter.std() < 0.062, name  # 0.1 / sqrt(3) = 0.0577


@pytest.mark.parametrize(
    "arch, options, message",
    [
        ("rnnsearch_tiny", {"hidden_size": 15}, "--hidden-size 15: .* e.g. 16"),
        ("luongnet_tiny", {"hidden_size": 0}, "--hidden-size 0: .* e.g. 2"),
        ("luongnet_tiny", {"layers": 0}, "--layers 0: .*"),
        ("luongnet_tiny", {"dropout": 1.0}, "--dropout 1.0: .* e.g. 0.3"),
    ],
)
def test_impossible_sizes(arch, options, message):
    with pytest.raises(SystemExit, match=message):
        build(arch, **options)
    build("luongnet_tiny", hidden_size=15)  # one direction: nothing to share
