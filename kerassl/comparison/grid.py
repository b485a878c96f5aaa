"""The cells of a comparison: every arm with every number of labels and every seed, for each way of measuring."""

import contextlib
import re
import shlex
import typing

from kerassl._errors import UserError

PROTOCOLS = ("frozen", "localizer", "detector")
"""The sections that measure an arm, from the quickest to the slowest."""


class Cell(typing.NamedTuple):
    """One training on labels and its scoring.

    Attributes:
        arm: str, its name.
        protocol: str, one of `PROTOCOLS`.
        labels: int, how many images' labels are used, or None for all.
        seed: int. Of the choice of those images, of what starts at random, and of the order of training.
    """

    arm: str
    protocol: str
    labels: int | None
    seed: int

    @property
    def name(self):
        """What it is called in its arm's folder."""
        return f"{self.protocol}-{'all' if self.labels is None else self.labels}-{self.seed}"


def slug(name):
    """A name as a folder's name."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")


def protocols(config):
    """The ways of measuring that a configuration has a section for."""
    return [protocol for protocol in PROTOCOLS if getattr(config, protocol) is not None]


def axes(config, protocol):
    """The sides of a protocol's grid.

    Args:
        config: `Config`.
        protocol: str.

    Returns:
        Lists of the arms' names, of the numbers of labels (None is all) and of the seeds.
    """
    own, common = getattr(config, protocol), config.compare
    labels = common.labels if own.labels is None else own.labels
    seeds = common.seeds if own.seeds is None else own.seeds
    return own.arms or list(config.arms), labels, [config.seed + number for number in range(seeds)]


def cells(config):
    """All cells, in the order in which they are done.

    On frozen features an arm's cells follow each other, for which its features are kept. Else the arms take turns, so
    that a comparison that is stopped half way has seen all of them.
    """
    found = []
    for protocol in protocols(config):
        arms, labels, seeds = axes(config, protocol)
        if protocol == "frozen":
            found += [Cell(arm, protocol, count, seed) for arm in arms for count in labels for seed in seeds]
        else:
            found += [Cell(arm, protocol, count, seed) for seed in seeds for count in labels for arm in arms]
    return found


def section(config, protocol, arm):
    """A way of measuring as it is for an arm: with its own neck, and of frozen features its own batch normalisation.

    Args:
        config: `Config`.
        protocol: str.
        arm: str, its name.

    Returns:
        `sections.Protocol`.
    """
    names = ("neck", "batch_norm") if protocol == "frozen" else ("neck",)
    own = {name: getattr(config.arms[arm], name) for name in names}
    return getattr(config, protocol).model_copy(
        update={name: value for name, value in own.items() if value is not None}
    )


def parent(config, arm):
    """The arm whose weights another one begins with, or None where `start` is a word or a file."""
    start = config.arms[arm].start
    return start if start in config.arms and start not in ("random", "imagenet") else None


def is_kept(config, cell):
    """Whether a cell's model is kept: that of the first seed and the most labels, for pictures and for use."""
    _, labels, seeds = axes(config, cell.protocol)
    return cell.seed == seeds[0] and cell.labels == most(labels)


def most(labels):
    """The largest number of labels, or None for all."""
    return None if None in labels else max(labels)


