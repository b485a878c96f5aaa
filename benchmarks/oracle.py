"""Does kerassl's InfoNCE say what lightly's NTXentLoss says?

    python -m benchmarks.oracle

Both get the same embeddings, each in its own environment, at several temperatures. Exit status 1 if they differ by
more than 1e-5, 3 if the environment of lightly is not set up (`make bench-lightly`).
"""

import pathlib
import sys
import tempfile

import numpy as np

from benchmarks import comparison, protocol

TEMPERATURES = (0.05, 0.1, 0.2, 0.5, 1.0)
TOLERANCE = 1e-5


def compare(cores=2):
    """Computes both losses on embeddings whose two views resemble each other, as they do in training.

    Args:
        cores: int. Cores that each process may use.

    Returns:
        Dict of `temperatures`, `kerassl`, `lightly` (lists of float) and `largest_difference`; None if the
        environment of lightly is not there.

    Raises:
        protocol.WorkerError: if one of the two cannot compute it.
    """
    if not comparison.LIGHTLY_PYTHON.exists():
        return None
    rng = np.random.default_rng(0)
    first = rng.normal(size=(64, 128)).astype("float32")
    second = first + rng.normal(size=first.shape).astype("float32")
    values = {}
    with tempfile.TemporaryDirectory() as folder:
        paths = [str(pathlib.Path(folder) / f"{name}.npy") for name in ("first", "second")]
        for path, array in zip(paths, (first, second)):
            np.save(path, array)
        for name, python, module in (
            ("kerassl", sys.executable, "benchmarks.tensorflow_worker"),
            ("lightly", comparison.LIGHTLY_PYTHON, "benchmarks.lightly_worker"),
        ):
            with protocol.Worker(python, module, cores) as worker:
                values[name] = worker.ask("info_nce", first=paths[0], second=paths[1], temperatures=TEMPERATURES)
    difference = float(np.abs(np.subtract(values["kerassl"], values["lightly"])).max())
    return {"temperatures": list(TEMPERATURES), **values, "largest_difference": difference}


def sentence(found):
    """Return the result of the comparison, in one line."""
    if found is None:
        return "InfoNCE was not compared with lightly's NTXentLoss: not installed: make bench-lightly"
    result = "equal" if found["largest_difference"] <= TOLERANCE else "NOT EQUAL"
    return (
        f"InfoNCE and lightly's NTXentLoss on the same embeddings, temperatures "
        f"{', '.join(f'{value:g}' for value in found['temperatures'])}: {result}, they differ by at most "
        f"{found['largest_difference']:.1e}"
    )


def main():
    found = compare()
    print(sentence(found))
    return 3 if found is None else int(found["largest_difference"] > TOLERANCE)


if __name__ == "__main__":
    sys.exit(main())
