"""Send image files to a TensorFlow Serving server, over REST or gRPC.

python examples/serve_client.py photo.jpg other.png --model voc --rest http://localhost:8501
python examples/serve_client.py photo.jpg other.png --model voc --grpc localhost:8500    # with kerassl[serving]
"""

import argparse
import base64
import json
import pathlib
import urllib.request


def rest_body(files, signature="serve_bytes"):
    """Return the JSON of a REST request, one row per image; the server decodes the base64 of `b64`."""
    rows = [{"image_bytes": {"b64": base64.b64encode(file).decode()}} for file in files]
    return json.dumps({"signature_name": signature, "instances": rows})


def ask_rest(server, model, files):
    """Return a dict for each image, from output name to lists and numbers."""
    url = f"{server}/v1/models/{model}:predict"
    request = urllib.request.Request(url, rest_body(files).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.load(answer)["predictions"]


def grpc_request(model, files, signature="serve_bytes"):
    """Return the same request as a `PredictRequest`."""
    import tensorflow as tf
    from tensorflow_serving.apis import predict_pb2

    request = predict_pb2.PredictRequest()
    request.model_spec.name = model
    request.model_spec.signature_name = signature
    request.inputs["image_bytes"].CopyFrom(tf.make_tensor_proto(files, tf.string, [len(files)]))
    return request


def ask_grpc(server, model, files):
    """Return the same as `ask_rest`; strings are bytes."""
    import grpc
    import tensorflow as tf
    from tensorflow_serving.apis import prediction_service_pb2_grpc

    with grpc.insecure_channel(server) as channel:
        stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
        answer = stub.Predict(grpc_request(model, files), timeout=60)
    arrays = {name: tf.make_ndarray(value) for name, value in answer.outputs.items()}
    return [{name: value[row].tolist() for name, value in arrays.items()} for row in range(len(files))]


def describe(name, answer, least):
    """Return lines that describe the detections in one image."""
    if not answer["valid"]:
        return [f"{name}: cannot be decoded, or is too large"]
    lines = []
    for place in range(answer["num_detections"]):
        label, score = answer["class_names"][place], answer["scores"][place]
        if score >= least:
            label = label.decode() if isinstance(label, bytes) else label
            corners = ", ".join(f"{corner:.0f}" for corner in answer["boxes"][place])
            lines.append(f"{name}: {label} {score:.2f} at ({corners})")
    return lines or [f"{name}: nothing"]


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("images", nargs="+", metavar="FILE", help="JPEG or PNG")
    parser.add_argument("--model", default="voc", help="name of the detector on the server")
    parser.add_argument("--score", type=float, default=0.3, help="lowest score to print (default 0.3)")
    server = parser.add_mutually_exclusive_group(required=True)
    server.add_argument("--rest", metavar="URL")
    server.add_argument("--grpc", metavar="HOST:PORT")
    options = parser.parse_args(arguments)
    files = [pathlib.Path(name).read_bytes() for name in options.images]
    if options.rest:
        answers = ask_rest(options.rest.rstrip("/"), options.model, files)
    else:
        answers = ask_grpc(options.grpc, options.model, files)
    for name, answer in zip(options.images, answers):
        print("\n".join(describe(name, answer, options.score)))


if __name__ == "__main__":
    main()
