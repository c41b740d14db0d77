"""The divergence of a student's outputs from its teacher's."""

import torch
import torch.nn.functional as F
from torch import Tensor


def divergence(student: Tensor, teacher: Tensor, keep: Tensor, temperature: float) -> Tensor:
    """``T^2 KL(softmax(teacher / T) || softmax(student / T))``, summed over positions.

    The factor T^2 keeps the gradient's size where it is when T grows (Hinton et al. 2015, arXiv
    1503.02531). SRP's original counts padding as well; here ``keep`` leaves it out.

    Args:
        student: logits (..., V). Log-probabilities do too: a constant added to a row cancels.
        teacher: the same of the teacher; gets no gradient.
        keep: bool (...), False where a position does not count.
        temperature: T > 0.

    Returns:
        Tensor () in fp32, or wider where the student's logits are: T^2 times nats.

    Raises:
        ValueError: the shapes differ.
    """
    _check(student, teacher)
    return _Divergence.apply(student, teacher, keep, temperature)


class _Divergence(torch.autograd.Function):
    """The divergence; its derivative by the student, T (q - p), is one pass of what torch has for ``log_softmax``."""

    @staticmethod
    def forward(ctx, student, teacher, keep, temperature):
        ctx.temperature, ctx.dtype = temperature, student.dtype
        dtype = torch.promote_types(student.dtype, torch.float32)
        log_p, log_q = (F.log_softmax(logits.to(dtype) / temperature, dim=-1) for logits in (teacher, student))
        p = log_p.exp()
        ctx.save_for_backward(p, log_q, keep)
        kl = log_p.sub_(log_q).mul_(p).sum(-1)
        return temperature**2 * kl.masked_fill_(~keep, 0.0).sum()

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, grad):
        p, log_q, keep = ctx.saved_tensors
        of_log_q = p * (keep * (-ctx.temperature * grad)).unsqueeze(-1)
        of_logits = torch.ops.aten._log_softmax_backward_data(of_log_q, log_q, -1, log_q.dtype)
        return of_logits.to(ctx.dtype), None, None, None


def distance(student: Tensor, teacher: Tensor, keep: Tensor) -> Tensor:
    """Mean over channels of the squared difference of hidden states, summed over positions.

    Args:
        student: hidden states (..., C).
        teacher: the same of the teacher; gets no gradient.
        keep: bool (...), False where a position does not count.

    Returns:
        Tensor () in fp32, or wider where the student's states are.

    Raises:
        ValueError: the shapes differ.
    """
    _check(student, teacher)
    dtype = torch.promote_types(student.dtype, torch.float32)
    squares = (student.to(dtype) - teacher.detach().to(dtype)).square().mean(-1)
    return squares.masked_fill(~keep, 0.0).sum()


def _check(student, teacher):
    if student.shape != teacher.shape:
        raise ValueError(
            f"its outputs have the shape {list(teacher.shape)}, the student's {list(student.shape)}; "
            "give a model of the same task and dictionaries, e.g. checkpoints/dense/checkpoint_best.pt"
        )
