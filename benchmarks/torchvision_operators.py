"""Lets torchvision be imported where its compiled operators do not load; import this first.

So it is with a CPU build of torch beside torchvision's usual build. The benchmark uses none of these operators, but
torchvision wants two of them to be known: they are declared, and never called.
"""

import importlib.util
import pathlib

import torch

try:
    torch.ops.load_library(str(pathlib.Path(importlib.util.find_spec("torchvision").origin).parent / "_C.so"))
except OSError:
    LIBRARY = torch.library.Library("torchvision", "DEF")  # undone if it were let go
    for name in ("nms", "qnms"):
        LIBRARY.define(f"{name}(Tensor boxes, Tensor scores, float iou_threshold) -> Tensor")
