"""The folder of a run: claimed, logged to, and the same inside every time."""

from __future__ import annotations

import contextlib
import logging
import os
import pathlib
from collections.abc import Iterator, Mapping, Sequence

import pydantic
import yaml

from kerassl._errors import UserError
from kerassl._io import files as _files
from kerassl._io import outputs
from kerassl._io.yaml import read_yaml
from kerassl._version import __version__
from kerassl.config.config import Config, read_config
from kerassl.types import PROTOCOLS


def run_config(
    out: str | os.PathLike,
    config: str | os.PathLike | None = None,
    settings: Mapping[str, object] | None = None,
    resume: bool = False,
) -> Config:
    """Read the configuration of a run: that of a file, or of the run that is resumed, with settings over it.

    Args:
        out: Str or path of the run's folder.
        config: Str or path of a YAML file, or None.
        settings: Dict from setting to value, as of `read_config`.
        resume: Bool. Whether a run in the folder is to continue.

    Raises:
        UserError: if the folder cannot be written or holds no run to resume, or a setting is not accepted.
    """
    outputs.check_folder(out, new=False)
    folder = pathlib.Path(out)
    if resume and not folder.is_dir():
        raise UserError(f"{folder} holds no run to resume; leave --resume out to begin one")
    if resume and config is None and (folder / "config.yaml").is_file():
        return read_config(folder / "config.yaml", settings, expand=False)
    return read_config(config, settings)


@contextlib.contextmanager
def run_folder(
    path: str | os.PathLike,
    config: Config,
    resume: bool = False,
    replace: bool = False,
    grows: str | None = None,
    done: str | None = None,
    free: Sequence[str] = (),
) -> Iterator[pathlib.Path]:
    """Claim a folder for a run, and write the resolved configuration and the log to it.

    Args:
        path: Str or path.
        config: `Config`.
        resume: Bool. Continue a run of the same configuration that is there. Variants and protocols may be new.
        replace: Bool. Remove the run that is there first; refused where something is not as kerassl wrote it.
        grows: Str, the setting, with dots, that may be larger than it was when a run is resumed; or None.
        done: Str, the file of a finished run, whose setting may not grow any more; or None.
        free: Settings, with dots, that may be others when a run is resumed.

    Yields:
        `pathlib.Path` of the folder, with `config.yaml` and a growing `log.txt` in it.

    Raises:
        UserError: if the folder holds a run and neither `resume` nor `replace` was asked for, if it holds something
            that kerassl did not write or that was changed since, if another run is using it, or if it was written
            with other settings.
    """
    path = pathlib.Path(path)
    _files.check_outside(path, config.data.unlabeled)
    if replace:
        _files.check_not_removed(path, config.model_dump(mode="json"))
    with _files.claimed(path, "run", keep=("config.yaml", "log.txt")) as manifest:
        _prepare(path, manifest, config, resume, replace, grows, done, free)
        for name in ("log.txt", "metrics.jsonl", "trials/metrics.jsonl"):
            _files.open_log(path / name)
        for part in ("train", "validation"):
            manifest.grows(path / "tensorboard" / part / f"events.out.tfevents.*.{os.getpid()}.*", pattern=True)
        handler = logging.FileHandler(path / "log.txt", encoding="utf-8")
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
        log = logging.getLogger("kerassl")
        log.addHandler(handler)
        try:
            yield path
        finally:
            log.removeHandler(handler)
            handler.close()


def _prepare(path, manifest, config, resume, replace, grows, done, free):
    settings = config.model_dump(mode="json")
    if manifest.is_new():
        if resume:
            raise UserError(f"{path} holds no run to resume; leave --resume out to begin one")
    elif replace:
        found = manifest.foreign()
        if found is not None:
            raise UserError(f"{found} is not as kerassl wrote it; move it out of {path}, or choose another folder")
        manifest.clear()
    elif not resume:
        raise UserError(f"{path} already holds a run; add --resume to continue it, --replace to remove it first")
    else:
        if (path / "config.yaml").exists():
            _check_same(path, settings, grows, done, free)
        changed = manifest.changed()
        if changed is not None:
            raise UserError(f"{changed} was changed since kerassl wrote it; move it out of {path}, then resume")
    with _files.whole(path / "config.yaml", state=True) as part:
        text = yaml.safe_dump(settings, sort_keys=False, allow_unicode=True)
        part.write_text(f"# As resolved by kerassl {__version__}\n{text}", encoding="utf-8")


def _check_same(path, settings, grows, done, free):
    remedy = "restore it, or remove it and resume with the run's own --config and flags"
    before = read_yaml(path / "config.yaml", remedy)
    if not isinstance(before, dict):
        raise UserError(f"{path / 'config.yaml'} holds no settings; {remedy}")
    if not (path / "config.yaml").read_bytes().endswith(b"\n"):
        raise UserError(f"{path / 'config.yaml'} is cut off; {remedy}")
    with contextlib.suppress(pydantic.ValidationError):  # settings that came since then have their defaults
        before = Config.model_validate(before).model_dump(mode="json")
    held, before = _without_what_is_new(settings, before), _without_what_is_new(before, before)
    for section, _, key in (name.partition(".") for name in free):
        before[section] = {**(before.get(section) or {}), key: held[section][key]}
    if grows is not None:
        _let_grow(path, before, held, grows.split("."), done)
    found = _difference({key: before.get(key) for key in settings}, held)
    if found is not None:
        name, was, now = found
        raise UserError(
            f"{path} was run with other settings of {name!r} ({_shown(was)}, now {_shown(now)}); resume with the "
            "same, or choose another folder"
        )


def _without_what_is_new(settings, before):
    """Settings without the variants and protocols that were added: those may be new, the others not change."""
    known = before.get("variants", {})
    held = {**settings, "variants": {name: variant for name, variant in settings["variants"].items() if name in known}}
    for protocol in PROTOCOLS:
        own = settings.get(protocol) if before.get(protocol) else None
        held[protocol] = own and {**own, "variants": None}
    held["compare"] = {**(settings.get("compare") or {}), "skip": []}  # what is left out changes nothing of the others
    return held


def _let_grow(path, before, now, keys, done):
    """Take a setting that has grown for what it was, unless the run is finished."""
    for key in keys[:-1]:
        before, now = (each.get(key) if isinstance(each, dict) else None for each in (before, now))
    if not isinstance(before, dict) or not isinstance(now, dict):
        return
    was, is_ = before.get(keys[-1]), now.get(keys[-1])
    if not isinstance(was, int) or is_ is None or is_ <= was:
        return
    if done is not None and (path / done).exists():
        raise UserError(
            f"{path} is finished after {was} {keys[-1]}, and what {is_} would continue from is gone; begin a "
            f"new run of {is_} {keys[-1]}"
        )
    before[keys[-1]] = is_


def _difference(before, now):
    """Return the first setting that differs, by its name with dots, and what it was and is; None where none does.

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


def _shown(value):
    return "left out" if value is None else "given" if isinstance(value, dict) else value
