"""Packages and libraries that are loaded at first use: TensorFlow, KerasCV and tf-keras-vis take seconds each."""

import ast
import importlib
import importlib.util
import sys
import types
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import keras as keras
    import tensorflow as tf

    from kerassl import _compat as compat


def lazy_package(package: str) -> list[str]:
    """Load the public names of a package when they are asked for.

    Its `__init__.py` imports them under `if TYPE_CHECKING:`, where type checkers and editors find them, and this
    function too: the imports are read from the source. Modules that need Keras or TensorFlow at their import take them
    from `kerassl._compat`, which prepares the environment first.

    Args:
        package: Name of the package, its `__name__`.

    Returns:
        The public names: the package's `__all__`.

    Example:
        >>> __all__ = lazy_package(__name__)
    """
    homes = _imports(package)
    public = sorted(homes)

    class Package(types.ModuleType):
        def __getattr__(self, name: str) -> Any:
            if name not in homes:
                raise AttributeError(f"module {package!r} has no attribute {name!r}")
            if homes[name] == package:
                value = importlib.import_module(f"{package}.{name}")
            else:
                value = getattr(importlib.import_module(homes[name]), name)
            self.__dict__[name] = value
            return value

        def __setattr__(self, name: str, value: Any) -> None:
            # Python sets a module that was imported as an attribute of its package; where the module `voc` defines the
            # function `voc`, the package's `voc` is the function.
            if homes.get(name, package) == package or not isinstance(value, types.ModuleType):
                super().__setattr__(name, value)

        def __dir__(self) -> list[str]:
            return public

    sys.modules[package].__class__ = Package
    return public


def _imports(package: str) -> dict[str, str]:
    """Map the names imported under `if TYPE_CHECKING:` in a package's `__init__.py` to their modules."""
    spec = sys.modules[package].__spec__
    source = spec.loader.get_source(package)  # type: ignore[union-attr]
    block = next(node for node in ast.parse(source).body if isinstance(node, ast.If))
    return {alias.name: node.module for node in block.body if isinstance(node, ast.ImportFrom) for alias in node.names}  # type: ignore[misc]


class _Library:
    """An import, delayed until an attribute is used.

    Code that reads labels, checks settings or refuses invalid input runs without TensorFlow, which takes seconds to
    import.
    """

    def __init__(self, name: str | None) -> None:
        self._name = name

    def __getattr__(self, attribute: str) -> Any:
        compat = importlib.import_module("kerassl._compat")  # first: it prepares what TensorFlow reads at its import
        return getattr(getattr(compat, self._name) if self._name else compat, attribute)


if not TYPE_CHECKING:
    compat = _Library(None)
    keras = _Library("keras")
    tf = _Library("tf")
