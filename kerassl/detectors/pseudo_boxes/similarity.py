"""How much the cells of a feature map speak for the likeness of two embeddings."""

from kerassl._compat import tf


def embedding(cells, inside=None):
    """The mean of a feature map over its cells.

    Args:
        cells: `[B, h, w, C]` float tensor.
        inside: `[B, h, w]` bool tensor of the cells that count, or None for all.

    Returns:
        `[B, C]` float tensor; 0 where no cell counts.
    """
    if inside is None:
        return tf.reduce_mean(cells, axis=[1, 2])
    counted = tf.cast(inside, cells.dtype)
    total = tf.einsum("bhwc,bhw->bc", cells, counted)
    return tf.math.divide_no_nan(total, tf.reduce_sum(counted, axis=[1, 2])[:, None])


def contributions(cells, other, inside=None):
    """What each cell contributes to the cosine similarity of its image's embedding and another one.

    Args:
        cells: `[B, h, w, C]` float tensor.
        other: `[B, C]` float tensor.
        inside: as of `embedding`.

    Returns:
        `[B, h, w]` float tensor, whose mean over the cells that count is the similarity.

    Reference:
        Stylianou et al., "Visualizing Deep Similarity Networks", 2019.
    """
    lengths = tf.norm(embedding(cells, inside), axis=1) * tf.norm(other, axis=1)
    shares = tf.einsum("bhwc,bc->bhw", cells, other)
    return tf.math.divide_no_nan(shares, lengths[:, None, None])
