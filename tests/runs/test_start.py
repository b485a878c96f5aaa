import pytest

from kerassl import UserError, backbones
from kerassl.config import read_config
from kerassl.runs.plan.stages import Network
from kerassl.runs.start import check_start, seen, short_name, start, start_settings

pytestmark = pytest.mark.current_stack


@pytest.mark.parametrize("weights", ["random", "imagenet", "weights.npz"])
def test_network_is_cut_at_the_configured_layer_when_it_is_built_by_name(weights, tiny_backbone, monkeypatch):
    asked = []
    monkeypatch.setattr(backbones, "build", lambda name, **own: asked.append((name, own)) or tiny_backbone())
    network = Network.of(read_config(None, {"backbone": "MobileNet", "cut_at": "conv_pw_12_relu"}))
    start(network, weights, 0)
    given = {} if weights == "random" else {"weights": weights}
    assert asked == [("MobileNet", {**given, "cut_at": "conv_pw_12_relu"})]


def test_file_of_weights_is_refused_when_its_network_is_cut_elsewhere(tiny_backbone, tmp_path):
    backbones.save(tiny_backbone(), tmp_path / "own.keras")
    file = str(tmp_path / "own.keras")
    with pytest.raises(UserError, match="holds tiny up to act5, but cut_at is act4"):
        start(Network.of(read_config(None, {"cut_at": "act4"})), file, 0)
    start(Network.of(read_config(None, {"cut_at": "act5"})), file, 0)


def test_file_of_weights_is_refused_when_it_is_missing(tmp_path):
    with pytest.raises(UserError, match="but there is no such file"):
        check_start("none.npz", "variants.mine.start")
    check_start("random", "variants.random.start")


def test_file_of_a_backbone_names_its_network_and_its_weights(tiny_backbone, tmp_path):
    own, known = str(tmp_path / "own.keras"), str(tmp_path / "known.keras")
    backbones.save(tiny_backbone(), own)
    backbones.save(tiny_backbone(name="mobilenet"), known)
    assert start_settings(own, None) == {"backbone": None, "weights": own}
    assert start_settings(known, None) == {"backbone": "MobileNet", "weights": known}
    assert start_settings(None, known) == {"backbone": "MobileNet", "weights": known}
    with pytest.raises(UserError, match="which holds MobileNet, but --backbone is ResNet50"):
        start_settings("ResNet50", known)
    assert start_settings("mobilenet", "imagenet") == {"backbone": "mobilenet", "weights": "imagenet"}
    assert start_settings(None, None) == {"backbone": None, "weights": None}


def test_pages_name_a_file_by_its_folder_and_name():
    assert [short_name(each) for each in ("random", "imagenet", "w.h5")] == ["random", "imagenet", "w.h5"]
    assert short_name("/home/me/runs/voc/backbone.keras") == "voc/backbone.keras"
    assert "/home" not in seen("/home/me/runs/voc/backbone.keras")
