"""Which copies of photos does `find_duplicates` find, and does it take other photos for copies?

    python -m studies.duplicates --images photos/ more_photos/

Of 300 of the photos, copies are made in twelve ways; all are searched together with the photos. Then the hash is
compared with others: the bits by which nearly all resized and re-encoded copies differ at most, and how many pairs of
different photos do not differ by more. `docs/results/duplicates.md` says what was measured.
"""

import argparse
import pathlib
import tempfile
import time

import numpy as np
import PIL.Image
import PIL.ImageOps
import scipy.fft

from benchmarks import tables
from kerassl import datasets
from kerassl.datasets.duplicates import similar
from kerassl.datasets.subset import subset

_EXIF = 0x0112


def _resized(image, factor, resampling=PIL.Image.Resampling.BICUBIC):
    return image.resize([max(1, round(side * factor)) for side in image.size], resampling)


def _turned_by_exif(image, path):
    exif = PIL.Image.Exif()
    exif[_EXIF] = 6
    image.transpose(PIL.Image.Transpose.ROTATE_90).save(path, exif=exif, quality=90)


def _cropped(image):
    width, height = image.size
    return image.crop((width // 40, height // 40, width - width // 40, height - height // 40))


COPIES = {
    "half the size": lambda image, path: _resized(image, 0.5).save(path, quality=90),
    "twice the size": lambda image, path: _resized(image, 2).save(path, quality=90),
    "square of 224": lambda image, path: image.resize((224, 224)).save(path, quality=90),
    "JPEG of quality 50": lambda image, path: image.save(path, quality=50),
    "half the size, quality 50": lambda image, path: _resized(image, 0.5).save(path, quality=50),
    "WebP of quality 30": lambda image, path: image.save(path.with_suffix(".webp"), quality=30),
    "rotated by EXIF": _turned_by_exif,
    "mirrored": lambda image, path: PIL.ImageOps.mirror(image).save(path, quality=80),
    "rotated by 90 degrees": lambda image, path: image.transpose(PIL.Image.Transpose.ROTATE_90).save(path),
    "a third, nearest pixels": lambda image, path: _resized(image, 1 / 3, PIL.Image.Resampling.NEAREST).save(path),
    "15 % brighter (not promised)": lambda image, path: image.point(lambda value: min(255, round(value * 1.15))).save(
        path
    ),
    "5 % cropped (not promised)": lambda image, path: _cropped(image).save(path, quality=80),
}
PROMISED = list(COPIES)[:9]


def copies(paths, folder):
    """Write a copy of each kind of each image; return dict from kind to paths, in the order of the images."""
    made = {}
    for number, kind in enumerate(COPIES):
        out = folder / str(number)
        out.mkdir()
        for place, path in enumerate(paths):
            with PIL.Image.open(path) as image:
                COPIES[kind](image.convert("RGB"), out / f"{place:04}.jpg")
        made[kind] = sorted(map(str, out.iterdir()))
    return made


def _luminance(path, side=32):
    with PIL.Image.open(path) as image:
        drafted = image.draft("RGB", (2 * side, 2 * side))
        image = image.convert("L").resize((side, side), PIL.Image.Resampling.BILINEAR, drafted and drafted[1])
        return np.asarray(image)


def difference_hash(images, side):
    """Whether each pixel is brighter than the one to its left, of images shrunk to `side` by `side + 1`."""
    small = [np.asarray(PIL.Image.fromarray(image).resize((side + 1, side)), int) for image in images]
    return (np.diff(small, axis=2) > 0).reshape(len(small), -1)


def cosine_hash(images, side):
    """Whether each of the lowest cosines is above their median."""
    cosines = scipy.fft.dctn(images.astype(float), axes=(1, 2))[:, :side, :side].reshape(len(images), -1)
    return cosines > np.median(cosines, axis=1, keepdims=True)


def hash_rows(photos, chosen, made):
    """Compare hashes; return a row each."""
    images = np.stack([_luminance(path) for path in photos])
    places = [photos.index(path) for path in chosen]
    kinds = {kind: np.stack([_luminance(path) for path in made[kind]]) for kind in PROMISED[:6]}
    rows = []
    for name, function, side in (
        ("dHash", difference_hash, 8),
        ("dHash", difference_hash, 16),
        ("pHash", cosine_hash, 8),
        ("pHash", cosine_hash, 16),
    ):
        known = function(images, side)
        bits = np.concatenate([(function(own, side) != known[places]).sum(1) for own in kinds.values()])
        signs, pairs = np.where(known, 1, -1).astype(np.float32), len(photos) * (len(photos) - 1) / 2
        row = [f"{name}, {known.shape[1]} bits"]
        for share in (99, 99.9, 100):
            most = int(np.percentile(bits, share, method="higher"))
            same = sum(
                int((columns < rows + start).sum())
                for start in range(0, len(signs), 256)
                for columns, rows in similar(signs, signs[start : start + 256], most)
            )
            row.append(f"{most}: {same / pairs * 1e6:.2g}")
        rows.append(row)
    return rows


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", nargs="+", required=True, help="folders of photos, none of them twice")
    parser.add_argument("--count", type=int, default=300)
    arguments = parser.parse_args()
    photos = datasets.image_files(arguments.images)
    chosen = subset(photos, count=arguments.count, seed=0)
    begun = time.perf_counter()
    within = datasets.find_duplicates(photos).found
    seconds = time.perf_counter() - begun
    print(f"{len(photos)} photos in {seconds:.1f} s; {len(within)} copies among them")
    for each in within:
        print(f"  {each.kind} ({each.difference}): {each.path} of {each.original}")
    with tempfile.TemporaryDirectory() as folder:
        made = copies(chosen, pathlib.Path(folder))
        found = datasets.find_duplicates({"photos": photos, **made}, within=False)
        rows = []
        for kind, paths in made.items():
            original = dict(zip(paths, chosen))
            right = [each.original == original[each.path] for each in found.between("photos", kind)]
            most = max((each.difference for each in found.between("photos", kind)), default=0)
            rows.append([kind, f"{sum(right) / len(paths):.1%}", str(len(right) - sum(right)), str(most)])
        print(tables.table(["copy", "found", "of another photo", "largest difference"], rows))
        print("bits of 99 %, 99.9 % and all copies: pairs of different photos within them, of a million")
        print(tables.table(["hash", "99 %", "99.9 %", "all"], hash_rows(photos, chosen, made)))


if __name__ == "__main__":
    main()
