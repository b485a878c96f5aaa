"""A servable run by TensorFlow's C library, without TensorFlow's Python."""

from __future__ import annotations

import ctypes
import importlib.util
import os
import pathlib
from typing import Any

import numpy as np

from kerassl._errors import UserError
from kerassl._io.arrays import reason
from kerassl.serving.signatures import signatures, xla_functions

_DTYPES = {1: "float32", 2: "float64", 3: "int32", 4: "uint8", 9: "int64", 10: "bool"}
_STRING, _STRING_BYTES = 7, 24  # the bytes of a TF_TString


class _Output(ctypes.Structure):
    _fields_ = [("operation", ctypes.c_void_p), ("index", ctypes.c_int)]


class _Buffer(ctypes.Structure):
    _fields_ = [("data", ctypes.c_void_p), ("length", ctypes.c_size_t), ("deallocator", ctypes.c_void_p)]


_POINTER, _SIZE, _INT = ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int
_FUNCTIONS: dict[str, list] = {  # the result, then the arguments
    "TF_Version": [ctypes.c_char_p],
    "TF_NewStatus": [_POINTER],
    "TF_GetCode": [_INT, _POINTER],
    "TF_Message": [ctypes.c_char_p, _POINTER],
    "TF_DeleteStatus": [None, _POINTER],
    "TF_NewSessionOptions": [_POINTER],
    "TF_DeleteSessionOptions": [None, _POINTER],
    "TF_NewGraph": [_POINTER],
    "TF_DeleteGraph": [None, _POINTER],
    "TF_NewBuffer": [ctypes.POINTER(_Buffer)],
    "TF_DeleteBuffer": [None, ctypes.POINTER(_Buffer)],
    "TF_LoadSessionFromSavedModel": [
        _POINTER, _POINTER, _POINTER, ctypes.c_char_p, ctypes.POINTER(ctypes.c_char_p), _INT, _POINTER,
        ctypes.POINTER(_Buffer), _POINTER,
    ],
    "TF_CloseSession": [None, _POINTER, _POINTER],
    "TF_DeleteSession": [None, _POINTER, _POINTER],
    "TF_GraphOperationByName": [_POINTER, _POINTER, ctypes.c_char_p],
    "TF_SessionRun": [
        None, _POINTER, _POINTER, ctypes.POINTER(_Output), ctypes.POINTER(_POINTER), _INT, ctypes.POINTER(_Output),
        ctypes.POINTER(_POINTER), _INT, _POINTER, _INT, _POINTER, _POINTER,
    ],
    "TF_AllocateTensor": [_POINTER, _INT, ctypes.POINTER(ctypes.c_int64), _INT, _SIZE],
    "TF_DeleteTensor": [None, _POINTER],
    "TF_TensorData": [_POINTER, _POINTER],
    "TF_TensorType": [_INT, _POINTER],
    "TF_NumDims": [_INT, _POINTER],
    "TF_Dim": [ctypes.c_int64, _POINTER, _INT],
    "TF_StringInit": [None, _POINTER],
    "TF_StringCopy": [None, _POINTER, ctypes.c_char_p, _SIZE],
    "TF_StringGetDataPointer": [_POINTER, _POINTER],
    "TF_StringGetSize": [_SIZE, _POINTER],
    "TF_StringDealloc": [None, _POINTER],
}  # fmt: skip


def library_path() -> pathlib.Path:
    """Find the C library of the installed TensorFlow without importing it."""
    spec = importlib.util.find_spec("tensorflow")
    if spec is None or not spec.origin:
        raise UserError("TensorFlow is not installed; pip install tensorflow, whose C library runs the servable")
    folder = pathlib.Path(spec.origin).parent
    for pattern in ("libtensorflow_cc.so*", "libtensorflow_cc*.dylib"):
        for path in sorted(folder.glob(pattern)):
            return path
    raise UserError(f"{folder} holds no libtensorflow_cc, which checks run servables by; use Linux or macOS")


def load_library(path: str | os.PathLike | None = None) -> ctypes.CDLL:
    """Load the C library, by default that of `library_path`, and declare its functions' types."""
    path = path or library_path()
    try:
        library = ctypes.CDLL(str(path))
        for name, (result, *arguments) in _FUNCTIONS.items():
            function = getattr(library, name)
            function.restype, function.argtypes = result, arguments
    except (OSError, AttributeError) as error:
        raise UserError(f"{path} is no C library of TensorFlow that loads ({reason(error)})") from error
    return library


