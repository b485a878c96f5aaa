"""What is loaded at its first use: TensorFlow, KerasCV and tf-keras-vis take seconds each."""

import importlib
import sys
import types


def lazy_package(package, names, modules=(), light=()):
    """Makes a package load its public names when they are asked for.

    Args:
        package: str, the `__name__` of the package.
        names: dict from a module of the package, or the full name of another, to the public names that it defines.
        modules: further public names, which are modules of the package themselves.
        light: those modules, as in `names`, that need no TensorFlow at their import; True for all.

    Returns:
        List of str, the package's `__all__`.

    Example:
        >>> __all__ = lazy_package(__name__, {"info_nce": ["InfoNCE"]})
    """

    def full(module):
        return module if module.startswith("kerassl.") else f"{package}.{module}"

    homes = {name: full(module) for module, found in names.items() for name in found}
    needless = () if light is True else [full(module) for module in light]
    public = sorted([*homes, *modules])

    class Package(types.ModuleType):
        def __getattr__(self, name):
            if name in homes:
                if light is not True and homes[name] not in needless:
                    importlib.import_module("kerassl._compat")  # first: it prepares what TensorFlow reads at its import
                value = getattr(importlib.import_module(homes[name]), name)
            elif name in modules:
                value = importlib.import_module(f"{package}.{name}")
            else:
                raise AttributeError(f"module {package!r} has no attribute {name!r}")
            self.__dict__[name] = value
            return value

        def __setattr__(self, name, value):
            # Python sets a module that was imported as an attribute of its package; where the module `voc` defines the
            # function `voc`, the package's `voc` is the function.
            if name in homes and isinstance(value, types.ModuleType):
                return
            super().__setattr__(name, value)

        def __dir__(self):
            return public

    sys.modules[package].__class__ = Package
    return public


class _Library:
    """Stands for an import in modules that need the library within functions alone.

    What reads labels, checks settings or refuses invalid input does without TensorFlow, whose import takes seconds.
    """

    def __init__(self, name):
        self._name = name

    def __getattr__(self, attribute):
        compat = importlib.import_module("kerassl._compat")  # first: it prepares what TensorFlow reads at its import
        return getattr(getattr(compat, self._name) if self._name else compat, attribute)


compat = _Library(None)
keras = _Library("keras")
tf = _Library("tf")
