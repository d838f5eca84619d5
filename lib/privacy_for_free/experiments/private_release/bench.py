"""Where releases are tried: ConvNets are trained on them and tested on the whole test set."""

import time
from dataclasses import dataclass, field

import torch

from privacy_for_free.core.randomness import derived_seed
from privacy_for_free.nets import augmentation, networks, training
from privacy_for_free.nets.schedule import Schedule


@dataclass(frozen=True, eq=False)
class Bench:
    """A test set, and the ConvNets that are tested on it.

    images   of the test set, N x C x H x W, scaled as the released ones are
    labels   int64, N
    classes, width   of the ConvNets
    dataset  name of the data set, which decides the published augmentation
    seed     what each training's own seed is derived from
    """

    images: torch.Tensor = field(repr=False)
    labels: torch.Tensor = field(repr=False)
    classes: int
    width: int
    dataset: str
    seed: int

    def network(self) -> networks.Network:
        """Return the ConvNet that is trained."""
        return networks.build("convnet", tuple(self.images.shape[1:]), self.classes, self.width)

    def learn(
        self, images: torch.Tensor, labels: torch.Tensor, schedule: Schedule, *index: object
    ) -> dict[str, object]:
        """Train on images M x C x H x W and their labels; return the columns of an accuracy.

        index   names the training: its text enters the seed
        """
        began = time.perf_counter()
        schedule = augmentation.published_for(schedule, self.dataset)
        seed = derived_seed(self.seed, "learn", *map(str, index))
        trained = training.train(self.network(), images, labels, schedule, seed)
        seconds = time.perf_counter() - began
        return self.test(trained, schedule.compile) | {
            "train_seconds": seconds,
            "epochs": schedule.epochs,
            "images": len(images),
        }

    def test(self, trained: networks.Weights, compile: bool) -> dict[str, object]:
        """Return the accuracy of a ConvNet's weights on the test set, and its width."""
        accuracy = training.accuracy(self.network(), trained, self.images, self.labels, compile)
        return {"test_accuracy": accuracy, "width": self.width}
