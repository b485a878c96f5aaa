"""The check of servables without Python TensorFlow, and that it sees what is wrong."""

import json
import shutil

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.protobuf import meta_graph_pb2, saved_model_pb2

from kerassl import serving
from kerassl._display import printable
from kerassl._errors import UserError
from kerassl.cli.main import main
from kerassl.serving import c_check, checking
from kerassl.serving.comparing import differences
from kerassl.serving.recorded import NAME, read_requests, write_requests
from kerassl.serving.signatures import signatures, xla_functions


@pytest.fixture(scope="module")
def servable(vivid_detector):
    return vivid_detector[1]


@pytest.fixture
def copy(servable, tmp_path):
    return shutil.copytree(servable, tmp_path / "1")


@pytest.fixture(scope="module")
def report(servable):
    return serving.check(servable, seconds=0.05)


def test_a_fresh_servable_conforms_without_python_tensorflow(report):
    assert report.faults == []
    assert report.conform
    assert not report.python_tensorflow
    assert report.tensorflow == tf.__version__
    asked = [(request.signature, request.batch) for request in report.requests]
    names = ("serving_default", "serving_uint8", "serve_bytes", "embed")
    assert asked == [(name, batch) for name in names for batch in (1, 8)]
    assert all(request.detections > 5 for request in report.requests if request.signature != "embed")
    assert all(request.latency_ms > 0 for request in report.requests)
    assert report.load_seconds > 0
    assert report.first_answer_seconds > 0


@pytest.mark.current_stack
def test_command_prints_conform_or_the_differences(vivid_localizer, report, tmp_path, monkeypatch, capsys):
    copy = shutil.copytree(vivid_localizer[1], tmp_path / "1")
    with monkeypatch.context() as patch:
        patch.setattr(serving, "check", lambda *_, **__: report)  # which takes ten seconds; the next is its own
        assert main(["check", str(copy), "--seconds", "0"]) == 0
    printed = capsys.readouterr().out
    assert printed.splitlines()[-1] == "conform"
    assert "serve_bytes: image_bytes string [?]" in printed
    path = copy / "assets.extra" / NAME
    requests = read_requests(path)
    requests[5]["outputs"]["probabilities"] += 0.01
    requests[1]["outputs"]["box"] += 1.0
    path.unlink()
    write_requests(path, requests)
    assert main(["check", str(copy), "--seconds", "0"]) == 1
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("differs: ")]
    assert lines == [
        f"differs: assets.extra/{NAME} does not have the checksum of the card",
        "differs: serving_default, batch 8: box are apart by 7.8e-03",  # of 128 pixels
        "differs: serve_bytes, batch 8: probabilities are apart by 1.0e-02",
    ]


@pytest.mark.current_stack
def test_check_reports_weights_of_another_model(vivid_localizer, tmp_path):
    copy = shutil.copytree(vivid_localizer[1], tmp_path / "1")
    file = str(copy / "variables" / "variables")
    reader = tf.train.load_checkpoint(file)
    weights = {name: reader.get_tensor(name) for name in reader.get_variable_to_shape_map()}
    for name, value in weights.items():
        if np.shape(value) == (3,):  # the bias of three classes
            weights[name] = value + np.float32([0.5, 0, 0])
    tf.raw_ops.SaveV2(
        prefix=file, tensor_names=list(weights), shape_and_slices=[""] * len(weights), tensors=list(weights.values())
    )
    report = serving.check(copy, seconds=0.0)
    assert any(fault.startswith("serving_default, batch 1: ") for fault in report.faults), report.faults
    apart = report.requests[4].apart
    assert {"box", "probabilities", "class", "valid"} <= set(apart)
    assert apart["box"] <= 1e-4 < 0.01 < apart["probabilities"]  # the weights of boxes are the same


