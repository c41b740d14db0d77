"""A regulariser in the loss that makes weights sparse by itself."""

from ..optim.masters import homes, values_of
from ..pruning.hoyer import hoyer_square, hoyer_step
from .approach import Approach


class Regularised(Approach):
    """Follows the Hoyer-square regulariser's gradient behind every step, by its weight times lr / (1 - momentum).

    In the gradient of the loss it would have the same strength, but let units jump around zero instead of stopping.
    """

    def __init__(self, *given):
        super().__init__(*given)
        self._layers, self._sum = [], None

    def begin(self, position, layers, choose, optimizer):
        self.active, self._layers = True, list(layers)

    def after_step(self, optimizer):
        masters, self._sum = homes(optimizer), 0.0
        owned = {name: values_of(p, masters) for name, p in self.parameters.items() if name in self.chooser.owned}
        squares = {name: value.float().square() for name, (value, *_) in owned.items()}
        step = self.settings.weight * optimizer.get_lr()
        step /= 1 - optimizer.optimizer.param_groups[0].get("momentum", 0.0)
        for chooser in self.chooser.sides:
            for layer in self._layers:
                norms = chooser.sum_over(layer, squares).sqrt()
                self._sum += hoyer_square(norms)
                for name, change in chooser.spread(layer, hoyer_step(norms, step) - 1).items():
                    for value in owned[name]:
                        value.mul_((1 + change).to(value.dtype))

    def validated_values(self, choose):
        return self.masked(choose(None).masks)

    @property
    def metrics(self):
        """The regulariser, summed over layers, without its weight."""
        return {} if self._sum is None else {"regulariser": float(self._sum)}

    def state(self):
        return {"layers": self._layers} if self.active else None

    def load_state(self, state):
        super().load_state(state)
        self._layers = state["layers"]
