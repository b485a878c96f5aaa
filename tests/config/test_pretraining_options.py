"""Views and methods of pre-training by name, and the advice where something else is better."""

import re
import shlex

import pytest

from kerassl import UserError, pretrain
from kerassl.cli.main import parser
from kerassl.config import read_config
from kerassl.config.pretraining import FEW, VIEWS, pretraining_advice, with_epochs

pytestmark = pytest.mark.current_stack


@pytest.fixture
def planned(tmp_path, monkeypatch):
    """`planned(**arguments)`: the section `pretrain` of a run on eight images, from its plan."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photos").mkdir()
    for number in range(8):
        (tmp_path / "photos" / f"{number}.jpg").touch()
    return lambda **arguments: pretrain("photos", out="run", plan=True, **arguments).config.pretrain


def test_arguments_become_settings_when_a_run_is_planned(planned):
    section = planned(views="mild", learning_rate=0.5, method="dense")
    assert (section.smallest_crop, section.strength) == tuple(VIEWS["mild"].values())
    assert (section.learning_rate, section.dense.weight) == (0.5, 0.5)
    section = planned()
    assert (section.smallest_crop, section.strength) == tuple(VIEWS["strong"].values())
    assert section.dense is None
    dense = {"pretrain.dense": {"levels": ["P5"]}}
    assert planned(method="dense", settings=dense).dense.levels == ["P5"]
    assert planned(method="simclr", settings=dense).dense is None
    assert planned(settings=dense).dense.levels == ["P5"]


@pytest.mark.parametrize(("images", "expected"), [(100, 200), (4000, 25), (3999, 26), (60_000, 10), (None, 10)])
def test_epochs_see_as_many_images_whatever_their_number_when_they_are_left_out(images, expected):
    assert with_epochs(read_config(None), images).pretrain.epochs == expected
    assert with_epochs(read_config(None, {"pretrain.epochs": 3}), images).pretrain.epochs == 3


def test_run_has_epochs_by_the_number_of_its_images(planned):
    assert planned().epochs == 200
    assert planned(epochs=7).epochs == 7


@pytest.mark.parametrize("given", [{"views": "wild"}, {"method": "moco"}])
def test_name_is_refused_when_it_is_unknown(given, planned):
    with pytest.raises(UserError, match=next(iter(given.values()))):
        planned(**given)


@pytest.mark.parametrize(("weights", "commands"), [("random", ["self-train", "distill"]), ("imagenet", ["self-train"])])
def test_advised_commands_are_accepted_when_images_are_few(weights, commands):
    advice = pretraining_advice(weights, "MobileNetV2", "my photos", 500, "runs/a b/")
    found = [parser().parse_args(shlex.split(each)[1:]) for each in re.findall(r"kerassl [^,;]*", advice)]
    assert [each.command for each in found] == commands
    assert {(tuple(each.images), each.out.startswith("runs/a b-")) for each in found} == {(("my photos",), True)}
    assert [each.student for each in found[1:]] == ["MobileNetV2"][: len(found) - 1]


@pytest.mark.parametrize(("weights", "images"), [("random", FEW), ("mine.keras", 500)])
def test_nothing_is_advised_when_images_are_many_or_weights_are_ones_own(weights, images):
    assert pretraining_advice(weights, "MobileNet", "photos", images, "out") is None
