"""`kerassl.tasks.embed` in parts."""

import numpy as np
import pytest

import kerassl
from kerassl import backbones, tasks
from kerassl._io.parts import Part

pytestmark = pytest.mark.current_stack


def test_features_of_parts_are_read_as_one_when_one_is_empty(tiny_backbone, eagerly, tmp_path, save_image):
    names = [f"{number}.png" for number in range(9)]
    chosen = [names[place] for place in Part(2, 2).places(names)]
    paths = [str(save_image(tmp_path / "photos" / name, seed=number)) for number, name in enumerate(chosen)]
    backbones.save(tiny_backbone(), tmp_path / "backbone.keras")
    given = {"backbone": tmp_path / "backbone.keras", "image_size": 32}
    whole = tasks.embed(images=paths, out=tmp_path / "all.npz", **given)
    for number in (1, 2):
        tasks.embed(images=paths, out=tmp_path / "parts", part=f"{number}/2", **given)
    read = kerassl.load(tmp_path / "parts")
    assert read["names"].tolist() == list(whole.names) == paths
    np.testing.assert_allclose(read["features"], whole.features, atol=1e-5)
