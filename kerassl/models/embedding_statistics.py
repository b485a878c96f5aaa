"""Statistics of embeddings by which a collapse is seen."""

from __future__ import annotations

from kerassl._lazy import tf

# Pairs of a sample: N * N pairs of a large batch would cost more than the loss.
_SAMPLE = 512


def embedding_statistics(views: tf.Tensor) -> dict[str, tf.Tensor]:
    """Compute how evenly a batch of normalized embeddings fills the unit sphere.

    Args:
        views: `[2N, D]`, rows of length 1: all first views, then all second ones.

    Returns:
        Dict of float32 scalars:

        - `embedding_std`: the deviation of a coordinate times the root of D. 1 if directions are evenly spread, 0 if
          all embeddings are the same.
        - `effective_rank`: how many directions the embeddings use, from 1 to D: the exponential of the entropy of their
          singular values.
        - `alignment`: the mean squared distance of two views of an image; 0 is perfect.
        - `uniformity`: the logarithm of the mean of `exp(-2 d²)` over pairs of different views, for the distance `d`;
          0 if all are the same, about -3.9 on a large sphere evenly filled.

    References:
        Wang and Isola, "Understanding Contrastive Representation Learning through Alignment and Uniformity on the
        Hypersphere", 2020. Garrido et al., "RankMe", 2023, eq. 1.
    """
    views = tf.cast(tf.stop_gradient(views), tf.float32)
    # Without this, computing the eigenvalues would fail once a run has diverged.
    views = tf.where(tf.math.is_finite(views), views, 0.0)
    count, dimensions = tf.shape(views)[0], views.shape[1]
    squares = tf.linalg.eigvalsh(tf.matmul(views, views, transpose_a=True))  # [D]
    return {
        "embedding_std": tf.reduce_mean(tf.math.reduce_std(views, axis=0)) * dimensions**0.5,
        "effective_rank": effective_rank(tf.sqrt(tf.maximum(squares, 0.0))),
        "alignment": alignment(views[: count // 2], views[count // 2 :]),
        "uniformity": uniformity(views[:: tf.maximum(count // _SAMPLE, 1)]),
    }


def effective_rank(singular: tf.Tensor) -> tf.Tensor:
    """Compute the exponential of the entropy of singular values `[D]`."""
    share = tf.math.divide_no_nan(singular, tf.reduce_sum(singular))
    return tf.exp(-tf.reduce_sum(tf.math.xlogy(share, share)))


def alignment(first: tf.Tensor, second: tf.Tensor) -> tf.Tensor:
    """Compute the mean squared distance of normalized embeddings `[N, D]` of two views."""
    return tf.reduce_mean(tf.reduce_sum(tf.square(first - second), axis=1))


def uniformity(views: tf.Tensor) -> tf.Tensor:
    """Compute the logarithm of the mean of `exp(-2 d²)` over pairs of different normalized embeddings `[N, D]`."""
    views = tf.convert_to_tensor(views)
    size = tf.cast(tf.shape(views)[0], views.dtype)
    closeness = tf.exp(4.0 * tf.matmul(views, views, transpose_b=True) - 4.0)  # -2 d² = 4 cosine - 4
    different = (tf.reduce_sum(closeness) - tf.reduce_sum(tf.linalg.diag_part(closeness))) / (size * (size - 1.0))
    return tf.math.log(different)
