"""The example client, against small servers over HTTP and gRPC that answer by a servable's own signatures."""

import base64
import concurrent.futures
import http.server
import importlib.util
import io
import json
import pathlib
import threading

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

pytestmark = pytest.mark.current_stack  # the client has nothing of Keras; the servables' tests run on both

ROOT = pathlib.Path(__file__).parents[2]
spec = importlib.util.spec_from_file_location("serve_client", ROOT / "examples" / "serve_client.py")
client = importlib.util.module_from_spec(spec)
spec.loader.exec_module(client)


@pytest.fixture(scope="module")
def answers(vivid_detector, signatures):
    return signatures(vivid_detector[1])


@pytest.fixture(scope="module")
def files():
    found = []
    for number, form in enumerate(("JPEG", "PNG")):
        pixels = np.random.default_rng(number).integers(0, 255, (40 + 9 * number, 60, 3), "uint8")
        file = io.BytesIO()
        Image.fromarray(pixels).save(file, form)
        found.append(file.getvalue())
    return [*found, b"no image"]


@pytest.fixture
def paths(files, tmp_path):
    for number, file in enumerate(files):
        (tmp_path / f"{number}.img").write_bytes(file)
    return [str(tmp_path / f"{number}.img") for number in range(len(files))]


@pytest.fixture(scope="module")
def expected(answers, files):
    answer = answers["serve_bytes"](image_bytes=tf.constant(files))
    return {name: value.numpy() for name, value in answer.items()}


def rows_to_tensors(body):
    """TensorFlow Serving's row format, as its public REST documentation has it: named values a row, b64 decoded."""
    columns = {}
    for row in body["instances"]:
        for name, value in row.items():
            columns.setdefault(name, []).append(base64.b64decode(value["b64"]) if isinstance(value, dict) else value)
    return {name: tf.constant(values) for name, values in columns.items()}


class Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        assert self.path == "/v1/models/voc:predict"
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        answer = self.server.signatures[body["signature_name"]](**rows_to_tensors(body))
        rows = []
        for row in range(len(body["instances"])):
            values = {name: value[row].numpy() for name, value in answer.items()}
            rows.append({name: value.tolist() for name, value in values.items()})
        text = json.dumps({"predictions": rows}, default=bytes.decode)
        self.send_response(200)
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *_):
        pass


@pytest.fixture
def rest_server(answers):
    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
        server.signatures = answers
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


@pytest.fixture
def grpc_server(answers):
    pytest.importorskip("tensorflow_serving.apis")
    import grpc
    from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

    class Service(prediction_service_pb2_grpc.PredictionServiceServicer):
        def Predict(self, request, context):
            assert request.model_spec.name == "voc"
            inputs = {name: tf.constant(tf.make_ndarray(value)) for name, value in request.inputs.items()}
            answer = predict_pb2.PredictResponse()
            for name, value in answers[request.model_spec.signature_name](**inputs).items():
                answer.outputs[name].CopyFrom(tf.make_tensor_proto(value.numpy()))
            return answer

    server = grpc.server(concurrent.futures.ThreadPoolExecutor(1))
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(Service(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield f"127.0.0.1:{port}"
    server.stop(None).wait()


def same(answers, expected):
    assert len(answers) == len(expected["valid"])
    assert [answer["valid"] for answer in answers] == [True, True, False]
    for row, answer in enumerate(answers):
        assert set(answer) == set(expected)
        for name in ("boxes", "scores", "classes", "num_detections"):
            np.testing.assert_allclose(answer[name], expected[name][row], rtol=1e-6)
    assert answers[0]["num_detections"] > 5


def test_rest_gives_what_the_signature_gives(rest_server, files, paths, expected, capsys):
    answers = client.ask_rest(rest_server, "voc", files)
    same(answers, expected)
    assert answers[0]["class_names"][0] == expected["class_names"][0, 0].decode()
    client.main([*paths, "--rest", rest_server, "--score", "0"])
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == expected["num_detections"].sum() + 1
    assert lines[-1] == f"{paths[-1]}: cannot be decoded, or is too large"


def test_grpc_gives_what_the_signature_gives(grpc_server, files, paths, expected, capsys):
    same(client.ask_grpc(grpc_server, "voc", files), expected)
    client.main([*paths, "--grpc", grpc_server, "--score", "0"])
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == expected["num_detections"].sum() + 1
    label = expected["class_names"][0, 0].decode()
    assert lines[0].startswith(f"{paths[0]}: {label} {expected['scores'][0, 0]:.2f} at (")
