"""The documentation site: the names that have a page, and the Python code of the pages."""

import ast
import importlib
import inspect
import pathlib
import re
import sys
import textwrap

import pytest

import kerassl

pytestmark = pytest.mark.current_stack

ROOT = pathlib.Path(__file__).parents[1]
TEXTS = sorted(str(path.relative_to(ROOT)) for path in [ROOT / "README.md", *ROOT.glob("docs/**/*.md")])


def test_every_public_name_has_a_page_when_the_site_is_built(monkeypatch):
    monkeypatch.setattr(sys, "path", [str(ROOT / ".ci" / "site"), *sys.path])
    expected = {
        f"kerassl.{name}" for name in kerassl.__all__ if name != "__version__" and name not in kerassl._PACKAGES
    }
    for package in kerassl._PACKAGES:
        module = importlib.import_module(f"kerassl.{package}")
        names = getattr(module, "__all__", None) or [
            name
            for name, value in vars(module).items()
            if not name.startswith("_") and getattr(value, "__module__", None) == module.__name__ and callable(value)
        ]
        expected |= {f"{module.__name__}.{name}" for name in names}
    assert set(importlib.import_module("pages").public_names()) == expected


def _calls(code):
    """Yield every name of kerassl in the code, with the call that it is the function of, or None."""
    tree = ast.parse(code)
    names = {"kerassl": "kerassl"}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module.startswith("kerassl"):
            names |= {alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names}
    called = {id(node.func): node for node in ast.walk(tree) if isinstance(node, ast.Call)}
    for node in ast.walk(tree):
        if isinstance(node, (ast.Attribute, ast.Name)):
            first, *others = ast.unparse(node).split(".") if re.fullmatch(r"[\w.]+", ast.unparse(node)) else [""]
            if first in names:
                yield ".".join([names[first], *others]), called.get(id(node))


@pytest.mark.parametrize("text", TEXTS)
def test_names_and_arguments_exist_when_python_code_is_documented(text):
    blocks = re.findall(
        r"^( *)```python\n(.*?)^ *```", (ROOT / text).read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL
    )
    for _, block in blocks:
        for name, call in _calls(textwrap.dedent(block)):
            value = kerassl
            for part in name.split(".")[1:]:
                value = getattr(value, part)
            if call is not None:
                given = {keyword.arg: None for keyword in call.keywords if keyword.arg}
                inspect.signature(value).bind_partial(*call.args, **given)
