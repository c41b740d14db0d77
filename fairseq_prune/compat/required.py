"""What the workarounds rely on in fairseq: one table, checked before any of them is applied."""

import importlib
import inspect
from collections.abc import Iterable
from operator import attrgetter
from typing import NamedTuple, NoReturn


class Needed(NamedTuple):
    """A function, class or value of fairseq or hydra.

    Args:
        where: its ``module:name``.
        takes: names of its first parameters, in this order.
        knows: names that occur in its code, such as instance attributes, which the class does not show.
    """

    where: str
    takes: str = ""
    knows: str = ""


_LOADS = "self state_dict optimizer_overrides"
_FP16, _SCHEDULERS = "fairseq.optim.fp16_optimizer", "fairseq.optim.lr_scheduler"
_POLYNOMIAL = f"{_SCHEDULERS}.polynomial_decay_schedule:PolynomialDecayLRSchedule"
_PLATEAU = f"{_SCHEDULERS}.reduce_lr_on_plateau:ReduceLROnPlateauLRSchedule"
REQUIRED = (
    Needed("fairseq.checkpoint_utils:load_checkpoint_to_cpu", "path arg_overrides"),
    Needed("fairseq.checkpoint_utils:load_model_ensemble_and_task", "filenames arg_overrides task"),
    Needed("fairseq.checkpoint_utils:save_checkpoint", knows="best"),
    Needed("fairseq.checkpoint_utils:torch_persistent_save", "obj filename async_write"),
    Needed("fairseq.data.dictionary:Dictionary.add_from_file", "self f"),
    Needed("fairseq.data.indexed_dataset:make_dataset", "path impl"),
    Needed("fairseq.data.indexed_dataset:_code_to_dtype"),
    Needed("fairseq.data.indexed_dataset:IndexedDataset._HDR_MAGIC"),
    Needed("fairseq.data.indexed_dataset:MMapIndexedDataset.Index._HDR_MAGIC"),
    Needed("fairseq.data.fasta_dataset:FastaDataset._build_index", "self path"),
    Needed("fairseq.distributed.utils:call_main", "cfg main"),
    Needed("fairseq.distributed.utils:distributed_main", "i main cfg kwargs", "barrier"),
    Needed("fairseq.distributed.utils:infer_init_method", "cfg force_distributed"),
    Needed("fairseq.file_io:PathManager.copy", "src_path dst_path overwrite"),
    Needed("fairseq.models.distributed_fairseq_model:DistributedDataParallel"),
    Needed("fairseq.models.ema.ema:EMA.__init__", "self model", "fp32_params skip_keys update_freq_counter"),
    Needed("fairseq.models.ema.ema:EMA.restore", "self state_dict"),
    Needed("fairseq.optim.amp_optimizer:AMPOptimizer.scaler"),
    Needed("fairseq.optim.amp_optimizer:AMPOptimizer.clip_grad_norm", "self max_norm", "unscale_ optimizer"),
    Needed("fairseq.optim.amp_optimizer:AMPOptimizer.load_state_dict", _LOADS),
    Needed("fairseq.optim.amp_optimizer:AMPOptimizer.state_dict", "self"),
    Needed("fairseq.optim.amp_optimizer:AMPOptimizer.step", "self", "scaler update"),
    Needed(
        "fairseq.optim.dynamic_loss_scaler:DynamicLossScaler.__init__",
        knows="_iter _last_overflow_iter _last_rescale_iter _overflows_since_rescale",
    ),
    Needed(f"{_FP16}:FP16Optimizer.__init__", "self cfg params fp32_optimizer fp32_params", "fp16_params fp32_params"),
    Needed(f"{_FP16}:FP16Optimizer.load_state_dict", _LOADS, "scaler"),
    Needed(f"{_FP16}:FP16Optimizer.state_dict", "self"),
    Needed(f"{_FP16}:FP16Optimizer.clip_grad_norm", "self max_norm", "_multiply_factor"),
    Needed(f"{_FP16}:MemoryEfficientFP16Optimizer.load_state_dict", _LOADS, "scaler"),
    Needed(f"{_FP16}:MemoryEfficientFP16Optimizer.state_dict", "self"),
    Needed(f"{_POLYNOMIAL}.load_state_dict", "self state_dict"),
    Needed(f"{_POLYNOMIAL}.state_dict", "self"),
    Needed(f"{_POLYNOMIAL}.step_begin_epoch", "self epoch", "lr optimizer"),
    Needed(f"{_PLATEAU}.load_state_dict", "self state_dict", "lr_scheduler"),
    Needed(f"{_PLATEAU}.state_dict", "self"),
    Needed("fairseq.modules.checkpoint_activations:checkpoint_wrapper", "m", "precheckpoint_forward"),
    Needed("fairseq.options:parse_args_and_arch", "parser input_args", "bf16 tpu"),
    Needed("fairseq.sequence_generator:SequenceGenerator._generate", "self sample", "beam_size model"),
    Needed("fairseq.trainer:Trainer._build_optimizer", "self", "_lr_scheduler"),
    Needed(
        "fairseq.trainer:Trainer.load_checkpoint",
        "self filename reset_optimizer reset_lr_scheduler optimizer_overrides reset_meters",
        "lr_step _previous_training_time",
    ),
    Needed("fairseq.trainer:Trainer.state_dict", "self", "ema"),
    Needed("fairseq.trainer:Trainer.train_step", "self", "_amp_retries"),
    Needed("fairseq.utils:apply_to_sample", "f sample"),
    Needed("fairseq.utils:move_to_cpu", "sample"),
    Needed("hydra.core.config_store:ConfigStore.store", "self name node group package provider"),
    Needed("hydra.core.config_store:ConfigStore._load", "self config_path"),
    Needed("hydra.core.config_store:ConfigStore._open", "self path"),
)


def require(table: Iterable[Needed] = REQUIRED) -> None:
    """Refuse a fairseq that is not what the workarounds assume.

    Raises:
        SystemExit: one line with its version and what is missing.
    """
    for needed in table:
        module, _, name = needed.where.partition(":")
        try:
            found = inspect.unwrap(attrgetter(name)(importlib.import_module(module)))
        except (ImportError, AttributeError):
            _refuse(f"{module} has no {name}")
        takes, wanted = list(inspect.signature(found).parameters) if needed.takes else [], needed.takes.split()
        if takes[: len(wanted)] != wanted:
            _refuse(f"{name} of {module} takes ({', '.join(takes)}), not ({', '.join(wanted)})")
        if lacking := set(needed.knows.split()) - _names(found):
            _refuse(f"{name} of {module} has no {', '.join(sorted(lacking))}")


def _names(function):
    """All names in a function's code, and in the functions inside it."""
    code = getattr(function, "__code__", None)
    return _names_in(code) if code else set()


def _names_in(code):
    inner = [_names_in(constant) for constant in code.co_consts if inspect.iscode(constant)]
    return {*code.co_names, *code.co_varnames}.union(*inner)


def _refuse(what) -> NoReturn:
    import fairseq

    version = getattr(fairseq, "__version__", "of an unknown version")
    raise SystemExit(f"fairseq {version} is not the supported one: {what}; install fairseq-fixed 0.12.3.1")
