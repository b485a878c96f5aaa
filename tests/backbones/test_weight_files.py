"""Files of weights as Keras writes them, of either version, whole or not at all."""

import http.server
import json
import threading
import zipfile

import h5py
import keras
import numpy as np
import pytest

from kerassl import UserError, _compat, backbones
from kerassl.backbones import published
from kerassl.backbones import weights as backbone_weights
from kerassl.backbones.families import Family

FORMATS = (".weights.h5", ".h5", ".keras")


def written(model, path):
    """Write a model, or its weights, as the suffix says; as Keras 2.15 writes its older form, too."""
    if path.name.endswith(".weights.h5"):
        model.save_weights(path)
    else:
        model.save(path)
    return path


@pytest.fixture(scope="module", params=[False, True], ids=["headless", "with-top"])
def stock(request):
    keras.layers.Conv2D(1, 1)  # so that layers without names have other numbers than in a new process
    shape = (224, 224, 3) if request.param else (None, None, 3)
    return keras.applications.MobileNet(include_top=request.param, weights=None, input_shape=shape)


@pytest.mark.parametrize("suffix", FORMATS)
@pytest.mark.filterwarnings("ignore:You are saving")
def test_weights_are_equal_when_a_file_that_keras_wrote_is_read(tmp_path, stock, suffix):
    path = written(stock, tmp_path / f"mobilenet{suffix}")
    found = backbone_weights.table(backbones.build("MobileNet", weights=path))
    expected = backbone_weights.table(stock)
    assert len(found) == 135
    for name, array in found.items():
        np.testing.assert_array_equal(array, expected[name])


def test_weights_are_equal_when_keras_writes_those_of_the_fast_layers(tmp_path):
    cut = backbones.build("MobileNet", cut_at="conv_pw_12_relu")
    path = written(cut, tmp_path / "cut.weights.h5")
    found = backbones.build("MobileNet", weights=path, cut_at="conv_pw_12_relu")
    assert backbone_weights.checksum(backbone_weights.table(found)) == backbone_weights.checksum(
        backbone_weights.table(cut)
    )


def test_classifier_of_ones_own_is_left_out_when_its_backbone_is_a_model_in_it(tmp_path):
    inner = keras.applications.MobileNet(include_top=False, weights=None, input_shape=(64, 64, 3))
    layers = [
        keras.Input((64, 64, 3)),
        inner,
        keras.layers.GlobalAveragePooling2D(),
        keras.layers.Dense(3, name="mine"),
    ]
    path = written(keras.Sequential(layers), tmp_path / "classifier.keras")
    found = backbone_weights.table(backbones.build("MobileNet", weights=path))
    np.testing.assert_array_equal(found["conv_pw_13/kernel"], backbone_weights.table(inner)["conv_pw_13/kernel"])


@pytest.mark.current_stack
def test_layers_are_matched_in_order_when_their_names_are_others(tmp_path):
    backbone = backbones.build("MobileNet")
    table = {f"a_{name}": array for name, array in backbone_weights.table(backbone).items()}
    np.savez(tmp_path / "renamed.npz", **table)
    found = backbone_weights.table(backbones.build("MobileNet", weights=tmp_path / "renamed.npz"))
    np.testing.assert_array_equal(found["conv_pw_13/kernel"], table["a_conv_pw_13/kernel"])


def elsewhere(path):
    with h5py.File(path.with_name("other.h5"), "w") as file:
        file["secret"] = np.zeros(3)
    with h5py.File(path, "w") as file:
        file["conv1/conv1/kernel:0"] = h5py.ExternalLink("other.h5", "secret")
        file["conv1/conv1/bias:0"] = np.zeros(3)
        file["conv1"].attrs["weight_names"] = [b"conv1/kernel:0"]
        file.attrs["layer_names"] = [b"conv1"]


