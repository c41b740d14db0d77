"""`--to ctranslate2`: a folder that CTranslate2 runs, on CPUs and GPUs."""

import os
import shutil
from typing import Any

from fairseq import utils

from ...checkpoint.load import load_task
from ...compat import load_checkpoint
from ...files.folder import require_replaceable, whole_folder
from .evidence import require_same
from .exporters import EXPORTERS, Job
from .read import load_cut, read_transformer
from .specification import specification
from .text_scores import TextScores
from .translations import Translations
from .vocabulary import CODES, find_codes, words_of

QUANTIZATIONS = ("int8", "int8_float16", "float16", "bfloat16")


@EXPORTERS.add("ctranslate2")
def to_ctranslate2(job: Job) -> dict[str, Any]:
    """Write a folder with the model, vocabularies and BPE codes.

    Whatever the quantisation, the model is first compared in float32, and refused if its results differ.

    Args:
        job: what to export.

    Returns:
        The report.

    Raises:
        ValueError: this machine does not have the quantisation, the model is not a Transformer, or its results differ.
    """
    device = _device(job.quantization)
    require_replaceable(job.out, "model.bin")
    load_checkpoint(job.checkpoint)  # refuses a foreign file in one line
    stamp = job.stamp()
    task, config = load_task(job.checkpoint, job.data)
    model = load_cut(job.checkpoint, task).float().eval()
    codes = find_codes(job.codes, utils.split_paths(config.task.data)[0])
    transformer = read_transformer(model, getattr(config.model, "activation_fn", None) or "relu")
    gather = Translations if transformer.encoder else TextScores
    evidence = gather(task, model, config.dataset.valid_subset.split(",")[0], job.batches)
    with whole_folder(job.out) as folder:
        _save(transformer, model, folder)
        report = require_same(evidence, folder)
        if job.quantization:
            _save(transformer, model, folder, job.quantization)
            report = evidence.compare(folder, device)
        if codes:
            shutil.copyfile(codes, os.path.join(folder, CODES))
        job.require_unchanged(stamp)
    size = sum(entry.stat().st_size for entry in os.scandir(job.out))
    return {"quantization": job.quantization or "float32", "bpe_codes": bool(codes), "bytes": size, **report}


def _device(quantization):
    """The device that can compute a type: "cpu" or "cuda"."""
    try:
        import ctranslate2
    except ImportError as error:
        raise ValueError(
            f"--to ctranslate2 needs the package ctranslate2 ({error}): pip install 'fairseq-prune[deploy]'"
        ) from None
    if quantization is None:
        return "cpu"
    if quantization not in QUANTIZATIONS:
        raise ValueError(f"--quantization {quantization}: unknown; give one of {', '.join(QUANTIZATIONS)}")
    devices = ["cpu", *["cuda"][: ctranslate2.get_cuda_device_count()]]
    able = [device for device in devices if quantization in ctranslate2.get_supported_compute_types(device)]
    if not able:
        here = [name for name in QUANTIZATIONS if name in ctranslate2.get_supported_compute_types("cpu")]
        raise ValueError(
            f"--quantization {quantization}: this machine cannot compute it, so it cannot be checked; "
            f"give {' or '.join(here) or 'none'}, or export where it will run"
        )
    return able[0]


def _save(transformer, model, folder, quantization=None):
    spec = specification(transformer)
    target = model.decoder.dictionary
    spec.config.unk_token, spec.config.bos_token = target.unk_word, target.bos_word
    spec.config.eos_token = target.eos_word
    if transformer.encoder:
        spec.register_source_vocabulary(words_of(model.encoder.dictionary))
        spec.register_target_vocabulary(words_of(target))
        spec.config.decoder_start_token, spec.config.add_source_eos = target.eos_word, True
    else:
        spec.register_vocabulary(words_of(target))
    spec.validate()
    spec.optimize(quantization)
    spec.save(folder)
