"""Where the images of labels are: folders beside the labels, and files by the names that labels give them."""

import collections
import functools
import logging
import os
import pathlib
import re

from kerassl._display import printable
from kerassl._errors import UserError
from kerassl._io.file_names import find_file, nfc

log = logging.getLogger("kerassl")

_FOLDERS = ("images", "jpegimages", "data", "img", "imgs", "image")
_SAMPLE = 50  # images that are looked for in each folder
_MOST = 50  # folders of other names that are searched
_DIFFERING = 0.5  # share of the images that may have another size than labels say: some tools state wrong ones
_SPLIT_WORDS = ("train", "training", "val", "valid", "validation", "test", "testing")
_SPLIT = re.compile(r"(train)(?:ing)?|(val)(?:id(?:ation)?)?|(test)(?:ing)?")


def split_name(text):
    """Return the split that a word means: "train", "val" (also "valid" and "validation") or "test"; or None."""
    found = _SPLIT.fullmatch(re.sub(r"(19|20)\d\d$", "", text.lower()))
    return None if found is None else found[found.lastindex]


def folder_split(path, root):
    """Return the split that a folder in a path means.

    Args:
        path: str, a file.
        root: str or `pathlib.Path`, the folder that the data set is in.

    Returns:
        Str or None; see `split_name`.
    """
    parts = pathlib.PurePath(os.path.relpath(path, root)).parts[:-1]
    return next(filter(None, map(split_name, parts)), None)


def file_split(path, root):
    """As `folder_split`, for a file that may have the split in its own name, as `instances_train2017.json`."""
    words = re.split(r"[^a-z0-9]+", pathlib.PurePath(path).stem.lower())
    return next(filter(None, map(split_name, words)), None) or folder_split(path, root)


def by_split(files, root, split):
    """Return the files of each split.

    Args:
        files: sequence of str.
        root: see `folder_split`.
        split: `folder_split` or `file_split`.

    Returns:
        Dict of str to list of str, in the order train, val, test. Empty where one is of no split.
    """
    found = collections.defaultdict(list)
    for file in files:
        found[split(file, root)].append(file)
    return {} if None in found else {name: found[name] for name in ("train", "val", "test") if name in found}


def images_folder(labels, score, enough, hints=()):
    """Find the folder of the images that labels name, beside the labels.

    Args:
        labels: str or `pathlib.Path`, the folder that the labels are in.
        score: function from the path of a folder to the number of images that are found in it.
        enough: int. A folder with so many is taken at once.
        hints: names of folders that may be one of them, as of the split.

    Returns:
        `pathlib.Path` of the folder with most of them, or None. Of folders with usual names it is the first of equals;
        where none of those has any, it is one of the folders in that of the labels, or beside it, if only one has most.
        One in that of the labels with `enough` of them comes before all that are farther.
    """
    here, labels = pathlib.Path(os.path.abspath(labels)), pathlib.Path(labels)
    score, usual = functools.cache(score), {}
    for level, folders in enumerate(_beside(labels, hints)):
        for folder in folders:
            usual[folder] = score(folder)
            if usual[folder] >= enough:
                return folder
        if level == 0 and (best := _best_inside(here, labels, here, score, usual)) and score(best[0]) >= enough:
            return _only(best)
    found = max(usual, key=usual.__getitem__)
    if usual[found]:
        return found
    insides = (_best_inside(base, labels, here, score, usual) for base in (here, here.parent))
    return _only(next(filter(None, insides), []))


def _best_inside(base, labels, here, score, usual):
    """The folders in one folder that have most of the images, of those that are not of usual names."""
    inside = [_as_named(path, labels, here) for path in sorted(_folders(base).values())]
    inside = [each for each in inside if each not in usual][:_MOST]
    most = max(map(score, inside), default=0)
    return [folder for folder in inside if most and score(folder) == most]


def _only(folders):
    if len(folders) != 1:
        return None
    log.info("images are read from the folder %s", printable(str(folders[0])))
    return folders[0]


