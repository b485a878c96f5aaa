"""The worker that measures lightly's transform and albumentations (`requirements/bench-lightly.txt`)."""

import os

from benchmarks import protocol

if __name__ == "__main__":
    protocol.hold_cores()
    os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")  # it would look for a newer version on the network

import contextlib
import importlib.metadata
import pathlib
import time

import numpy as np
import PIL.Image
import torch

from benchmarks import torchvision_operators  # noqa: F401  # isort: skip
import lightly.data
import lightly.transforms

from benchmarks import input_rows


def lightly_views(image_size, batch_size, images, stage):
    """lightly's data set and transform in a data loader of this process: on one core others would only cost."""
    transform = lightly.transforms.SimCLRTransform(input_size=image_size)
    if stage == "jpeg":
        return _loads(lightly.data.LightlyDataset(images, transform=transform), batch_size)
    squares = [PIL.Image.fromarray(square) for square in _squares(images, image_size, batch_size)]
    return _loads(_Transformed(squares, transform), batch_size)


def albumentations_views(image_size, batch_size, images, stage):
    """lightly's policy written in albumentations, on images that OpenCV reads."""
    import albumentations
    import albumentations.pytorch
    import cv2

    cv2.setNumThreads(1)
    one = albumentations.Compose(
        [
            albumentations.RandomResizedCrop(size=(image_size, image_size), scale=(0.08, 1.0)),
            albumentations.HorizontalFlip(p=0.5),
            albumentations.ColorJitter((0.2, 1.8), (0.2, 1.8), (0.2, 1.8), (-0.2, 0.2), p=0.8),
            albumentations.ToGray(p=0.2),
            albumentations.GaussianBlur(blur_limit=0, sigma_limit=(0.1, 2.0), p=0.5),
            albumentations.Normalize(),
            albumentations.pytorch.ToTensorV2(),
        ]
    )

    def pair(image):
        return one(image=image)["image"], one(image=image)["image"]

    if stage == "jpeg":
        return _loads(_Transformed(_files(images), lambda path: pair(_opened(cv2, path))), batch_size)
    return _loads(_Transformed(_squares(images, image_size, batch_size), pair), batch_size)


class _Transformed(torch.utils.data.Dataset):
    """Items as a transform makes them."""

    def __init__(self, items, transform):
        self.items, self.transform = items, transform

    def __len__(self):
        return len(self.items)

    def __getitem__(self, index):
        return self.transform(self.items[index]), index


def _opened(cv2, path):
    return cv2.cvtColor(cv2.imread(path), cv2.COLOR_BGR2RGB)


def _files(folder):
    return sorted(str(path) for path in pathlib.Path(folder).rglob("*") if path.suffix.lower() in (".jpg", ".jpeg"))


def _squares(folder, image_size, count):
    """The middle squares of the first images, at the size at which kerassl reads, as uint8 arrays."""
    side, squares = input_rows.read_size(image_size), []
    for path in _files(folder)[:count]:
        with PIL.Image.open(path) as image:
            short = min(image.size)
            left, top = (image.width - short) // 2, (image.height - short) // 2
            box = (left, top, left + short, top + short)
            squares.append(np.asarray(image.convert("RGB").resize((side, side), PIL.Image.BILINEAR, box)))
    return squares


def _loads(dataset, batch_size):
    """Measures a data loader, which starts afresh in every round and goes on at its end."""

    def batches():
        while True:
            yield from torch.utils.data.DataLoader(dataset, batch_size=batch_size, shuffle=True, drop_last=True)

    def measure(steps, warmup):
        ends, rows = [], batches()
        for _ in range(warmup + steps):
            next(rows)
            ends.append(time.perf_counter())
        rows.close()
        return np.diff(ends[warmup - 1 :]).tolist()

    return measure


CONTENDERS = {"lightly": lightly_views, "albumentations": albumentations_views}


def _versions():
    found = {name: importlib.metadata.version(name) for name in ("torch", "torchvision", "lightly")}
    with contextlib.suppress(importlib.metadata.PackageNotFoundError):
        found["albumentations"] = importlib.metadata.version("albumentations")
    return found


if __name__ == "__main__":
    protocol.serve_contenders(CONTENDERS, _versions)
