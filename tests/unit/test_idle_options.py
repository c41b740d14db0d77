"""Every option of every command and task either always has an effect, or is refused where it has none."""

from dataclasses import fields
from importlib import import_module
from types import SimpleNamespace

import pytest

from fairseq_prune.cli.main import command_modules, main
from fairseq_prune.criterions.srp import SrpCriterionConfig, asked_distillation
from fairseq_prune.engine.checks import RunDescription
from fairseq_prune.engine.make_plan import make_plan
from fairseq_prune.engine.options import PruneOptions, given_options
from fairseq_prune.needs import OptionParser, refuse_idle_fields, spelt
from fairseq_prune.optim.phased import PhasedConfig
from fairseq_prune.tasks.srp_options import SrpOptions, plan_options
from vision_bridge.pruning_options import VisionPruningOptions, add_vision_options

SIPO = "sipo nowhere --checkpoint a.pt --save-dir nowhere"
GRID = f"{SIPO} --group all"
PLOT = "plot a.pt"
IDLE = {  # command line, up to the option that has no effect in it
    f"{SIPO} --epochs 3": f"{SIPO} --rounds 2 --epochs 3",
    f"{SIPO} --recover-metric both": f"{SIPO} --rounds 2 --recover-metric both",
    f"{SIPO} --slack 0.001": f"{SIPO} --rounds 2 --slack 0.001",
    f"{SIPO} --dense-control": f"{SIPO} --rounds 2 --dense-control",
    f"{SIPO} --train --arch rnn_lm": f"{SIPO} --rounds 2 --train --arch rnn_lm --task translation",
    f"{GRID} --workers 2": f"{SIPO} --workers 2",
    f"{GRID} --population 4": f"{SIPO} --population 4",
    f"{GRID} --generations 4": f"{GRID} --search warm --generations 4",
    f"{GRID} --high 0.9": f"{GRID} --search ncs --high 0.9",
    f"{GRID} --sigma 0.1": f"{SIPO} --sigma 0.1",
    f"{SIPO} --search warm --start 0.2": f"{SIPO} --start 0.2",
    f"{SIPO} --low 0.2": f"{SIPO} --reference --low 0.2",
    "imp nowhere --save-dir nowhere --target 0.5 --stages a=*": None,
    "inspect a.pt --data nowhere --lengths 3,4": "inspect a.pt --lengths 3,4",
    "inspect a.pt --data nowhere --legacy-flops": "inspect a.pt --legacy-flops",
    "inspect a.pt --reference": "inspect a.pt --data nowhere --reference",
    "export a.pt out --to onnx --quantization int8": "export a.pt out --to ctranslate2 --quantization int8",
    "export a.pt out --to onnx --bpe-codes c": "export a.pt out --to ctranslate2 --bpe-codes c",
    "pack a.pt out --half --keep-optimizer": "pack a.pt out --keep-optimizer",
    "sensitivity a.pt --total 0.8": "sensitivity a.pt --recipe r.yaml --total 0.8",
    f"{PLOT} --sparsity s.png --data nowhere": f"{PLOT} --scores s.png --data nowhere",
    f"{PLOT} --sparsity s.png --cpu": f"{PLOT} --scores s.png --cpu",
    f"{PLOT} --sparsity s.png --original b.pt": f"{PLOT} --structure s.png --original b.pt",
    f"{PLOT} --scores s.png --split valid": f"{PLOT} --confusion s.png --split valid",
    f"{PLOT} --confusion s.png --images 3": f"{PLOT} --saliency s.png --images 3",
    f"{PLOT} --saliency s.png --batches 3": f"{PLOT} --scores s.png --batches 3",
    f"{PLOT} --saliency s.png --batch-size 3": f"{PLOT} --confusion s.png --batch-size 3",
    f"{PLOT} --confusion s.png --seed 3": f"{PLOT} --scores s.png --seed 3",
}
EFFECTIVE = {  # options that always have an effect, or are only refused with what they cannot have
    "sipo": "checkpoint save-dir group search max-drop max-ppl-increase accuracy rounds reference seed "
    "tensorboard-logdir prune-execute",
    "imp": "save-dir target fraction rewind checkpoint scope include skip only train",
    "inspect": "data original json user-dir",
    "compact": "data batches overwrite json user-dir",
    "export": "to data batches overwrite json user-dir",
    "prune": "method target params-left macs-left units importance scope stages include skip only batches rounding "
    "seed data quality overwrite json user-dir",
    "sensitivity": "data split batches targets by method units importance include skip only rounding seed recipe png "
    "json user-dir",
    "pack": "half overwrite json",
    "unpack": "overwrite json",
    "average": "overwrite json",
    "plot": "run sparsity structure confusion saliency scores",
    "attack": "data attacks eps steps batches batch-size split seed cpu json plot",
    "plot-growth": "",
    "user-dir": "",
    "bench": "data split runtimes batch-sizes threads sentences beam device png json",
    "methods": "json user-dir",
    "sweep": "save-dir table json",
}


