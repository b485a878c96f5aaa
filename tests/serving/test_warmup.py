"""Batching parameters and warm-up requests for a server."""

import json
import logging
import sys

import numpy as np
import pytest
import tensorflow as tf
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, text_format, wrappers_pb2
from random_models import localizer

from kerassl import serving
from kerassl._errors import UserError
from kerassl.cli.main import main

SIGNATURES = {"serving_default", "serving_uint8", "serve_bytes", "embed"}


@pytest.fixture(scope="module")
def servable(vivid_detector):
    return vivid_detector[1]


@pytest.fixture(scope="module")
def card(servable):
    return json.loads((servable / "assets.extra" / "model_card.json").read_text())


def batching_parameters():
    """TensorFlow Serving's message, by the fields of its public session_bundle_config.proto."""
    file = descriptor_pb2.FileDescriptorProto(name="parameters.proto", package="test", syntax="proto3")
    file.dependency.append(wrappers_pb2.DESCRIPTOR.name)
    message = file.message_type.add(name="BatchingParameters")
    kinds = descriptor_pb2.FieldDescriptorProto
    numbers = ("max_batch_size", "batch_timeout_micros", "max_enqueued_batches", "num_batch_threads")
    for number, name in enumerate(numbers, start=1):
        message.field.add(
            name=name, number=number, label=kinds.LABEL_OPTIONAL, type=kinds.TYPE_MESSAGE,
            type_name=".google.protobuf.Int64Value",
        )  # fmt: skip
    message.field.add(name="allowed_batch_sizes", number=6, label=kinds.LABEL_REPEATED, type=kinds.TYPE_INT64)
    message.field.add(name="pad_variable_length_inputs", number=7, label=kinds.LABEL_OPTIONAL, type=kinds.TYPE_BOOL)
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(wrappers_pb2.DESCRIPTOR.serialized_pb)
    pool.AddSerializedFile(file.SerializeToString())
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("test.BatchingParameters"))()


@pytest.mark.current_stack
def test_the_batching_file_is_what_a_server_parses(servable, card, batch_sizes):
    text = (servable / "assets.extra" / "batching.config").read_text()
    found = text_format.Parse(text, batching_parameters())
    assert tuple(found.allowed_batch_sizes) == batch_sizes == tuple(card["batch_sizes"])
    assert found.max_batch_size.value == batch_sizes[-1]  # which TensorFlow Serving insists on
    assert found.batch_timeout_micros.value > 0
    assert found.max_enqueued_batches.value >= found.num_batch_threads.value > 0
    assert not found.pad_variable_length_inputs
    assert "assets.extra/batching.config" in card["files"]


@pytest.mark.current_stack
@pytest.mark.parametrize("sizes", [(), (0, 2), (2, 2), (4, 1), (1, 2.5), 8], ids=str)
def test_export_refuses_batch_sizes_that_do_not_rise(tiny_backbone, tmp_path, sizes):
    with pytest.raises(UserError, match="give whole numbers from 1 up, rising"):
        serving.export(tiny_backbone(), tmp_path / "1", image_size=64, batch_sizes=sizes)
    assert not list(tmp_path.iterdir())


def test_every_signature_is_warmed_up_with_every_batch_size(servable, card, batch_sizes, signatures):
    logs = pytest.importorskip("tensorflow_serving.apis.prediction_log_pb2")
    file = servable / "assets.extra" / "tf_serving_warmup_requests"
    assert "assets.extra/tf_serving_warmup_requests" in card["files"]
    signatures = signatures(servable)
    asked = []
    for record in tf.data.TFRecordDataset(str(file)).as_numpy_iterator():
        log = logs.PredictionLog.FromString(record)
        assert log.WhichOneof("log_type") == "predict_log"
        request = log.predict_log.request
        assert request.model_spec.name == "voc"
        name = request.model_spec.signature_name
        inputs = {key: tf.constant(tf.make_ndarray(value)) for key, value in request.inputs.items()}
        answer = signatures[name](**inputs)
        (count,) = {value.shape[0] for value in (*inputs.values(), *answer.values())}
        asked.append((name, count))
        if name == "embed":
            assert np.ptp(answer["embeddings"]) > 0
        else:
            assert int(tf.reduce_min(answer["num_detections"])) > 0
        if name == "serve_bytes":
            assert answer["valid"].numpy().all()
    assert len(asked) == card["warmup_requests"]
    assert set(asked) == {(name, count) for name in SIGNATURES for count in batch_sizes}
    assert len(asked) == len(set(asked))


@pytest.mark.current_stack
def test_export_logs_the_missing_package_without_the_extra(tiny_backbone, tmp_path, monkeypatch, caplog):
    monkeypatch.setitem(sys.modules, "tensorflow_serving.apis", None)
    with caplog.at_level(logging.INFO, logger="kerassl"):
        path = serving.export(tiny_backbone(), tmp_path / "1", image_size=64)
    (line,) = [record.getMessage() for record in caplog.records]
    assert "pip install 'kerassl[serving]'" in line
    assert not (path / "assets.extra" / "tf_serving_warmup_requests").exists()
    assert (path / "assets.extra" / "batching.config").exists()
    assert json.loads((path / "assets.extra" / "model_card.json").read_text())["warmup_requests"] == 0


@pytest.mark.current_stack
def test_batch_sizes_of_the_command_are_those_of_the_export(tiny_backbone, tmp_path, monkeypatch, capsys):
    asked = []
    monkeypatch.setattr(serving, "export", lambda *_, batch_sizes, **__: asked.append(batch_sizes))
    localizer(tiny_backbone()).save(tmp_path / "localizer.keras")
    flags = ["export", "--model", str(tmp_path / "localizer.keras"), "--out", str(tmp_path / "1"), "--batch-sizes"]
    assert main([*flags, "2", "16"]) == 0
    assert asked == [[2, 16]]
    capsys.readouterr()
    assert main([*flags, "16", "2"]) == 2
    assert "--batch-sizes is 16 2" in capsys.readouterr().err
