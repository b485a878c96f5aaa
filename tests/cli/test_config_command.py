"""`kerassl config`: every setting, and the configurations that are shipped."""

import pathlib
import re
import shutil
import subprocess
import sys
import typing
import zipfile

import pytest
import yaml

from kerassl.cli.main import main
from kerassl.config.config import Config, read_config
from kerassl.config.reference import shipped_configs
from kerassl.config.schema import Section

pytestmark = pytest.mark.current_stack

ROOT = pathlib.Path(__file__).parents[2]


def printed(capsys, *arguments):
    capsys.readouterr()
    assert main(["config", *arguments]) == 0
    return capsys.readouterr().out


def uncommented(text):
    """The same with all sections that are commented out; what remains a comment begins with # and one space."""
    while (more := re.sub(r"^( *)#(?=\S|  |$)", r"\1", text, flags=re.MULTILINE)) != text:
        text = more
    return text


def settings(section):
    for name, field in section.model_fields.items():
        inner = [each for each in (field.annotation, *typing.get_args(field.annotation)) if isinstance(each, type)]
        inner = [each for each in inner if issubclass(each, Section)]
        yield name
        yield from settings(inner[0]) if inner else ()


def test_every_setting_is_printed_with_its_default_and_a_description(capsys, tmp_path):
    path = tmp_path / "all.yaml"
    path.write_text(printed(capsys))
    assert read_config(path) == Config()
    whole = uncommented(path.read_text())
    lines = whole.splitlines()
    keys = [place for place, line in enumerate(lines) if re.match(r" *\w+:", line)]
    written = [lines[place].strip().partition(":")[0] for place in keys]
    # Of the variants there are two that are words; then comes one with all of its settings.
    assert written[: written.index("variants")] == list(settings(Config))[: written.index("variants")]
    assert set(written) == set(settings(Config))
    assert all(lines[place - 1].lstrip().startswith("# ") for place in keys)
    path.write_text(whole)
    config = read_config(path)
    assert config.detector.augmentation.mosaic == 0
    assert config.variants["another name"].neck.epochs == 3


def test_example_is_printed_as_it_is_shipped(capsys):
    names = [line.split()[0] for line in printed(capsys, "--list").splitlines()]
    assert names == sorted(path.stem for path in (ROOT / "configs").glob("*.yaml"))
    assert printed(capsys, "voc_small") == (ROOT / "configs" / "voc_small.yaml").read_text()
    assert main(["config", "voc_smal"]) == 2
    assert "did you mean 'voc_small'?" in capsys.readouterr().err


def test_example_is_in_the_wheel(tmp_path):
    source = tmp_path / "source"
    shutil.copytree(ROOT / "kerassl", source / "kerassl", symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(ROOT / "configs", source / "configs")
    for name in ("setup.cfg", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    build = "import setuptools; setuptools.setup()"
    command = [sys.executable, "-c", build, "-q", "bdist_wheel", "--dist-dir", tmp_path]
    subprocess.run(command, cwd=source, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        for path in shipped_configs().values():
            assert archive.read(f"kerassl/configs/{path.name}") == path.read_bytes()


@pytest.mark.parametrize("path", shipped_configs().values(), ids=lambda path: path.stem)
def test_shipped_configuration_is_accepted_and_has_command_time_and_result(path, monkeypatch):
    monkeypatch.setenv("KERASSL_REAL_DATA", "/data")
    config = read_config(path)
    assert config.frozen or config.localizer or config.detector
    head = path.read_text().partition("\n" + next(iter(yaml.safe_load(path.read_text()))) + ":")[0]
    assert all(line.startswith("#") for line in head.splitlines())
    for start in ("# ", "#   (kerassl|make|KERASSL_REAL_DATA)", "# Time: ", "# Result"):
        assert re.search(f"^{start}", head, re.MULTILINE), start