def refused(line):
    """What a command line ends with: the file that is missing, or the option that has no effect."""
    with pytest.raises(SystemExit) as error:
        main(line.split())
    return str(error.value)


def option_of(line):
    return next(word for word in reversed(line.split(" --arch")[0].split()) if word.startswith("--"))


@pytest.mark.parametrize("command", command_modules())
def test_every_option_of_a_command_is_decided(command):
    """A new one has to be put into one of the tables above."""
    parser = OptionParser()
    import_module(f"fairseq_prune.cli.{command_modules()[command]}").add_arguments(parser)
    actions = {action.option_strings[0]: action for action in parser._actions if action.option_strings}
    options = {option: parser.needs.get(action) for option, action in actions.items()}
    idle = {option_of(line) for line in IDLE if line.split()[0] == command}
    assert options.keys() - idle == {"-h", *(f"--{name}" for name in EFFECTIVE[command].split())}
    assert {option for option, needs in options.items() if needs} == idle


@pytest.mark.parametrize("line", IDLE)
def test_an_option_without_effect_is_refused(line):
    assert refused(line).startswith(f"{option_of(line)}") and "has no effect here" in refused(line)
    if IDLE[line]:
        assert "has no effect" not in refused(IDLE[line])


def config(*classes, **given):
    values = {field.name: field.default for kind in classes for field in fields(kind)}
    run = {
        "prune_store_ema": False,
        "prune_amp": False,
        "prune_evaluated": None,
        "prune_max_epoch": 0,
        "prune_max_update": 0,
        "prune_save_dir": "nowhere",
    }
    return SimpleNamespace(**values | run | given)


def prune(**given):
    cfg = config(PruneOptions, **given)
    refuse_idle_fields(PruneOptions, cfg, RunDescription(cfg, make_plan(given_options(cfg))))


def phased(**given):
    cfg = config(PruneOptions, PhasedConfig, **{"lr": [0.25]} | given)
    refuse_idle_fields(PhasedConfig, cfg, RunDescription(cfg, make_plan(given_options(cfg))))


def vision(**given):
    cfg = config(PruneOptions, VisionPruningOptions, **given)
    add_vision_options(cfg, given_options(cfg))


def srp(**given):
    cfg = config(PruneOptions, SrpOptions, **given)
    refuse_idle_fields(PruneOptions, cfg, RunDescription(cfg, make_plan(plan_options(cfg, given_options(cfg)))))


def criterion(**given):
    asked_distillation(config(SrpCriterionConfig, **given))


def own(kind, *parents):
    """Names of the fields that a user can give; those that fairseq fills in are interpolations."""
    names = {field.name for field in fields(kind) if not str(field.default).startswith("${")}
    return names - {"_name"} - {field.name for parent in parents for field in fields(parent)}


RULES = {  # of a function that checks options: its config, what always counts, and how each other one has no effect
    prune: (PruneOptions, {"prune_method", "prune_recipe", "prune_pack", "prune_teacher"}, {}),
    phased: (PhasedConfig, {"lr_ft"}, {"prune_lr": {"prune_method": "none"}}),
    vision: (VisionPruningOptions, set(), {}),
    srp: (
        SrpOptions,
        {"srp", "compression_rate", "pretrained_model", "weighted_layernorm", "srp_plain_layernorm", "arch"},
        {"pruning_iter": {"compression_rate": 0.3}},
    ),
    criterion: (  # the last three are warned of: the authors' scripts give them, and they do nothing there, too
        SrpCriterionConfig,
        {"use_kd", "prob_kd", "attn_kd", "fc_kd", "emb_kd"},
        {},
    ),
}
VALUES = {
    "decreasing": "sg",
    "srp_score": "squared",
    "srp_budget": "legacy",
    "T": 3.0,
    "prune_permute": True,
    "prune_amp_bf16": True,
}
VALUES |= {"reg_fit": True, "reg_bn": True, "block_loss_grad": True}
CASES = [
    (check, name, beside.get(name, {}))
    for check, (kind, always, beside) in RULES.items()
    for name in sorted(own(kind) - always)
    if check is not criterion or name in own(kind, *kind.__mro__[1:2])
]