def immense(path):
    with h5py.File(path, "w") as file:
        file.create_dataset("layers/conv2d/vars/0", (2**20, 2**20), "float32", chunks=(1024, 1024))


def text(path):
    with h5py.File(path, "w") as file:
        file["layers/conv2d/vars/0"] = "code"


def of_a_lambda(path):
    layer = {"class_name": "Lambda", "config": {"name": "mine", "function": {"class_name": "__lambda__"}}}
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("config.json", json.dumps({"class_name": "Functional", "config": {"layers": [layer]}}))
        with h5py.File(path.with_suffix(".h5"), "w") as file:
            file["layers/lambda/vars/0"] = np.zeros(3)
        archive.write(path.with_suffix(".h5"), "model.weights.h5")


def of_another_network(path):
    with h5py.File(path, "w") as file:
        file["layers/conv2d/vars/0"] = np.zeros((3, 3, 3, 8))
        file["layers/mystery/vars/0"] = np.zeros((3, 3))


@pytest.mark.current_stack
@pytest.mark.parametrize(
    ("write", "name", "message"),
    [
        (elsewhere, "file.h5", "is in another file"),
        (immense, "file.weights.h5", "would unpack to"),
        (text, "file.weights.h5", "no array of numbers"),
        (of_a_lambda, "file.keras", "does not fit"),
        (of_another_network, "file.weights.h5", "does not fit"),
        (lambda path: path.write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(100)), "file.h5", "is damaged"),
    ],
    ids=["link", "bomb", "text", "lambda", "other", "damaged"],
)
def test_file_of_weights_is_refused_in_one_line_when_it_is_not_safe_or_does_not_fit(tmp_path, write, name, message):
    write(tmp_path / name)
    with pytest.raises(UserError, match=message) as caught:
        backbones.build("MobileNet", weights=tmp_path / name)
    assert "\n" not in str(caught.value)


def test_imagenet_file_is_read_when_it_is_where_keras_keeps_it(tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    stock = keras.applications.MobileNet(include_top=False, weights=None, input_shape=(None, None, 3))
    (tmp_path / "models").mkdir()
    path = tmp_path / "models" / "mobilenet_1_0_224_tf_no_top.h5"
    if _compat.KERAS_3:
        stock.save(path)
    else:
        stock.save_weights(path)
    found = backbone_weights.table(backbones.build("MobileNet", weights="imagenet"))
    np.testing.assert_array_equal(found["conv1/kernel"], backbone_weights.table(stock)["conv1/kernel"])


@pytest.fixture
def site(tmp_path, monkeypatch):
    """`site(sent)`: Keras's site, which announces 1000 bytes and sends so many; `site.asked` has the requests."""
    asked = []

    def start(sent):
        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                asked.append(self.path)
                self.send_response(200)
                self.send_header("Content-Length", "1000")
                self.end_headers()
                self.wfile.write(bytes(sent))

            def log_message(self, *_):
                pass

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        family = Family("MobileNet", "tf", f"http://127.0.0.1:{server.server_port}/net.h5")
        monkeypatch.setattr(published, "find", lambda name: family)
        servers.append(server)

    servers, start.asked = [], asked
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def test_imagenet_file_is_downloaded_once_and_whole(tmp_path, site):
    site(sent=500)
    with pytest.raises(UserError, match="ended after 500 of 1000 bytes"):
        published.imagenet_file("MobileNet")
    assert not list(tmp_path.iterdir())
    site(sent=1000)
    for _ in range(2):
        assert published.imagenet_file("MobileNet").read_bytes() == bytes(1000)
    assert site.asked == ["/net.h5"] * 2


@pytest.mark.parametrize("name", ["InceptionV3", "nasnetmobile", "RegNetX002"])
def test_network_that_cannot_be_a_backbone_is_refused_with_the_reason(name):
    with pytest.raises(UserError, match="cannot be a backbone: ") as caught:
        backbones.build(name)
    assert "\n" not in str(caught.value)
