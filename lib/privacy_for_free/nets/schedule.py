"""How a network is trained: the schedule of the condensation literature, and its settings.

The published schedule is that of `evaluate_synset` in the code of Zhao, Mopuri & Bilen (ICLR 2021) and of
Zhao & Bilen (ICML 2021; WACV 2023), VICO-UoE/DatasetCondensation, utils.py: SGD at rate 0.01 with momentum
0.9 and weight decay 5e-4 on every parameter, shuffled batches of 256, and about halfway a tenth of the rate
with a fresh optimiser, whose momentum starts from nothing.
"""

from dataclasses import dataclass

from privacy_for_free.core import validate
from privacy_for_free.core.entrance import entrance
from privacy_for_free.nets import augmentation

MANY = 2**40  # more than any count of images or mebibytes
LARGEST_RATE = 3.4e38  # a number of float32


def check_rate(name: str, value: float) -> None:
    """Refuse what no optimiser of float32 parameters takes as a rate: not above 0, or beyond float32."""
    if validate.positive(name, value) > LARGEST_RATE:
        raise ValueError(f"{name} {value!r}: allowed are numbers above 0, up to {LARGEST_RATE}")


@entrance
@dataclass(frozen=True)
class Schedule:
    """How a network is trained; the defaults are the published ones without augmentation.

    epochs        passes over the set
    learning_rate, momentum, weight_decay   of torch.optim.SGD, for every parameter
    batch         images per step; the last step of an epoch takes what is left
    augmentation  strategy of `augmentation.draw`: one kind per batch, parameters for each image; "" for none
    compile       torch.compile the loss
    drop          epochs at the first rate, before a fresh optimiser goes on at a tenth of it; None: half
    """

    epochs: int = 301
    learning_rate: float = 0.01
    momentum: float = 0.9
    weight_decay: float = 5e-4
    batch: int = 256
    augmentation: str = ""
    compile: bool = False
    drop: int | None = None

    def __post_init__(self) -> None:
        """Refuse values no training can have."""
        validate.whole("epochs", self.epochs)
        validate.whole("batch", self.batch, 1, MANY)
        if self.drop is not None:
            validate.whole("drop", self.drop)
        check_rate("learning_rate", self.learning_rate)
        validate.fraction("momentum", self.momentum)
        if validate.not_negative("weight_decay", self.weight_decay):
            check_rate("weight_decay", self.weight_decay)
        augmentation.kinds(self.augmentation)

    @classmethod
    @entrance
    def published(cls, augmentation: str = "", compile: bool = False) -> "Schedule":
        """Return the published schedule: 300 epochs, 1,000 with augmentation, as the code counts them.

        Its loop runs `range(Epoch + 1)`, and the rate drops after the epoch of index Epoch // 2 + 1.
        """
        epochs = 1000 if augmentation else 300
        return cls(epochs + 1, augmentation=augmentation, compile=compile, drop=epochs // 2 + 2)

    def rate(self, epoch: int) -> float:
        """Return the learning rate of epoch 0 .. epochs-1.

        >>> [Schedule(epochs=4).rate(epoch) for epoch in range(4)]
        [0.01, 0.01, 0.001, 0.001]
        """
        return self.learning_rate if epoch < self._first else self.learning_rate / 10

    @property
    def _first(self) -> int:
        return self.epochs // 2 if self.drop is None else self.drop
