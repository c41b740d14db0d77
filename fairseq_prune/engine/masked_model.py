"""A model with masks: they come with its weights, go with its weights, and are enforced here."""

import logging

from ..optim.masters import homes, moments_of, values_of
from ..pruning.enforce import mask_tensor
from ..pruning.masks import pack_mask
from .travel import let_masks_travel

logger = logging.getLogger(__name__)


class MaskedModel:
    """The masks of one model.

    Args:
        model: ``nn.Module``. Weights loaded into it later bring their masks along.

    Attributes:
        masks: dict of parameter name -> bool; True = keep. Tensors that are whole have none.
    """

    def __init__(self, model):
        self.masks = {}
        self.parameters = dict(model.named_parameters())
        self._model = model
        self._packed = None
        let_masks_travel(model, self.packed, self.adopt)

    def adopt(self, masks):
        """Take over the masks of weights that were just loaded.

        Raises:
            ValueError: a mask fits no parameter.
        """
        for name, keep in masks.items():
            if name not in self.parameters or self.parameters[name].shape != keep.shape:
                raise ValueError(f"the checkpoint masks {name} {list(keep.shape)}, which the model does not have")
        self.hold(masks)

    def warn_of_lost_masks(self):
        """Say so if the weights look pruned but brought no masks: removed weights will train again.

        That is what averaging checkpoints, or any other tool that rebuilds the state dict, leaves.
        """
        matrices = [p for p in self.parameters.values() if p.dim() >= 2]
        zeros = sum(p.numel() - int(p.count_nonzero()) for p in matrices) / sum(p.numel() for p in matrices)
        if not self.masks and zeros > 0.1:
            logger.warning(
                f"{zeros:.4f} of the matrices is zero but came without masks, so it will train again; "
                f"to keep it removed, prune that much, e.g. --prune-method magnitude --prune-target {zeros:.4f}"
            )

    def hold(self, masks):
        """Replace all masks (dict of parameter name -> bool), without touching weights yet."""
        self.masks = dict(masks)
        self._packed = None

    def packed(self):
        """The masks as plain values; packed once after each change."""
        if self._packed is None:
            self._packed = {name: pack_mask(keep) for name, keep in self.masks.items()}
        return self._packed

    def local_masks(self):
        """The masks, each where its parameter lives; moved there once after loading."""
        for name, keep in self.masks.items():
            device = self.parameters[name].device
            if keep.device != device:
                self.masks[name] = keep.to(device)
        return self.masks

    def mask_values(self, optimizer):
        """Zero what is removed, in the fp32 masters and in the model."""
        masters = homes(optimizer)
        for name, keep in self.local_masks().items():
            for value in values_of(self.parameters[name], masters):
                mask_tensor(value, keep)

    def mask_moments(self, optimizer):
        """Zero the optimizer's statistics of what is removed."""
        masters = homes(optimizer)
        for name, keep in self.local_masks().items():
            for moment in moments_of(self.parameters[name], masters, optimizer):
                mask_tensor(moment, keep)

    def mask_averages(self, ema_model):
        """Zero what is removed in a moving average and in its fp32 copies, which go by every alias."""
        masks = self.local_masks()
        averages = dict(ema_model.named_parameters(remove_duplicate=False))
        copies = getattr(ema_model, "ema_fp32_params", {})
        names = {parameter: name for name, parameter in self.parameters.items()}
        for alias, parameter in self._model.named_parameters(remove_duplicate=False):
            keep = masks.get(names[parameter])
            if keep is not None:
                mask_tensor(averages[alias].data, keep)
                if alias in copies:
                    mask_tensor(copies[alias], keep)
