"""How fast networks train on small sets: OMP_NUM_THREADS=1 python benchmarks/training.py [quick]

Each row trains the same network on the same images, in this process: with the plain loop (a module, whole
batches, as published) and with privacy_for_free.nets.training, as it is and compiled. A training step counts
as three forward passes, and is held against what this machine reaches in the plainest convolution of this
network: 3x3, 128 channels, channels_last, 32 images of 16 pixels, forward only. `quick` leaves out the width
of 128 and sets of 500 images. Compiling itself, some seconds once for each shape, is not counted.
"""

import sys

import torch
from _measure import convolution_ceiling, least
from torch import nn

from privacy_for_free.core.randomness import generator
from privacy_for_free.lab import provenance
from privacy_for_free.nets.networks import ConvNet
from privacy_for_free.nets.schedule import Schedule
from privacy_for_free.nets.training import accuracy, train

BATCH = 256
TEST = 512


def module(network: ConvNet) -> nn.Module:
    """Return the network as published: modules of torch.nn."""
    layers, inputs = [], network.channels
    for block in range(network.depth):
        padding = 3 if block == 0 and network.size == 28 else 1
        layers += [
            nn.Conv2d(inputs, network.width, 3, padding=padding),
            nn.GroupNorm(network.width, network.width),
            nn.ReLU(),
            nn.AvgPool2d(2),
        ]
        inputs = network.width
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(network.feature_dim, network.classes))


def plain(model: nn.Module, images: torch.Tensor, labels: torch.Tensor, epochs: int) -> None:
    """Train as published, whole batches at a time."""
    optimiser = torch.optim.SGD(model.parameters(), 0.01, momentum=0.9, weight_decay=5e-4)
    stream = generator(0, "order")
    for _ in range(epochs):
        for rows in torch.randperm(len(images), generator=stream).split(BATCH):
            optimiser.zero_grad()
            nn.functional.cross_entropy(model(images[rows]), labels[rows]).backward()
            optimiser.step()


def evaluate_plain(model: nn.Module, images: torch.Tensor) -> None:
    """Test as published, in batches of 256."""
    with torch.no_grad():
        for part in images.split(BATCH):
            model(part)


def main() -> None:
    """Print a row for each width, kind of image and size of the set, then the test."""
    quick = "quick" in sys.argv[1:]
    print(provenance.machine(torch.device("cpu")))
    reached = convolution_ceiling()
    print(f"ceiling: {reached / 1e9:.0f} GFLOP/s")
    for width in (32,) if quick else (32, 128):
        for channels, size in ((3, 32), (1, 28)):
            network = ConvNet(channels, size, 10, width)
            model = module(network)
            stream = generator(0, "images")
            images = torch.randn((TEST, channels, size, size), generator=stream)
            labels = torch.randint(10, (TEST,), generator=stream)
            for M in (10, 100) if quick else (10, 100, 500):
                epochs = max(1, 256 // M)
                x, y = images[:M], labels[:M]
                times = [least(lambda m=model, x=x, y=y, e=epochs: plain(m, x, y, e))]
                for compile in (False, True):
                    schedule = Schedule(epochs=epochs, compile=compile)
                    times.append(least(lambda n=network, x=x, y=y, s=schedule: train(n, x, y, s, 0)))
                row(f"train {width:3d} {channels}x{size} M={M:3d}", network, times, epochs * M, 3, reached)
            parameters = network.initial(generator(0, "net"))
            times = [least(lambda m=model, x=images: evaluate_plain(m, x))]
            for compile in (False, True):
                times.append(
                    least(
                        lambda n=network, p=parameters, c=compile, x=images, y=labels: accuracy(n, p, x, y, c)
                    )
                )
            row(f"test  {width:3d} {channels}x{size} N={TEST}", network, times, len(images), 1, reached)


def row(name: str, network: ConvNet, times: list[float], count: int, passes: int, reached: float) -> None:
    """Print images per second of the three ways, ratios to the plain loop, and shares of the ceiling."""
    rates = [count / t for t in times]
    share = [passes * network.operations * rate / reached for rate in rates]
    print(
        f"{name:20s} plain {rates[0]:6.0f} images/s ({share[0]:3.0%})"
        f"   ours {rates[1]:6.0f} ({rates[1] / rates[0]:4.1f}x, {share[1]:3.0%})"
        f"   compiled {rates[2]:6.0f} ({rates[2] / rates[0]:4.1f}x, {share[2]:3.0%})",
        flush=True,
    )


if __name__ == "__main__":
    main()
