"""The output folder of a run: claimed, logged to, and the same inside every time."""

import contextlib
import fcntl
import logging
import pathlib
import shutil

import pydantic
import yaml

from kerassl import _files
from kerassl._errors import UserError
from kerassl._version import __version__
from kerassl.experiment import grid
from kerassl.experiment.config import Config


@contextlib.contextmanager
def run_folder(path, config, resume=False, replace=False):
    """Claims a folder for a run, and writes there the resolved configuration and the log.

    Args:
        path: str or `pathlib.Path`.
        config: `Config`.
        resume: bool. Continue a run of the same configuration that stands there. Arms and ways of measuring may be new.
        replace: bool. Remove what stands there.

    Yields:
        `pathlib.Path` of the folder, with `config.yaml` and a growing `log.txt` in it.

    Raises:
        UserError: if the folder holds something and neither `resume` nor `replace` was asked for, if another run is
            using it, or if it was written with other settings.
    """
    path = pathlib.Path(path)
    if path.exists() and not path.is_dir():
        raise UserError(f"{path} is a file; give a folder for the run's output")
    path.mkdir(parents=True, exist_ok=True)
    with (path / ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise UserError(f"another run is writing to {path}; wait for it or choose another folder") from None
        _prepare(path, config, resume, replace)
        handler = logging.FileHandler(path / "log.txt", encoding="utf-8")
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
        log = logging.getLogger("kerassl")
        log.addHandler(handler)
        try:
            yield path
        except UserError:
            _forget_if_empty(path)
            raise
        finally:
            log.removeHandler(handler)
            handler.close()


def _prepare(path, config, resume, replace):
    inside = [item for item in path.iterdir() if item.name != ".lock"]
    settings = config.model_dump(mode="json")
    if inside and replace:
        if not (path / "config.yaml").exists():
            raise UserError(f"{path} holds files but no run; kerassl replaces none of them, choose another folder")
        for item in inside:
            shutil.rmtree(item) if item.is_dir() else item.unlink()
    elif inside and not resume:
        raise UserError(f"{path} already holds files; add --resume to continue a run, --replace to write it anew")
    elif inside:
        _check_same(path, settings)
    with _files.whole(path / "config.yaml") as part:
        text = yaml.safe_dump(settings, sort_keys=False, allow_unicode=True)
        part.write_text(f"# As resolved by kerassl {__version__}\n{text}", encoding="utf-8")


def _forget_if_empty(path):
    """Takes away the folder of a run that was refused before it made anything, so that a corrected one can use it."""
    own = {".lock", "config.yaml", "log.txt"}
    if {item.name for item in path.iterdir()} <= own:
        shutil.rmtree(path)


def _check_same(path, settings):
    if not (path / "config.yaml").exists():
        raise UserError(f"{path} holds files but no run to resume; choose another folder")
    before = yaml.safe_load((path / "config.yaml").read_text(encoding="utf-8"))
    with contextlib.suppress(pydantic.ValidationError):  # settings that came since then have their defaults
        before = Config.model_validate(before).model_dump(mode="json")
    held, before = _without_what_is_new(settings, before), _without_what_is_new(before, before)
    found = _difference({key: before.get(key) for key in settings}, held)
    if found is not None:
        name, was, now = found
        raise UserError(
            f"{path} was run with other settings of {name!r} ({_told(was)}, now {_told(now)}); resume with the "
            "same, or choose another folder"
        )


def _without_what_is_new(settings, before):
    """Settings as if no arm or way of measuring had been added: what stands holds, and the new ones alone are done."""
    known = before.get("arms", {})
    held = {**settings, "arms": {name: arm for name, arm in settings["arms"].items() if name in known}}
    for protocol in grid.PROTOCOLS:
        own = settings.get(protocol) if before.get(protocol) else None
        held[protocol] = own and {**own, "arms": None}
    return held


def _difference(before, now):
    """The first setting that differs, by its name with dots, and what it was and is; None where none does.

    Those that are None count as left out: a run may be older than they are.
    """
    if not isinstance(before, dict) or not isinstance(now, dict):
        return None if before == now else ("", before, now)
    for key in {**before, **now}:
        found = _difference(before.get(key), now.get(key))
        if found is not None:
            name, was, is_ = found
            return f"{key}.{name}".rstrip("."), was, is_
    return None


def _told(value):
    return "left out" if value is None else "given" if isinstance(value, dict) else value