@pytest.mark.current_stack
def test_requests_come_back_as_they_were_written(tmp_path):
    strings = np.array([[b"", b"a\0\0"], [b"\xff\xd8\0", "Vögel".encode()]], object)
    pixels = np.arange(12, dtype=np.uint8).reshape(2, 2, 3)
    request = {"signature": "a", "inputs": {"x": strings}, "outputs": {"y": pixels}, "sides": [7, 8]}
    write_requests(tmp_path / NAME, [request, request | {"signature": "b"}])
    first, second = read_requests(tmp_path / NAME)
    assert (first["signature"], second["signature"]) == ("a", "b")
    assert first["inputs"]["x"].tolist() == strings.tolist()
    np.testing.assert_array_equal(first["outputs"]["y"], pixels)
    np.testing.assert_array_equal(second["sides"], [7, 8])


@pytest.mark.current_stack
def test_signatures_are_read_as_tensorflow_reads_them(servable):
    contents = (servable / "saved_model.pb").read_bytes()
    meta_graph = saved_model_pb2.SavedModel.FromString(contents).meta_graphs[0]
    found = signatures(meta_graph.SerializeToString())
    for name in ("serving_default", "serving_uint8", "serve_bytes", "embed"):
        wanted = meta_graph.signature_def[name]
        for ours, theirs in zip(found[name], (wanted.inputs, wanted.outputs)):
            assert set(ours) == set(theirs)
            for key, value in ours.items():
                info = theirs[key]
                assert (value.tensor, value.dtype) == (info.name, info.dtype)
                if info.tensor_shape.unknown_rank:
                    assert value.shape is None
                else:
                    sizes = (None if dim.size < 0 else dim.size for dim in info.tensor_shape.dim)
                    assert value.shape == tuple(sizes)
    assert found["serve_bytes"][0]["image_bytes"].shape == (None,)
    # Equal leading dimensions, free, and all else fixed.
    assert found["serve_bytes"][1]["boxes"].shape[1:] == (100, 4)


@pytest.mark.current_stack
def test_functions_for_xla_are_found():
    meta_graph = meta_graph_pb2.MetaGraphDef()
    for name, marked in (("plain", None), ("left", False), ("compiled", True)):
        function = meta_graph.graph_def.library.function.add()
        function.signature.name = name
        function.attr["_other"].b = True
        if marked is not None:
            function.attr["_XlaMustCompile"].b = marked
    assert xla_functions(meta_graph.SerializeToString()) == ["compiled"]


def answer(scores, boxes, classes, full=3):
    """A detector's answer about one image."""
    rows = full - len(scores)
    return {
        "scores": np.array([[*scores, *[0] * rows]], np.float32),
        "boxes": np.array([[*boxes, *[[0] * 4] * rows]], np.float32),
        "classes": np.array([[*classes, *[0] * rows]], np.int32),
        "class_names": np.array([[*(b"name%d" % each for each in classes), *[b""] * rows]], object),
        "num_detections": np.array([len(scores)], np.int32),
    }


A, B = [0, 0, 10, 10], [20, 20, 40, 40]


@pytest.mark.current_stack
@pytest.mark.parametrize(
    ("found", "wanted"),
    [
        (([0.5, 0.5], [B, A], [1, 1]), {"scores": 0, "boxes": 0}),  # equal scores, the other way round
        (([0.6, 0.5], [A, B], [1, 1]), {"scores": 0.1, "boxes": 0}),
        (([0.5, 0.5], [A, [20, 20, 40, 50]], [1, 1]), {"scores": 0, "boxes": 0.1}),
        (([0.5], [A], [1]), {"scores": 0.4, "boxes": 0}),  # one is missing, which is 0.4 above the threshold
        (([0.5, 0.5], [A, B], [1, 2]), {"scores": 0.4, "boxes": 0}),  # another class
        (([0.5, 0.5, 0.3], [A, B, A], [1, 1, 0]), {"scores": 0, "boxes": 0}),  # three are full: the lowest may be spare
        (([0.5, np.nan], [A, B], [1, 1]), {"scores": np.inf, "boxes": 0}),
    ],
    ids=["swapped", "score", "box", "missing", "class", "full", "nan"],
)
def test_detections_are_compared_by_their_matches(found, wanted):
    expected = answer([0.5, 0.5], [A, B], [1, 1])
    apart = differences(answer(*found), expected, [100], 0.1)
    assert {name: apart[name] for name in wanted} == pytest.approx(wanted, abs=1e-6)
    assert apart["class_names"] == 0


