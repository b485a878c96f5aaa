import json

import pytest

from benchmarks import results_pictures

pytestmark = pytest.mark.current_stack


def trial(variant, labels, seed, iou, protocol="frozen"):
    figures = {"mean_iou": iou, "loc_acc_50": 0.5, "loc_acc_70": 0.25, "top1": 0.3}
    return {"variant": variant, "protocol": protocol, "labels": labels, "seed": seed, "figures": figures}


def test_cells_of_the_named_variants_are_drawn_by_count_and_seed():
    trials = [
        trial("b", 300, 0, 0.4), trial("a", 100, 0, 0.1), trial("a", 100, 1, 0.2), trial("b", 100, 0, 0.3),
        trial("a", 300, 0, 0.35), trial("c", 30, 5, 0.9), trial("a", 20, 7, 0.9, "detector"),
    ]  # fmt: skip
    found = results_pictures.found(trials, ("b", "a"))
    assert (found["baseline"], found["variants"], found["seeds"]) == ("b", ["b", "a"], [0, 1])
    few, many = found["protocols"]["frozen"]["counts"]
    assert (few["labels"], many["labels"]) == (100, 300)
    assert few["variants"]["a"]["figures"]["mean_iou"]["by_seed"] == [0.1, 0.2]
    assert few["variants"]["b"]["seeds"] == many["variants"]["a"]["seeds"] == [0]
    assert results_pictures.label_curves(found, "frozen").startswith(b"\x89PNG")


@pytest.mark.parametrize("study", results_pictures.STUDIES)
def test_every_drawn_variant_is_published_whole(study):
    trials = json.loads((results_pictures.DOCS / "results" / f"compare_{study}.json").read_text())
    found = results_pictures.found(trials, results_pictures.STUDIES[study])
    for count in found["protocols"]["frozen"]["counts"]:
        assert all(variant["seeds"] == [0, 1, 2, 3, 4] for variant in count["variants"].values())
