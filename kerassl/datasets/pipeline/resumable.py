"""A `tf.data.Dataset` that can start at any step of any epoch."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from kerassl._compat import tf
from kerassl.datasets.pipeline.stream import BrokenFiles, Epochs


class ResumableDataset(tf.data.Dataset):
    """Batches of an epoch that can start at any step of any epoch, without reading what comes before.

    Each iteration is an epoch, in an order of its own that depends on the seed and the epoch alone. `fit`, `map`,
    distribution and all else work as with any `tf.data.Dataset`. `map`, `prefetch` and `with_options` return a
    `ResumableDataset`; other transformations, as `batch`, return an ordinary data set, for which `callbacks.Resume`
    cannot find the place. It is a subclass since `fit` of both Keras 2 and Keras 3 takes a `tf.data.Dataset`, and no
    other object that wraps one.

    Made by `image_folder`, `shards`, `labeled_images`, `detection_batches` and `single_object_batches`.

    Args:
        make: function of (`Epochs`, step) that makes the `tf.data.Dataset` that begins with this step of an epoch.
        steps: int, batches an epoch.
        epochs: `Epochs`.
        broken: `BrokenFiles`.

    Attributes:
        dataset: the `tf.data.Dataset` that it iterates over.
        steps: int, batches an epoch.

    Example:
        >>> images = kerassl.datasets.image_folder("photos", image_size=160, batch_size=64)
        >>> rest = images.at(epoch=3, step=100)
        >>> len(rest) == images.steps - 100
        True
    """

    def __init__(
        self,
        make: Callable[[Epochs, int], tf.data.Dataset],
        steps: int,
        epochs: Epochs,
        broken: BrokenFiles,
        dataset: tf.data.Dataset | None = None,
    ):
        self.dataset = make(epochs, 0) if dataset is None else dataset
        self.steps = steps
        self._make, self._epochs, self._broken = make, epochs, broken
        super().__init__(self.dataset._variant_tensor)

    def _inputs(self):
        return [self.dataset]

    @property
    def element_spec(self) -> object:
        return self.dataset.element_spec

    @property
    def broken(self) -> list[str]:
        """The files that could not be read so far."""
        return sorted(self._broken.paths)

    def begin(self, epoch: int) -> None:
        """Make the next iteration that of this epoch."""
        self._epochs.following = epoch

    def at(self, epoch: int, step: int = 0, broken: Iterable[str] = ()) -> tf.data.Dataset:
        """Return the rest of an epoch.

        Args:
            epoch: int.
            step: int, the batches of it that are skipped.
            broken: paths of files that are known to be broken, as `broken` was then: what takes their place depends
                on them.

        Returns:
            `tf.data.Dataset` of `steps - step` batches.
        """
        self._broken.paths.update(map(str, broken))
        return self._make(Epochs(epoch), step)

    def transform(self, function: Callable[[tf.data.Dataset], tf.data.Dataset]) -> ResumableDataset:
        """Apply a transformation that keeps one element a batch.

        Args:
            function: takes and returns a `tf.data.Dataset`.

        Returns:
            `ResumableDataset`.
        """

        def make(epochs, step):
            return function(self._make(epochs, step))

        return ResumableDataset(make, self.steps, self._epochs, self._broken, function(self.dataset))

    def map(self, *args: Any, **kwargs: Any) -> ResumableDataset:
        """See `tf.data.Dataset.map`."""
        return self.transform(lambda dataset: dataset.map(*args, **kwargs))

    def prefetch(self, *args: Any, **kwargs: Any) -> ResumableDataset:
        """See `tf.data.Dataset.prefetch`."""
        return self.transform(lambda dataset: dataset.prefetch(*args, **kwargs))

    def with_options(self, *args: Any, **kwargs: Any) -> ResumableDataset:
        """See `tf.data.Dataset.with_options`."""
        return self.transform(lambda dataset: dataset.with_options(*args, **kwargs))
