"""Differences between two answers of a servable."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np


def differences(
    found: Mapping[str, np.ndarray],
    expected: Mapping[str, np.ndarray],
    sides: Sequence[float] | np.ndarray,
    score_threshold: float = 0.0,
) -> dict[str, float]:
    """Compute the largest difference of each output, infinite where shapes, numbers or names are not the same.

    Detections are matched, since equal scores may come in either order: each with the nearest one of its class. One
    without a match counts by how far its score is above the lowest that could have been kept. Boxes differ in sides of
    their image, embeddings in largest values.

    Args:
        found, expected: Arrays by the output's name, rows by image.
        sides: `[B]`, the long side of each image in pixels.
        score_threshold: Lowest score that a detector keeps.
    """
    if set(found) != set(expected):
        return dict.fromkeys(set(found) ^ set(expected), np.inf)
    for name in expected:
        if found[name].shape != expected[name].shape:
            return {name: np.inf}
    if "num_detections" in expected:
        return _detections(found, expected, sides, score_threshold)
    apart = {}
    for name, wanted in expected.items():
        if wanted.dtype.kind != "f":
            apart[name] = 0.0 if np.array_equal(found[name], wanted) else np.inf
            continue
        gaps = np.abs(found[name] - wanted)
        if name == "box":
            gaps = gaps / np.asarray(sides)[:, None]
        elif name == "embeddings":
            gaps = gaps / max(np.abs(wanted).max(initial=0.0), 1e-30)
        apart[name] = _largest(gaps)
    return apart


def _largest(gaps):
    return float(np.max(np.nan_to_num(gaps, nan=np.inf), initial=0.0))


def _detections(found, expected, sides, score_threshold):
    apart = {"boxes": 0.0, "scores": 0.0, "class_names": 0.0}
    if "valid" in expected:
        apart["valid"] = 0.0 if np.array_equal(found["valid"], expected["valid"]) else np.inf
    for row, side in enumerate(sides):
        ours, theirs = (_row(answer, row) for answer in (found, expected))
        spare = list(range(len(ours["scores"])))
        alone = []
        for place, score in enumerate(theirs["scores"]):
            same = [other for other in spare if ours["classes"][other] == theirs["classes"][place]]
            if not same:
                alone.append(score)
                continue
            boxes = _gaps(ours["boxes"][same], theirs["boxes"][place]).max(-1) / side
            scores = _gaps(ours["scores"][same], score)
            best = int(np.argmin(np.maximum(boxes, scores)))
            apart["boxes"] = max(apart["boxes"], float(boxes[best]))
            apart["scores"] = max(apart["scores"], float(scores[best]))
            if ours["class_names"][same[best]] != theirs["class_names"][place]:
                apart["class_names"] = np.inf
            spare.remove(same[best])
        alone += [ours["scores"][other] for other in spare]
        full = max(len(ours["scores"]), len(theirs["scores"])) == expected["scores"].shape[1]
        lowest = min([*ours["scores"], *theirs["scores"]], default=0.0) if full else score_threshold
        apart["scores"] = max([apart["scores"], *(float(score - lowest) for score in alone)])
    return apart


def _gaps(some, others):
    return np.nan_to_num(np.abs(some - others), nan=np.inf)


def _row(answer, row):
    count = int(answer["num_detections"][row])
    return {name: answer[name][row, :count] for name in ("boxes", "scores", "classes", "class_names")}
