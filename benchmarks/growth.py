"""How kerassl's cost grows with the batch, with replicas, and with the tiles of the loss."""

import dataclasses

from benchmarks.measuring import Row, measure

BATCHES = (16, 32, 64, 128, 256)
REPLICAS = (2, 4)
COUNTS = (1024, 4096, 8192)
TILES = (None, 256, 1024)


def _steps(settings):
    def needs(batch):
        # In proportion to the largest batch that was measured: what the process holds by itself counts too.
        def estimate(results):
            known = [(row["settings"]["batch_size"], row["memory_mib"]) for row in results if "memory_mib" in row]
            known = [pair for pair in known if pair[0] < batch]
            return max(known)[1] * batch / max(known)[0] if known else None

        return estimate

    batches = [
        Row(f"batch {batch}", "whole", {**settings, "batch_size": batch}, needs=needs(batch)) for batch in BATCHES
    ]
    size = settings["batch_size"]
    copies = [
        Row(f"batch {size} over {replicas} replicas", "whole", {**settings, "replicas": replicas})
        for replicas in REPLICAS
    ]
    return batches + copies


def _losses():
    rows = []
    for count in COUNTS:
        for tile in TILES:
            columns = 2 * count if tile is None else tile
            # Six matrices of similarities at once, at most.
            needs = 500 + 6 * 4 * 2 * count * columns / 2**20
            label = f"N = {count}, " + ("whole matrix" if tile is None else f"tiles of {tile}")
            rows.append(Row(label, "loss", {"batch_size": count, "tile_size": tile}, needs=lambda _, mib=needs: mib))
    return rows


def measure_growth(settings, *, rounds, steps, warmup, cores):
    """Measures one row after the other, each alone in memory.

    Args:
        settings: dict of `network`, `image_size`, `batch_size` and `images`; the replicas share this batch.
        rounds, steps, warmup, cores: as for `measuring.measure`.

    Returns:
        (results of whole steps, results of the loss alone), as of `measuring.measure`.
    """
    tables = []
    for rows in (_steps(settings), _losses()):
        results = []
        for row in rows:
            if row.needs:
                row = dataclasses.replace(row, needs=lambda _, row=row, done=tuple(results): row.needs(done))
            results += measure([row], rounds=rounds, steps=steps, warmup=warmup, cores=cores)
        tables.append(results)
    return tuple(tables)