def folder_of_names(file, names, endings):
    """Find the folder of the images that a file of labels names, beside the file.

    Args:
        file: `pathlib.Path`.
        names: sequence of str, the images' names. Some of them are looked for.
        endings: see `name_endings`.

    Returns:
        `pathlib.Path`.

    Raises:
        UserError: if there is none with any of them.
    """
    sample = names[:: -(-len(names) // _SAMPLE)]
    hints = re.split(r"[^a-z0-9]+", file.stem.lower())
    hints += [word for word in _SPLIT_WORDS if split_name(word) in map(split_name, hints)]
    folder = images_folder(
        file.parent, lambda each: sum(locate(each, name, endings)[0] is not None for name in sample), len(sample), hints
    )
    if folder is None:
        raise missing_images(file, f"first {names[0]}")
    return folder


def missing_images(labels, what):
    """Return the `UserError` for images that are not found beside their labels.

    Args:
        labels: str or `pathlib.Path`, the file or folder of the labels.
        what: str, the first of the images.
    """
    fact = f"none of the images that {labels} names is found beside it ({what})"
    return UserError(
        f"{fact}; give the folder of the images as images", f"{fact}; give the folder of the images as --data-images"
    )


def check_sizes(labels, folder, differing, count):
    """Refuse a folder of images that was found beside labels, but holds those of other data.

    Args:
        labels: str or `pathlib.Path`, the file or folder of the labels.
        folder: str or `pathlib.Path`.
        differing: list of str, the images whose size is not the stated one.
        count: int, all images.

    Raises:
        UserError: if more than half of the images have another size.
    """
    if len(differing) > _DIFFERING * count:
        fact = (
            f"{len(differing)} of {count} images that {labels} names have another size in {folder}, which was found "
            f"beside it (first {' '.join(differing[0].splitlines())}); give the folder of the images"
        )
        raise UserError(f"{fact} as images", f"{fact} as --data-images")


def _beside(labels, hints):
    """Yield lists of the folders in which images of labels usually are, those first that are tried first."""
    here = pathlib.Path(os.path.abspath(labels))
    words = sorted({each.lower() for each in (here.name, *hints)})
    for level, base in enumerate((here, here.parent, here.parent.parent)):
        folders = _folders(base)
        usual = [folders[name] for name in _FOLDERS if name in folders]
        named = [folders[name] for name in words if name in folders]
        inner = [each[name] for each in map(_folders, usual) for name in words if name in each]
        paths = (*([base] if level == 0 else ()), *inner, *usual, *named, *([base] if level == 1 else ()))
        yield [_as_named(path, labels, here) for path in paths]


def _as_named(path, labels, here):
    """A path relative where that of the labels is."""
    return labels if path == here else pathlib.Path(os.path.normpath(labels / os.path.relpath(path, here)))


def _folders(folder):
    """The folders in a folder by their names in lower case."""
    try:
        with os.scandir(folder) as entries:
            found = sorted((entry.name for entry in entries if entry.is_dir()), reverse=True)
    except OSError:
        return {}
    return {name.lower(): folder / name for name in found}


def name_endings(names):
    """Return how many images have a name that ends so, by all ends of the names' paths.

    Args:
        names: iterable of str.

    Returns:
        `collections.Counter`, as `locate` takes it.
    """
    found = collections.Counter()
    for name in names:
        parts = nfc(name).replace("\\", "/").split("/")
        found.update("/".join(parts[start:]) for start in range(len(parts)))
    return found


def locate(folder, name, endings):
    """Find the image that labels name.

    Args:
        folder: `pathlib.Path` of the images.
        name: str, a path relative to the folder; or one that is absolute, leads out of the folder, is a URL or has
            the folder's name in it, of which an end is relative to the folder.
        endings: see `name_endings`.

    Returns:
        Str, the path of the file, and None; or None and what is wrong, in words that go after "images".
    """
    plain = name.replace("\\", "/")
    for each in dict.fromkeys((name, plain)):
        path = _inside(folder, each)
        if path is not None:
            return path, None
    parts = [part for part in plain.split("/") if part not in ("", ".")]
    above = max((place + 1 for place, part in enumerate(parts) if part == ".."), default=0)
    elsewhere = above or re.match(r"/|[A-Za-z]:|[a-z]+://", plain)
    if elsewhere:
        starts = range(above, len(parts))
    else:
        starts = [1] if parts and parts[0] == os.path.basename(os.path.abspath(folder)) else []
    for start in starts:
        path = find_file(folder, "/".join(parts[start:]))
        if path is not None:
            one = endings["/".join(map(nfc, parts[start:]))] == 1
            return (path, None) if one else (None, "whose name fits several files")
    return None, "outside of their folder" if elsewhere else "that are missing"


def _inside(folder, name):
    """A file by its path from the folder, or None: also where that leads out of it."""
    root = os.path.abspath(folder)
    path = os.path.normpath(os.path.join(root, name))
    if not path.startswith(os.path.join(root, "")):
        return None
    return find_file(folder, os.path.relpath(path, root))
