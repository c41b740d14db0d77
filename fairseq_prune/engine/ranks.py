"""Making the same decision on every rank."""

import torch
from torch import Tensor, distributed


def world_size() -> int:
    """Number of processes that train together; 1 without ``torch.distributed``."""
    return distributed.get_world_size() if distributed.is_available() and distributed.is_initialized() else 1


def rank() -> int:
    """This process's number among those that train together; 0 without ``torch.distributed``."""
    return distributed.get_rank() if world_size() > 1 else 0


def average(scores: Tensor) -> Tensor:
    """Average scores over ranks, so that ranks with different data rank units alike.

    Args:
        scores: float tensor, the same shape on every rank.

    Returns:
        A new tensor on several ranks, ``scores`` itself on one.
    """
    if world_size() == 1:
        return scores
    total = scores.clone()
    distributed.all_reduce(total)
    return total / world_size()


def largest(number: int, device: torch.device) -> int:
    """The largest of a number over ranks.

    Args:
        number: an int of less than 64 bits.
        device: where the communication backend works.
    """
    if world_size() == 1:
        return number
    most = torch.tensor(number, dtype=torch.int64, device=device)
    distributed.all_reduce(most, op=distributed.ReduceOp.MAX)
    return int(most)


def require_equal(number: int, what: str, device: torch.device) -> None:
    """Compare a number over ranks.

    Args:
        number: an int below 2**63, e.g. a checksum.
        what: the thing compared, for the message.
        device: where the communication backend works.

    Raises:
        RuntimeError: on every rank, when two ranks differ.
    """
    if world_size() == 1:
        return
    low = torch.tensor(number, dtype=torch.int64, device=device)
    high = low.clone()
    distributed.all_reduce(low, op=distributed.ReduceOp.MIN)
    distributed.all_reduce(high, op=distributed.ReduceOp.MAX)
    if low != high:
        raise RuntimeError(f"{what} differ between ranks ({int(low)} and {int(high)}): their weights have diverged")