@pytest.mark.parametrize("check, name, beside", CASES, ids=[f"{check.__name__}-{name}" for check, name, _ in CASES])
def test_an_option_of_a_task_that_does_nothing_alone_is_refused(check, name, beside):
    """Alone, or beside what seems to make it count; a new field either is refused or stands among those that count."""
    with pytest.raises(ValueError) as error:
        check(**{name: VALUES.get(name, 7)}, **beside)
    assert str(error.value).startswith(spelt(name))
    check(**beside)


GREG1, GREG2 = ({"prune_method": method, "prune_target": "0.5"} for method in ("greg1", "greg2"))
FITTED = {**GREG2, "reg_fit": True, "prune_end": "2000up"}


@pytest.mark.parametrize("given, name, value", [
    (GREG1, "reg_upper_limit_pick", 0.02), (GREG1, "reg_granularity_pick", 1e-4),
    (GREG1, "reg_granularity_recover", 0.0), (FITTED, "reg_granularity_pick", 1e-4),
    (FITTED, "reg_granularity_prune", 1e-3), (FITTED, "stabilize_reg_interval", 0),
    ({**GREG1, "prune_units": "weight"}, "mag_ratio_limit", 10.0),
    ({**GREG1, "prune_units": "weight"}, "reg_stop_scope", "layer"),
    ({"prune_method": "magnitude", "prune_target": "0.5"}, "prune_batches", 9),
    ({"prune_method": "magnitude", "prune_target": "0.01abs"}, "prune_rounding", "up"),
    ({"prune_method": "n:m", "prune_target": "2:4"}, "prune_rounding", "up"),
    ({"prune_method": "n:m", "prune_target": "2:4"}, "prune_lambda", 0.1),
    ({"prune_method": "srp", "prune_target": "0.5", "srp_pruning_updates": 4}, "pruning_period", 7),
    ({"prune_method": "srp_once", "prune_target": "0.5"}, "decreasing", "sg"),
    ({"prune_teacher": "self", "prune_kd_weight": 0.0, "prune_kd_hidden": 1.0}, "prune_kd_temperature", 2.0),
])  # fmt: skip
def test_an_option_that_a_method_does_not_read_is_refused(given, name, value):
    prune(**given)
    with pytest.raises(ValueError, match=f"^{spelt(name)} {value}: .* e.g. "):
        prune(**given, **{name: value})


def test_a_drop_in_points_is_refused_with_an_example():
    with pytest.raises(ValueError, match=r"--max-drop 1.0: give a value in \[0, 0.3\], e.g. --max-drop 0.01"):
        import_module("fairseq_prune.drivers.sipo.settings").with_presets(False, 0, drop=1.0)


@pytest.mark.parametrize("given, message", [
    ({**GREG1, "prune_target": "2:4"}, "--prune-target .*: says how many weights of units n:m are kept, not of .* 0.5"),
    ({"prune_method": "magnitude", "prune_target": "*=2:4"}, "--prune-target .* n:m are kept, not of weight; .* n:m"),
    ({"prune_method": "n:m", "prune_target": "0.5"}, "--prune-target 0.5: .* give e.g. --prune-target 2:4"),
    ({"prune_method": "snip_it", "prune_target": "0.5", "prune_steps": 10**9}, "--prune-steps 1000000000: .* 10000"),
    ({**GREG1, "reg_upper_limit": float("inf")}, "--reg-upper-limit inf: give a finite number, e.g. 1.0"),
    ({**GREG2, "reg_granularity_recover": float("nan")}, "--reg-granularity-recover nan: give a finite number, e.g. "),
    ({"prune_method": "sr_ste", "prune_target": "2:4", "prune_freeze": "9up", "prune_mask_decay": -1.0},
     "--prune-mask-decay -1.0: must not be below 0, e.g. 0.0002"),
])  # fmt: skip
def test_messages_name_option_value_and_example(given, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        prune(**given)
