"""The commands of README, docs and configs: each is parsed, its configuration is read, and those of the README run."""

import json
import pathlib
import re
import shlex

import numpy as np
import pytest
from PIL import Image

from kerassl import backbones
from kerassl.cli.main import main, parser
from kerassl.config.config import read_config
from kerassl.datasets import VOC_CLASSES

pytestmark = pytest.mark.current_stack

ROOT = pathlib.Path(__file__).parents[1]
PAGES = ["README.md", "studies/README.md", *sorted(str(path.relative_to(ROOT)) for path in ROOT.glob("docs/**/*.md"))]
CONFIGS = sorted(str(path.relative_to(ROOT)) for path in (*ROOT.glob("configs/*.yaml"), *ROOT.glob("studies/*.yaml")))
CHEAP = ("inspect", "shards")


def commands(name):
    """The command lines of a page as (environment, arguments)."""
    text = (ROOT / name).read_text(encoding="utf-8").replace("\\\n", " ")
    for line in re.findall(r"^(?:    |#   )((?:\w+=\S+ )?kerassl .*)", text, re.MULTILINE):
        words = shlex.split(re.split(r"\s{2,}#", line)[0].replace("…", "new"))
        place = words.index("kerassl")
        yield dict(word.split("=", 1) for word in words[:place]), words[place + 1 :]


@pytest.mark.parametrize("name", [*PAGES, *CONFIGS])
def test_command_is_accepted_with_its_configuration_when_it_is_documented(name, monkeypatch):
    monkeypatch.chdir(ROOT)
    monkeypatch.delenv("KERASSL_REAL_DATA", raising=False)
    for environment, arguments in commands(name):
        with monkeypatch.context() as patch:
            for variable, value in environment.items():
                patch.setenv(variable, value)
            options = parser().parse_args(arguments)
            read_config(getattr(options, "config", None))


@pytest.fixture
def place(tmp_path, monkeypatch):
    """Data of the README's commands: images, and labels of them."""
    draw = np.random.default_rng(0)

    def save(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(draw.integers(0, 255, [96, 128, 3], np.uint8)).save(path)

    for number in range(66):
        save(tmp_path / "photos" / f"{number}.jpg")
    save(tmp_path / "new" / "a.jpg")
    for name, numbers in {"annotations.json": range(10), "test.json": range(40, 66)}.items():
        images = [{"id": number, "file_name": f"{number}.jpg", "width": 128, "height": 96} for number in numbers]
        boxes = [{"id": each, "image_id": each, "category_id": each % 20, "bbox": [20, 10, 60, 60]} for each in numbers]
        categories = [{"id": number, "name": name} for number, name in enumerate(VOC_CLASSES)]
        content = {"images": images, "annotations": boxes, "categories": categories}
        (tmp_path / name).write_text(json.dumps(content))
    (tmp_path / "configs").symlink_to(ROOT / "configs")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_command_runs_as_the_readme_prints_it_when_it_is_quick(place):
    ran = [arguments for _, arguments in commands("README.md") if arguments[0] in CHEAP]
    assert len(ran) == 4
    for arguments in ran:
        assert main(arguments) == 0, arguments
        assert "--out" not in arguments or (place / arguments[arguments.index("--out") + 1]).exists()


@pytest.mark.slow
def test_command_runs_as_the_readme_prints_it_when_it_trains(place, monkeypatch, tiny_backbone):
    from kerassl import detectors

    monkeypatch.setattr(backbones, "build", lambda name, **_: tiny_backbone())
    for name in "ab":
        (place / name).mkdir()
        detectors.Localizer(tiny_backbone(), VOC_CLASSES, image_size=64, num_filters=16).save(
            place / name / "localizer.keras"
        )
    for _, arguments in commands("README.md"):
        # The first detector is trained as the second one, but from ImageNet; a teacher finds nothing in noise.
        if arguments[0] not in (*CHEAP, "compare", "self-train") and "runs/mine" not in arguments:
            assert main(arguments) == 0, arguments