@pytest.mark.current_stack
def test_difference_is_infinite_when_names_or_shapes_differ():
    expected = {"box": np.zeros([1, 4]), "class_name": np.array([b"red"], object), "class": np.array([0])}
    assert differences(expected, expected, [100]) == {"box": 0, "class_name": 0, "class": 0}
    assert differences({**expected, "class_name": np.array([b"blue"], object)}, expected, [100])["class_name"] == np.inf
    assert differences({**expected, "box": np.zeros([2, 4])}, expected, [100]) == {"box": np.inf}
    assert differences({"box": expected["box"] + 1}, {"box": expected["box"]}, [50]) == {"box": pytest.approx(0.02)}


@pytest.mark.current_stack
@pytest.mark.parametrize("fault", ["none", "no model", "no requests", "damaged requests"])
def test_check_refuses_in_one_line(copy, capsys, fault):
    expected = {"none": "there is no folder", "no model": "no saved_model.pb", "no requests": "records requests"}
    if fault == "none":
        shutil.rmtree(copy)
    elif fault == "no model":
        (copy / "saved_model.pb").unlink()
    elif fault == "no requests":
        (copy / "assets.extra" / NAME).unlink()
    else:
        (copy / "assets.extra" / NAME).write_bytes(b"no archive")
    assert main(["check", str(copy)]) == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("kerassl: ")
    assert expected.get(fault, "damaged") in lines[0]


SIDES = np.ones(1, np.float32)
LENGTHS = {"0/inputs/x": np.zeros(4, np.uint8), "0/inputs/x#lengths": np.array([-4]), "0/sides": SIDES}


@pytest.mark.current_stack
@pytest.mark.parametrize(
    "arrays",
    [
        {"1/sides": SIDES},
        {"../sides": SIDES},
        {"0/inputs/x": np.zeros([2, 3]), "0/sides": SIDES},
        {"0/sides": np.float32([np.nan])},
        {"0/outputs": SIDES, "0/sides": SIDES},
        {"0/elsewhere/x": SIDES, "0/sides": SIDES},
        {"0/inputs/x": np.array([{}]), "0/sides": SIDES},
        LENGTHS,
        {},
    ],
)
def test_recorded_requests_are_refused_in_one_line_when_they_do_not_fit(arrays, tmp_path):
    np.savez(tmp_path / NAME, signatures=np.frombuffer(b'["a"]', np.uint8), **arrays)
    with pytest.raises(UserError, match=rf"{NAME} is damaged \(.+\); export the model again") as error:
        read_requests(tmp_path / NAME)
    assert "\n" not in str(error.value)


@pytest.mark.current_stack
def test_card_is_reported_and_leads_nowhere_when_hostile(tmp_path, monkeypatch):
    extra = tmp_path / "1" / "assets.extra"
    extra.mkdir(parents=True)
    (tmp_path / "1" / "saved_model.pb").touch()
    (tmp_path / "secret").touch()
    monkeypatch.setattr(checking, "_replayed", lambda *_: {"signatures": {}, "requests": []})
    outside = "its model_card.json names {}, which is not in the folder"
    for files, message in (
        ({"../../secret": "0"}, outside.format("../../secret")),
        ({str(tmp_path / "secret"): "0"}, outside.format(str(tmp_path / "secret"))),
        ({"a\0b": "0"}, outside.format(printable("a\0b"))),
        ({"saved_model.pb": 10**400}, "saved_model.pb does not have the checksum of the card"),
        ({"none": None}, "none is missing"),
        (None, "its model_card.json is damaged: it lists no files"),
        ([1], "its model_card.json is damaged: it lists no files"),
    ):
        (extra / "model_card.json").write_text(json.dumps({"files": files, "score_threshold": 1e999}))
        assert serving.check(tmp_path / "1").faults == [message]
        assert c_check._threshold(extra / "model_card.json") == 0.0


@pytest.mark.current_stack
def test_check_refuses_a_saved_model_that_does_not_open(copy):
    whole = (copy / "saved_model.pb").read_bytes()
    (copy / "saved_model.pb").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UserError, match="holds no SavedModel that TensorFlow loads"):
        serving.check(copy)
