import pytest

from benchmarks import input_rows

pytestmark = pytest.mark.current_stack


@pytest.mark.parametrize(("size", "read"), [(32, 64), (96, 128), (128, 160), (224, 288)])
def test_images_are_read_a_quarter_larger_in_a_size_that_kerassl_takes(size, read):
    assert input_rows.read_size(size) == read
