"""Small models beside a teacher."""

from types import SimpleNamespace

import torch
from fairseq.criterions.label_smoothed_cross_entropy import LabelSmoothedCrossEntropyCriterion
from small_models import DECODER, ENCODER, build_model

from fairseq_prune.distillation.distiller import Distiller
from fairseq_prune.distillation.options import Distillation
from fairseq_prune.distillation.teacher import Teacher

PAD = 1


def small_model(seed, arch="transformer", **given):
    torch.manual_seed(seed)
    return build_model(arch, **{**ENCODER, **DECODER, "share_all_embeddings": True} | given)


def sentences():
    """Two pairs; the second ends in padding on the target side."""
    target = torch.tensor([[5, 6, 7, 8, 2], [9, 10, 2, PAD, PAD]])
    source = torch.tensor([[11, 12, 2], [13, 14, 2]])
    previous = torch.tensor([[2, 5, 6, 7, 8], [2, 9, 10, PAD, PAD]])
    net_input = {"src_tokens": source, "src_lengths": torch.tensor([3, 3]), "prev_output_tokens": previous}
    return {"net_input": net_input, "target": target, "ntokens": 8}


TASK = SimpleNamespace(target_dictionary=SimpleNamespace(pad=lambda: PAD))


def smoothed(prefix=0):
    return LabelSmoothedCrossEntropyCriterion(TASK, False, 0.1, ignore_prefix_size=prefix)


def loss_of(student, teacher=None, criterion=None, sample=None, **asked):
    """(loss, log) of a criterion beside a teacher."""
    criterion, sample = criterion or smoothed(), sample or sentences()
    if teacher is None:
        loss, _, log = criterion(student.train(), sample)
        return loss, log
    distiller = Distiller(Distillation("a.pt", "--prune-teacher a.pt", **asked), Teacher(teacher), criterion, student)
    with distiller.beside(criterion):
        loss, _, log = criterion(student.train(), sample)
    assert not (criterion._forward_hooks or criterion._forward_pre_hooks)
    assert not any(module._forward_hooks for model in (student, teacher) for module in model.modules())
    return loss, log
