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
    images = [{"id": number, "file_name": f"{number}.jpg", "width": 128, "height": 96} for number in range(10)]
    boxes = [{"id": each, "image_id": each, "category_id": each % 20, "bbox": [20, 10, 60, 60]} for each in range(10)]
    categories = [{"id": number, "name": name} for number, name in enumerate(VOC_CLASSES)]
    content = {"images": images, "annotations": boxes, "categories": categories}
    (tmp_path / "annotations.json").write_text(json.dumps(content))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_command_runs_as_the_readme_prints_it_when_it_is_quick(place):
    ran = [arguments for _, arguments in commands("README.md") if arguments[0] == "inspect"]
    assert [main(arguments) for arguments in ran] == [0]


@pytest.mark.slow
def test_command_runs_as_the_readme_prints_it_when_it_trains(place, monkeypatch, tiny_backbone):
    monkeypatch.setattr(backbones, "build", lambda name, **_: tiny_backbone())
    for _, arguments in commands("README.md"):
        # A teacher finds nothing in noise; ImageNet's weights are not those of the small network.
        if arguments[0] not in ("inspect", "self-train", "distill"):
            random = arguments[0] == "finetune" and "--backbone" not in arguments
            assert main([*arguments, *(["--weights", "random"] if random else [])]) == 0, arguments


@pytest.mark.slow
@pytest.mark.parametrize("page", ["README.md", "docs/start/quickstart.md"])
def test_python_code_runs_as_it_is_printed_when_it_trains(page, place, monkeypatch, tiny_backbone):
    monkeypatch.setattr(backbones, "build", lambda name, **_: tiny_backbone())
    shorter = {
        r"epochs=\d+": "epochs=1",
        r"every=\d+": "every=1",
        r"\b320\b": "64",
        r"finetune\(": 'finetune(weights="random", image_size=64, epochs=1, ',
    }
    for block in re.findall(r"```python\n(.*?)```", (ROOT / page).read_text(encoding="utf-8"), re.DOTALL):
        for long, short in shorter.items():
            block = re.sub(long, short, block)
        exec(compile(block, page, "exec"), {})
    assert (place / "servables" / "mine" / "1").is_dir()
