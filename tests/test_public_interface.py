"""The public interface: every public function, class and method is annotated, and no function has a package's name."""

import importlib
import inspect
import pathlib

import pytest

import kerassl

ROOT = pathlib.Path(kerassl.__file__).parent
PACKAGES = [name for name in ("", *kerassl._PACKAGES) if not name or (ROOT / name / "__init__.py").is_file()]
FOLDERS = {".".join(path.parent.relative_to(ROOT).parts) for path in ROOT.rglob("__init__.py")}

pytestmark = pytest.mark.current_stack


def _public(package):
    module = importlib.import_module(f"kerassl.{package}".rstrip("."))
    found = {name: getattr(module, name) for name in module.__all__}
    return {name: value for name, value in found.items() if inspect.isfunction(value) or inspect.isclass(value)}


def _functions(name, value):
    """Yield the function, or the constructor and the public methods that kerassl's own classes define."""
    if inspect.isfunction(value):
        yield name, value
        return
    for parent in value.__mro__:
        if parent.__module__.startswith("kerassl."):
            for key, member in vars(parent).items():
                member = getattr(member, "__func__", getattr(member, "fget", member))
                if inspect.isfunction(member) and (key in ("__init__", "__call__") or not key.startswith("_")):
                    yield f"{name}.{key}", member


def _missing(name, function):
    signature = inspect.signature(function)
    given = [p for p in signature.parameters.values() if p.name not in ("self", "cls") and p.kind is not p.VAR_KEYWORD]
    missing = [f"{name}({p.name})" for p in given if p.annotation is p.empty]
    if signature.return_annotation is signature.empty and not name.endswith(".__init__"):
        missing.append(f"{name} ->")
    return missing


@pytest.mark.parametrize("package", PACKAGES)
def test_parameters_and_returns_are_annotated_when_public(package):
    functions = [each for name, value in _public(package).items() for each in _functions(name, value)]
    assert [line for name, function in functions for line in _missing(name, function)] == []


@pytest.mark.parametrize("package", PACKAGES)
def test_no_function_has_a_packages_name_when_public(package):
    named = {f"{package}.{name}" for name, value in _public(package).items() if inspect.isfunction(value)}
    assert {name for name in named if FOLDERS & {name, name.split(".")[-1]}} == set()


def test_parameters_and_returns_are_annotated_when_a_module_reads_or_writes_files():
    modules = [importlib.import_module(f"kerassl._io.{path.stem}") for path in (ROOT / "_io").glob("[a-z]*.py")]
    own = {
        f"{module.__name__}.{name}": value
        for module in modules
        for name, value in vars(module).items()
        if not name.startswith("_") and getattr(value, "__module__", None) == module.__name__
    }
    functions = [each for name, value in own.items() for each in _functions(name, inspect.unwrap(value))]
    assert [line for name, function in functions for line in _missing(name, function)] == []
