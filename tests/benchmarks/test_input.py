import pytest

from benchmarks import input_rows
from kerassl import _compat

pytestmark = pytest.mark.skipif(not _compat.KERAS_3, reason="the benchmark measures the current stack")


@pytest.mark.parametrize(("size", "read"), [(32, 64), (96, 128), (128, 160), (224, 288)])
def test_images_are_read_a_quarter_larger_in_a_size_that_kerassl_takes(size, read):
    assert input_rows.read_size(size) == read
