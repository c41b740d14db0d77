"""A task can be built from nothing but its own options, as tools do that only translate or convert."""

from argparse import Namespace

import pytest
import torch
from conftest import TINY
from fairseq import options, tasks
from fairseq.models.transformer import TransformerModel
from omegaconf import OmegaConf

from fairseq_prune.engine.options import PruneOptions
from fairseq_prune.engine.own_options import give_defaults, stands_alone

PACKAGES = ("fairseq_prune", "vision_bridge")
OURS = {name for name, kind in tasks.TASK_REGISTRY.items() if kind.__module__.startswith(PACKAGES)}
STOCK = {f"prune_{name}" for name, kind in tasks.TASK_REGISTRY.items() if kind.__module__.startswith("fairseq.")}
PAIR = {"source_lang": "de", "target_lang": "en"}
NAMESPACES = {  # name -> what data it takes, its own options
    "prune_translation": ("parallel", PAIR),
    "srp_translation": ("parallel", PAIR),
    "SRPtranslation": ("parallel", PAIR),
    "prune_language_modeling": ("monolingual", {}),
    "prune_masked_lm": ("monolingual", {}),
    "prune_stateful_language_modeling": ("monolingual", {"tokens_per_sample": 5}),
    "prune_image_classification": (None, {}),
}


def test_all_our_tasks_are_tried():
    assert OURS - STOCK <= NAMESPACES.keys()


@pytest.mark.parametrize("name", NAMESPACES)
def test_a_namespace_is_enough(name, request):
    fixture, options = NAMESPACES[name]
    data = str(request.getfixturevalue(fixture)) if fixture else "digits"
    task = tasks.setup_task(Namespace(task=name, data=data, **options))
    task.load_dataset("valid")
    assert len(task.dataset("valid"))
    assert task.only_evaluates and not task.plan.prunes
    assert task.options.prune_save_dir == "checkpoints" and task.options.prune_seed == 1
    assert task.options.prune_update_freq == [1]


@pytest.mark.parametrize("name", ["prune_translation", "srp_translation"])
def test_so_is_a_config_without_the_others(name, parallel):
    cfg = OmegaConf.structured(tasks.TASK_DATACLASS_REGISTRY[name](data=str(parallel)))
    assert tasks.setup_task(OmegaConf.merge(cfg, {"_name": name})).only_evaluates


def test_the_namespace_of_a_training_is_not_alone():
    """Of a task without a dataclass, which is given the options of all groups but those of evaluation."""
    words = "nowhere --task prune_multilingual_translation --arch multilingual_transformer --max-tokens 9".split()
    args = options.parse_args_and_arch(options.get_training_parser(), words)
    assert not hasattr(args, "path") and not stands_alone(args, PruneOptions)
    del args.save_dir
    assert stands_alone(args, PruneOptions)


def test_a_whole_config_keeps_what_it_says():
    whole = OmegaConf.create({"task": {"prune_seed": "${common.seed}"}, "common": {"seed": 7}})
    give_defaults(whole.task, PruneOptions)
    assert not stands_alone(whole.task, PruneOptions) and whole.task.prune_seed == 7
    lone = OmegaConf.create({"prune_seed": "${common.seed}"})
    assert stands_alone(lone, PruneOptions)
    give_defaults(lone, PruneOptions)
    assert not stands_alone(lone, PruneOptions) and lone.prune_seed == 1


@pytest.fixture(scope="module")
def pruned(module_run):
    """A pruned model whose recipe is gone."""
    run = module_run("pruned", arch=f"--arch transformer --share-all-embeddings {TINY}")
    recipe = run.folder.with_suffix(".yaml")
    recipe.write_text("prune-method: magnitude\nprune-target: 0.5\n")
    run.train("--prune-recipe", recipe, "--max-update", "3")
    recipe.unlink()
    return run


def test_the_namespace_of_a_stored_model_is_enough(pruned):
    """As CTranslate2's converter does."""
    state = pruned.checkpoint()
    args = state["cfg"]["model"]
    assert isinstance(args, Namespace) and args.prune_recipe  # it does hold the options of the training
    args.data = str(pruned.data)
    task = tasks.setup_task(args)
    model = task.build_model(args)
    model.load_state_dict(state["model"], strict=True, model_cfg=args)
    weights = torch.cat([value.flatten() for name, value in model.named_parameters() if value.dim() > 1])
    assert 0.49 < (weights == 0).double().mean() < 0.51


def test_a_pretrained_model_translates(pruned):
    model = TransformerModel.from_pretrained(str(pruned.folder), "checkpoint_last.pt", str(pruned.data))
    assert isinstance(model.translate("w1 w2", beam=2), str)