class CServable:
    """A SavedModel in a session of TensorFlow's C library.

    Args:
        path: str or `pathlib.Path` of a version's folder.
        library: what `load_library` returned, or None.

    Attributes:
        signatures: dict from name to inputs and outputs, as `signatures.signatures` gives them.
        xla_functions: list of str, the functions that only XLA can run.

    Raises:
        UserError: if the folder holds no SavedModel that opens.

    Example:
        >>> servable = CServable("servables/voc/1")
        >>> servable.run("serve_bytes", image_bytes=[open("photo.jpg", "rb").read()])["scores"]
    """

    def __init__(self, path: str | os.PathLike, library: ctypes.CDLL | None = None) -> None:
        self._c = library or load_library()
        self._status = self._c.TF_NewStatus()
        self._graph = self._c.TF_NewGraph()
        options, about = self._c.TF_NewSessionOptions(), self._c.TF_NewBuffer()
        tags = (ctypes.c_char_p * 1)(b"serve")
        self._session = self._c.TF_LoadSessionFromSavedModel(
            options, None, str(path).encode(), tags, 1, self._graph, about, self._status
        )
        self._c.TF_DeleteSessionOptions(options)
        meta_graph = ctypes.string_at(about.contents.data, about.contents.length) if about.contents.data else b""
        self._c.TF_DeleteBuffer(about)
        trouble = self._trouble()
        if trouble:
            raise UserError(f"{path} holds no SavedModel that TensorFlow loads ({trouble})")
        self.signatures = {name: both for name, both in signatures(meta_graph).items() if both[0]}
        self.xla_functions = xla_functions(meta_graph)

    def run(self, signature: str, **inputs: Any) -> dict[str, np.ndarray]:
        """Answer one request.

        Args:
            signature: Name of the signature.
            **inputs: Arrays by name; of strings, lists or arrays of bytes objects.

        Returns:
            Dict from name to array; strings are arrays of bytes objects.
        """
        if signature not in self.signatures:
            raise UserError(f"there is no signature {signature!r}; there are {', '.join(self.signatures)}")
        takes, gives = self.signatures[signature]
        if set(inputs) != set(takes):
            raise UserError(f"{signature} takes {', '.join(sorted(takes))}, not {', '.join(sorted(inputs))}")
        fed = [self._tensor(inputs[name], value.dtype) for name, value in takes.items()]
        answers = (_POINTER * len(gives))()
        self._c.TF_SessionRun(
            self._session, None, self._outputs(takes), (_POINTER * len(fed))(*fed), len(fed), self._outputs(gives),
            answers, len(gives), None, 0, None, self._status,
        )  # fmt: skip
        for tensor, value in zip(fed, takes.values()):
            self._delete(tensor, value.dtype)
        trouble = self._trouble()
        if trouble:
            raise RuntimeError(f"{signature} failed: {trouble}")
        found = {name: self._array(tensor) for name, tensor in zip(gives, answers)}
        for tensor in answers:
            self._c.TF_DeleteTensor(tensor)
        return found

    def close(self) -> None:
        """Free the session and its graph."""
        if self._session:
            self._c.TF_CloseSession(self._session, self._status)
            self._c.TF_DeleteSession(self._session, self._status)
        self._c.TF_DeleteGraph(self._graph)
        self._c.TF_DeleteStatus(self._status)
        self._session = None

    def _trouble(self):
        if not self._c.TF_GetCode(self._status):
            return ""
        lines = self._c.TF_Message(self._status).decode(errors="replace").splitlines()
        return lines[0][:300] if lines else "no reason given"

    def _outputs(self, values):
        places = []
        for value in values.values():
            name, _, index = value.tensor.rpartition(":")
            operation = self._c.TF_GraphOperationByName(self._graph, name.encode())
            if not operation:
                raise RuntimeError(f"the graph has no {value.tensor}")
            places.append(_Output(operation, int(index)))
        return (_Output * len(places))(*places)

    def _tensor(self, value, dtype):
        array = np.asarray(value, object) if dtype == _STRING else np.ascontiguousarray(value, _DTYPES[dtype])
        sides = (ctypes.c_int64 * array.ndim)(*array.shape)
        size = array.size * _STRING_BYTES if dtype == _STRING else array.nbytes
        tensor = self._c.TF_AllocateTensor(dtype, sides, array.ndim, size)
        data = self._c.TF_TensorData(tensor)
        if dtype == _STRING:
            for number, each in enumerate(array.ravel()):
                place = data + number * _STRING_BYTES
                self._c.TF_StringInit(place)
                self._c.TF_StringCopy(place, each, len(each))
        elif size:
            ctypes.memmove(data, array.ctypes.data, size)
        return tensor

    def _delete(self, tensor, dtype):
        if dtype == _STRING:
            data, count = self._c.TF_TensorData(tensor), int(np.prod(self._shape(tensor), dtype=np.int64))
            for number in range(count):
                self._c.TF_StringDealloc(data + number * _STRING_BYTES)
        self._c.TF_DeleteTensor(tensor)

    def _shape(self, tensor):
        return [self._c.TF_Dim(tensor, axis) for axis in range(self._c.TF_NumDims(tensor))]

    def _array(self, tensor):
        shape, dtype = self._shape(tensor), self._c.TF_TensorType(tensor)
        data, size = self._c.TF_TensorData(tensor), int(np.prod(shape, dtype=np.int64))
        if dtype != _STRING:
            kind = np.dtype(_DTYPES[dtype])
            whole = ctypes.string_at(data, size * kind.itemsize) if size else b""
            return np.frombuffer(whole, kind).reshape(shape).copy()
        strings = np.empty(size, object)
        for number in range(size):
            place = data + number * _STRING_BYTES
            length = self._c.TF_StringGetSize(place)
            strings[number] = ctypes.string_at(self._c.TF_StringGetDataPointer(place), length) if length else b""
        return strings.reshape(shape)
