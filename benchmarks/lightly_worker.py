"""The worker that measures lightly on PyTorch, in an environment of its own (`requirements/bench-lightly.txt`)."""

import os

from benchmarks import protocol

if __name__ == "__main__":
    protocol.hold_cores()
    # Left to themselves PyTorch's threads spin while they wait, on the cores on which the data workers decode. Seen
    # on two busy cores: 3.4 s a step this way, 12 to 16 s otherwise.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import importlib.metadata
import re
import time

import numpy as np
import torch

from benchmarks import torchvision_operators  # noqa: F401  # isort: skip
import lightly.data
import lightly.loss
import lightly.models.modules
import lightly.transforms
import torchvision


class SimCLR(torch.nn.Module):
    """A torchvision network with lightly's projection head."""

    def __init__(self, network):
        super().__init__()
        self.trunk = getattr(torchvision.models, network)(weights=None)
        width = self.trunk.classifier[-1].in_features
        self.trunk.classifier = torch.nn.Identity()
        self.head = lightly.models.modules.SimCLRProjectionHead(width, width, 128)

    def forward(self, images):
        return self.head(self.trunk(images))


def whole_step(network, image_size, batch_size, images, workers=2, **_):
    """lightly as its SimCLR example shows it, on a CPU: two passes, NT-Xent, SGD; channels last, which is faster."""
    if not re.fullmatch(r"EfficientNetB[0-7]", network):
        raise ValueError(f"{network} is not compared; Keras and torchvision both have EfficientNetB0 to EfficientNetB7")
    model = SimCLR(network.lower().replace("netb", "net_b")).to(memory_format=torch.channels_last).train()
    criterion = lightly.loss.NTXentLoss(temperature=0.1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.06, momentum=0.9)
    transform = lightly.transforms.SimCLRTransform(input_size=image_size)
    dataset = lightly.data.LightlyDataset(images, transform=transform)
    loader = torch.utils.data.DataLoader(
        dataset, batch_size=batch_size, shuffle=True, drop_last=True, num_workers=workers
    )

    def batches():
        while True:
            yield from loader

    def measure(steps, warmup):
        ends = []
        # A new loader each round: one that is kept would read ahead while others are measured.
        rows = batches()
        for _ in range(warmup + steps):
            (first, second), *_ = next(rows)
            first = model(first.contiguous(memory_format=torch.channels_last))
            second = model(second.contiguous(memory_format=torch.channels_last))
            loss = criterion(first, second)
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
            loss.item()
            ends.append(time.perf_counter())
        rows.close()
        return np.diff(ends[warmup - 1 :]).tolist()

    return measure


def _versions():
    return {name: importlib.metadata.version(name) for name in ("torch", "torchvision", "lightly")}


def _info_nce(first, second, temperatures):
    first, second = torch.from_numpy(np.load(first)), torch.from_numpy(np.load(second))
    return [lightly.loss.NTXentLoss(temperature=value)(first, second).item() for value in temperatures]


def main():
    measure = None

    def build(contender, **settings):
        nonlocal measure
        measure = whole_step(**settings)
        return _versions()

    def measured(steps, warmup):
        return {"seconds": measure(steps, warmup), "memory_mib": protocol.peak_memory()}

    protocol.serve({"build": build, "round": measured, "info_nce": _info_nce})


if __name__ == "__main__":
    main()
