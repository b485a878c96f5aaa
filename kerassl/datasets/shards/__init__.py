"""TFRecord shards: writing, reading and their index."""
