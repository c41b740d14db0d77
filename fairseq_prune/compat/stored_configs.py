"""hydra turns every config into nodes when it is registered; here this happens only when a config is looked up.

This saves most of the time that registering the pruning versions of all tasks would add to the start of every program.
"""

from typing import Any

from .patching import patch_once


def install() -> None:
    """Turn the configs that are registered with fairseq from now on into nodes at their first use."""
    from hydra.core.config_store import ConfigStore

    patch_once(ConfigStore, "store", _as_it_is)
    patch_once(ConfigStore, "_load", _as_a_node)


def _as_it_is(store):
    def keep(
        self: Any,
        name: str,
        node: Any,
        group: str | None = None,
        package: str | None = None,
        provider: str | None = None,
    ) -> None:
        later = provider == "fairseq"
        store(self, name, {} if later else node, group, package, provider)
        if later:
            self._open(f"{group}/{name.removesuffix('.yaml')}.yaml").node = node

    return keep


def _as_a_node(load):
    def find(self, path):
        from omegaconf import OmegaConf

        found = load(self, path)
        if not OmegaConf.is_config(found.node):
            found.node = OmegaConf.structured(found.node)
        return found

    return find
