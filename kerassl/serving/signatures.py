"""Signatures of a SavedModel, read from its protocol buffers without TensorFlow.

Of the wire format this needs: each field is a key, `8 * number + kind`, and a value; kind 0 is a whole number of seven
bits a byte, kind 2 a length and that many bytes, kinds 1 and 5 are eight and four bytes.
"""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True)
class Value:
    """A signature's input or output.

    Attributes:
        tensor: str, its place in the graph, as `"serve_bytes_image_bytes:0"`.
        dtype: int of TensorFlow's `DataType`.
        shape: tuple of int, with None where the size is free; None where the rank is.
    """

    tensor: str
    dtype: int
    shape: tuple | None


def signatures(meta_graph: bytes) -> dict[str, tuple[dict[str, Value], dict[str, Value]]]:
    """Read the signatures of a `MetaGraphDef`: by name their inputs and outputs, each by name."""
    found = {}
    for name, body in _map(meta_graph, 5):
        inputs, outputs = ({key: _value(info) for key, info in _map(body, part)} for part in (1, 2))
        found[name] = inputs, outputs
    return found


def xla_functions(meta_graph: bytes) -> list[str]:
    """List the functions of a `MetaGraphDef` that only XLA can run, marked `_XlaMustCompile`."""
    found = []
    for graph in _all(meta_graph, 2):
        for library in _all(graph, 2):
            for function in _all(library, 1):
                marks = dict(_map(function, 5))
                if _first(marks.get("_XlaMustCompile", b""), 5, 0):  # AttrValue.b
                    name = _first(_first(function, 1, b""), 1, b"")  # OpDef.name
                    found.append(bytes(name).decode())
    return found


def _value(info):
    shape = _first(info, 3, None)
    sizes = None
    if shape is not None and not _first(shape, 3, 0):
        sizes = tuple(_size(_first(dimension, 1, 0)) for dimension in _all(shape, 2))
    return Value(bytes(_first(info, 1, b"")).decode(), _first(info, 2, 0), sizes)


def _size(number):
    return None if number >= 1 << 63 else number  # -1, as it is written: free


def _map(data, number):
    """A map's entries, each a message of key and value."""
    return [(bytes(_first(entry, 1, b"")).decode(), _first(entry, 2, b"")) for entry in _all(data, number)]


def _first(data, number, default):
    return next(iter(_all(data, number)), default)


def _all(data, number):
    return [value for field, value in _fields(memoryview(data)) if field == number]


def _fields(data):
    place = 0
    while place < len(data):
        key, place = _varint(data, place)
        kind = key & 7
        if kind == 0:
            value, place = _varint(data, place)
        else:
            length, place = _varint(data, place) if kind == 2 else ({1: 8, 5: 4}[kind], place)
            value, place = data[place : place + length], place + length
        yield key >> 3, value


def _varint(data, place):
    number = shift = 0
    while True:
        byte = data[place]
        number |= (byte & 127) << shift
        place, shift = place + 1, shift + 7
        if byte < 128:
            return number, place
