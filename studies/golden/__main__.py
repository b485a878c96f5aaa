"""Compares the working tree with the baseline commit, to the bit, on the same machine.

    make golden                                             all cases on both stacks
    python -m studies.golden --stack current --only views   one case; --list names them

`baseline.py` holds the cases in the interface of the baseline commit, `cases.py` the same cases in that of the working
tree. A change of the interface adapts the calls in `cases.py`, never what they return. What the baseline returned is
kept in `build/golden/` for a machine, its packages and its cases: a later run costs the working tree's side alone.
"""

import argparse
import contextlib
import fcntl
import hashlib
import os
import pathlib
import platform
import re
import subprocess
import sys
import tempfile
import time

import numpy as np

BASELINE = "77273188b072fd3875fe1edf86d5e5d71c62b6c7"
STACKS = {"current": ".venv", "addons": ".venv-addons"}
# What may change a number, if it is installed in another version.
PACKAGES = (
    "keras",
    "keras-cv",
    "numpy",
    "pillow",
    "pycocotools",
    "scipy",
    "tensorflow",
    "tensorflow-addons",
    "tf-keras-vis",
)
HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent

sys.path.insert(0, str(HERE))
import common  # noqa: E402


def main():
    names = case_names("cases.py")
    parser = argparse.ArgumentParser(prog="python -m studies.golden", description=__doc__.partition("\n")[0])
    parser.add_argument("--stack", choices=STACKS, help="one of the two stacks; both if left out")
    parser.add_argument("--only", nargs="+", metavar="CASE", choices=names, help="some of the cases; see --list")
    parser.add_argument("--list", action="store_true", help="print the names of the cases")
    parser.add_argument(
        "--itself", action="store_true", help="run the baseline twice, the second time in reverse order"
    )
    options = parser.parse_args()
    if options.list:
        print("\n".join(names))
        return 0
    chosen = options.only or names
    equal = True
    for stack in [options.stack] if options.stack else STACKS:
        equal &= compare_stack(stack, chosen, options.itself)
    return 0 if equal else 1


def compare_stack(stack, names, itself=False):
    """Runs what is missing of both sides, prints a line for each case; whether all are equal."""
    home = environments_home()
    python = home / STACKS[stack] / "bin" / "python"
    if not python.is_file():
        sys.exit(f"there is no {python}; make golden sets up both environments")
    kept = home / "build" / "golden" / key(python)
    kept.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        out = pathlib.Path(folder)
        with locked(kept / "lock"):
            missing = [name for name in names if not (kept / f"{name}.npz").is_file()]
            if missing:
                with baseline_tree(kept) as tree:
                    run_side(python, "baseline.py", tree, kept, missing, f"{stack}, baseline")
        if itself:
            with baseline_tree(kept) as tree:
                run_side(python, "baseline.py", tree, out, names[::-1], f"{stack}, baseline again")
        else:
            run_side(python, "cases.py", ROOT, out, names, f"{stack}, working tree")
        equal = [report(stack, name, kept / f"{name}.npz", out / f"{name}.npz") for name in names]
    print(f"{stack}: {sum(equal)} of {len(equal)} cases are equal to the bit")
    return all(equal)


def run_side(python, script, root, out, names, title):
    begun = time.perf_counter()
    print(f"{title}: {len(names)} cases", flush=True)
    threads = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    environment = {**os.environ, **threads, "PYTHONPATH": str(root), "PYTHONHASHSEED": "0", "TF_CPP_MIN_LOG_LEVEL": "3"}
    with tempfile.TemporaryFile("w+") as errors:
        done = subprocess.run([python, HERE / script, root, out, *names], env=environment, stderr=errors)
        if done.returncode not in (0, 1):  # it crashed; a case that fails prints its traceback
            errors.seek(0)
            print(errors.read())
    print(f"{title}: {time.perf_counter() - begun:.0f} s", flush=True)


def report(stack, name, expected, found):
    """Prints what became of a case; whether it is equal."""
    missing = [side for side, path in (("baseline", expected), ("working tree", found)) if not path.is_file()]
    if missing:
        print(f"{stack}: {name}: failed in the {' and the '.join(missing)}")
        return False
    problems = list(differences(common.load(expected), common.load(found)))
    if not problems:
        print(f"{stack}: {name}: equal")
        return True
    print(f"{stack}: {name}: differs in {len(problems)} values")
    for problem in problems[:8]:
        print(f"    {problem}")
    if len(problems) > 8:
        print(f"    and {len(problems) - 8} more")
    return False


def differences(expected, found):
    """A line for each value that is not the same to the bit."""
    for name in [*expected, *(name for name in found if name not in expected)]:
        if name not in found or name not in expected:
            yield f"{name}: only in the {'baseline' if name in expected else 'working tree'}"
            continue
        old, new = expected[name], found[name]
        if old.dtype.kind in "US" and new.dtype.kind in "US":
            if old.shape != new.shape or (old != new).any():
                yield f"{name}: {str(old)[:60]!r} became {str(new)[:60]!r}"
        elif old.dtype != new.dtype or old.shape != new.shape:
            yield f"{name}: {old.dtype} {old.shape} became {new.dtype} {new.shape}"
        elif old.tobytes() != new.tobytes():
            with np.errstate(invalid="ignore"):
                apart = np.abs(old.astype(np.float64) - new.astype(np.float64))
            yield f"{name}: {np.sum(old != new)} of {old.size} values apart by up to {np.nanmax(apart, initial=0):.3g}"


@contextlib.contextmanager
def baseline_tree(kept):
    """The baseline commit in a worktree that is removed at the end."""
    with tempfile.TemporaryDirectory(dir=kept) as folder:
        tree = pathlib.Path(folder) / "baseline"
        git("worktree", "add", "--detach", "--force", str(tree), BASELINE)
        try:
            yield tree
        finally:
            git("worktree", "remove", "--force", str(tree))


@contextlib.contextmanager
def locked(path):
    """Holds a lock file: of several runs one computes the baseline's side, the others wait for it."""
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def environments_home():
    """The folder of the environments: of a linked worktree that of the repository that it belongs to."""
    return pathlib.Path(git("rev-parse", "--path-format=absolute", "--git-common-dir")).parent


def git(*arguments):
    return subprocess.run(["git", *arguments], cwd=ROOT, check=True, capture_output=True, text=True).stdout.strip()


def key(python):
    """Return a key of all that the baseline's results depend on, as a folder's name."""
    versions = "import importlib.metadata as m, sys; names = {d.name.lower(): d.version for d in m.distributions()}"
    command = [python, "-c", f"{versions}; print(sys.version, [names.get(name) for name in {PACKAGES}])"]
    installed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    scripts = [(HERE / name).read_text(encoding="utf-8") for name in ("baseline.py", "common.py")]
    return hashlib.sha256("\n".join([BASELINE, *scripts, installed, processor()]).encode()).hexdigest()[:16]


def processor():
    """Model and instruction sets, by which libraries choose their kernels."""
    path = pathlib.Path("/proc/cpuinfo")
    if not path.is_file():
        return f"{platform.machine()} {platform.processor()}"
    return "\n".join(sorted(set(re.findall(r"(?m)^(?:model name|flags|Features)\s*:.*$", path.read_text()))))


def case_names(script):
    """The names in the list CASES of a script, without importing what it needs."""
    text = (HERE / script).read_text(encoding="utf-8")
    return re.findall(r"\w+", text[text.index("\nCASES = [") :].split("]")[0].partition("[")[2])


if __name__ == "__main__":
    sys.exit(main())
