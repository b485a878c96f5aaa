import numpy as np
import pytest

from kerassl.augment import SimCLRViews
from studies import colors

pytestmark = pytest.mark.current_stack


def test_views_of_both_forms_differ_by_the_published_figures():
    images = np.random.default_rng(1).uniform(0, 255, [4, 40, 40, 3]).astype(np.float32)
    both = [
        np.concatenate(SimCLRViews(128, blur=0.0, fused=fused)(images, np.array([0, 3]))[:2]) for fused in (True, False)
    ]
    np.testing.assert_allclose(
        np.abs(both[0] - both[1]), colors.differences(images, 1.0, seed=3)["tf.image"], atol=1e-3
    )
