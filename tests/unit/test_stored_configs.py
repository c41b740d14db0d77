"""What is registered with fairseq becomes a node of hydra's at its first use, and then is what it would have been."""

from dataclasses import dataclass
from typing import Any

import pytest
from hydra.core.config_store import ConfigStore
from omegaconf import II, OmegaConf

import fairseq_prune

fairseq_prune.register()


@dataclass
class Config:
    width: int = 3
    seed: Any = II("common.seed")


RIGHT = {"width": 3, "seed": "${common.seed}"}


@pytest.fixture
def made(monkeypatch):
    """Configs that became nodes; the store is empty at first."""
    configs, structured = [], OmegaConf.structured
    monkeypatch.setattr(ConfigStore.instance(), "repo", {})
    monkeypatch.setattr(OmegaConf, "structured", lambda node: configs.append(node) or structured(node))
    return configs


def test_at_its_first_use(made):
    store = ConfigStore.instance()
    store.store(name="mine", group="task", node=Config(), provider="fairseq")
    assert Config() not in made and store.list("task") == ["mine.yaml"]
    node = store.load("task/mine.yaml").node
    assert OmegaConf.to_container(node, resolve=False) == RIGHT and OmegaConf.get_type(node) is Config
    node.width = 4
    assert store.load("task/mine.yaml").node.width == 3 and made.count(Config()) == 1


def test_what_others_store_does_so_at_once(made):
    store = ConfigStore.instance()
    store.store(name="config", node=Config())
    assert made == [Config()] and store.load("config.yaml").node.width == 3
