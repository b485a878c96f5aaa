"""Resumable `tf.data` streams and batches."""