def check(config):
    """Refuses a grid that cannot be: what the sections cannot tell each by itself.

    Args:
        config: `Config`.

    Raises:
        ValueError: in one line.
    """
    arms, common = config.arms, config.compare
    folders = {}
    for name in arms:
        other = folders.setdefault(slug(name), name)
        if not slug(name):
            raise ValueError(f"arms: {name!r} has no letter or digit to call a folder by; give it a name of letters")
        if len(slug(name)) > 100:
            raise ValueError(f"arms: {name[:40] + '…'!r} has {len(name)} characters; give it a name of at most 100")
        if other != name:
            raise ValueError(f"arms: {other!r} and {name!r} would share the folder {slug(name)!r}; rename one of them")
        start = parent(config, name)
        if start is not None and list(arms).index(start) >= list(arms).index(name):
            raise ValueError(f"arms.{name}.start is {start!r}, an arm that does not stand above it; put it there")
        if arms[name].supervised == []:
            raise ValueError(f"arms.{name}.supervised names no class; give true for all, or two names and more")
    _known({"compare.baseline": common.baseline}, arms)
    if common.gate is not None:
        _known({"compare.gate.good": common.gate.good, "compare.gate.poor": common.gate.poor}, arms)
        if common.gate.good == common.gate.poor:
            raise ValueError(f"compare.gate: good and poor are both {common.gate.good!r}; name two arms")
        if config.frozen is None:
            raise ValueError("compare.gate is judged on frozen features; add a section 'frozen:'")
        for arm in (common.gate.good, common.gate.poor):
            if arm not in axes(config, "frozen")[0]:
                raise ValueError(f"compare.gate needs {arm!r} on frozen features; add it to frozen.arms")
    if common.part == "choose" and not common.chosen:
        raise ValueError("compare.part is 'choose', but no images are kept aside; give compare.chosen, as 200")
    for name in ("compare", *PROTOCOLS):
        own = getattr(config, name)
        if own is None:
            continue
        labels, named = own.labels or [], getattr(own, "arms", None) or []
        for what, values in (("labels", labels), ("arms", named)):
            if len(set(values)) < len(values):
                raise ValueError(f"{name}.{what} are {values}; give each once")
        for arm in named:
            _known({f"{name}.arms": arm}, arms)
        voc = config.data.voc
        if any(labels) and voc is not None and (voc.count or voc.fraction):
            raise ValueError(f"{name}.labels and data.voc's count or fraction both choose labels; leave the latter out")
    measured = [arm for protocol in protocols(config) for arm in axes(config, protocol)[0]]
    left = [arm for arm in arms if arm not in measured]
    if measured and left:
        raise ValueError(f"arms: {left[0]!r} is measured by nothing; add it to a section's arms, or take it out")


def without(config, skip):
    """A comparison without some of its arms, whose folders and figures stay.

    Args:
        config: `Config`.
        skip: list of names of arms.

    Returns:
        `Config`.

    Raises:
        UserError: in one line, if there is no such arm, none is left, or another one needs it.
    """
    if not skip:
        return config
    changed = config.model_dump()
    left = [name for name in config.arms if name not in skip]
    try:
        for name in skip:
            _known({"compare.skip (--skip)": name}, config.arms)
        if not left:
            raise ValueError(f"compare.skip (--skip) names all arms, {', '.join(skip)}; leave one to measure")
        for name in left:
            if parent(config, name) in skip:
                raise ValueError(f"arms.{name} starts from {parent(config, name)!r}, which is skipped; skip both")
        if config.compare.gate and {config.compare.gate.good, config.compare.gate.poor} & set(skip):
            raise ValueError("compare.gate needs an arm that is skipped; take the gate out, or skip another arm")
        if config.compare.baseline in skip:
            raise ValueError(f"compare.baseline is {config.compare.baseline!r}, which is skipped; skip another arm")
    except ValueError as error:
        raise UserError(str(error)) from None
    for name in PROTOCOLS:
        if changed[name] and changed[name]["arms"]:
            own = [arm for arm in changed[name]["arms"] if arm not in skip]
            changed[name] = {**changed[name], "arms": own} if own else None
    changed["arms"] = {name: changed["arms"][name] for name in left}
    changed["compare"]["skip"] = []
    return type(config).model_validate(changed)


@contextlib.contextmanager
def of_arm(name):
    """Adds to what goes wrong in the block whose fault it is, and how the others continue."""
    try:
        yield
    except UserError as error:
        where = f"arm {name!r}: {error}; leave it out by compare.skip to continue with the others"
        shell = f"arm {name!r}: {error.shell}; continue with the others by --resume --skip {shlex.quote(name)}"
        raise UserError(where, shell=shell) from error


def _known(named, arms):
    for key, arm in named.items():
        if arm is not None and arm not in arms:
            raise ValueError(f"{key} is {arm!r}; the arms are {', '.join(arms)}")
