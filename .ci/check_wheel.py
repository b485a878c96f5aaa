"""Check that a wheel has every module, configuration and template of the package, and nothing else.

python .ci/check_wheel.py dist/kerassl-0.1.0-py3-none-any.whl
"""

import pathlib
import sys
import zipfile

ROOT = pathlib.Path(__file__).parents[1]


def main(wheel: str) -> int:
    """Print what is missing and what is too much, and return the number of both."""
    with zipfile.ZipFile(wheel) as archive:
        found = {name for name in archive.namelist() if ".dist-info/" not in name}
    files = [path for path in (ROOT / "kerassl").rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    expected = {path.relative_to(ROOT).as_posix() for path in files}
    # In a clone `kerassl/configs` is a link, which rglob does not follow.
    expected |= {f"kerassl/configs/{path.name}" for path in (ROOT / "configs").glob("*.yaml")}
    wrong = [f"missing: {name}" for name in sorted(expected - found)]
    wrong += [f"too much: {name}" for name in sorted(found - expected)]
    print(*wrong or [f"{len(found)} files, as in the clone"], sep="\n")
    return len(wrong)


if __name__ == "__main__":
    sys.exit(min(main(sys.argv[1]), 1))
