"""Given targets: reading them, and giving each group its own."""

import pytest

from fairseq_prune.pruning.budget import parse_target, targets_for


def test_targets():
    for one in (0.8, "0.8", "8e-1", {"*": "0.8"}):
        assert parse_target(one) == {"*": 0.8}
    assert parse_target(0) == {"*": 0.0}
    for several, target in {
        "ih=0.9,hh=0.5": {"ih": 0.9, "hh": 0.5},
        " ih =0.9, *= 0": {"ih": 0.9, "*": 0.0},
    }.items():
        assert list(parse_target(several).items()) == list(target.items())  # in order: the first match counts
    assert parse_target({"ih": 0.9, 0: "0.5"}) == {"ih": 0.9, "0": 0.5}  # YAML reads a bare 0 as a number


def test_fractions_outside_0_to_1_are_refused():
    for given in (1, 1.0, -0.1, "80", "80%", "nan", "inf", "", None, [0.8], True, "a=1", {"a": -1}):
        with pytest.raises(ValueError, match=r"--prune-target .*fraction in \[0, 1\), e.g. 0.8"):
            parse_target(given)


def test_half_a_pair_is_refused():
    for given in ("a=0.5,0.3", "a=0.5,", "a=0.5,a=0.6"):
        with pytest.raises(ValueError, match=f"--prune-target {given}: write .* pairs, e.g. 'ih=0.9,hh=0.5'"):
            parse_target(given)


def test_the_first_match_counts():
    groups = {"ih": [], "hh": [], "ff": []}
    assert targets_for(groups, {"*": 0.8}) == {"ih": 0.8, "hh": 0.8, "ff": 0.8}
    assert targets_for(groups, {"ff": 0.5, "?h": 0.9}) == {"ih": 0.9, "hh": 0.9, "ff": 0.5}
    assert targets_for(groups, {"ih": 0.1, "*h": 0.2, "*": 0.3}) == {"ih": 0.1, "hh": 0.2, "ff": 0.3}
    assert targets_for(groups, {"*": 0.3, "ih": 0.1})["ih"] == 0.3  # control: order matters


def test_a_group_without_a_target_is_refused():
    with pytest.raises(ValueError, match=r"--prune-target gives no fraction for 'hh'; add e.g. '\*=0.8'"):
        targets_for(["ih", "hh"], {"ih": 0.5})


def test_a_target_without_a_group_is_refused():
    with pytest.raises(ValueError, match="'encoder' matches .* did you mean 'encoders'.*groups: encoders, decoders"):
        targets_for(["encoders", "decoders"], {"encoder": 0.5, "*": 0.8})
