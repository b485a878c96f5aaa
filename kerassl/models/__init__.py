"""Models that learn a backbone from views: SimCLR, dense contrast, feature distillation, and a classifier of views."""

from typing import TYPE_CHECKING

from kerassl._lazy import lazy_package

if TYPE_CHECKING:
    from kerassl.models.dense_simclr import DenseSimCLR as DenseSimCLR
    from kerassl.models.feature_distillation import FeatureDistillation as FeatureDistillation
    from kerassl.models.projection import projection_head as projection_head
    from kerassl.models.simclr import SimCLR as SimCLR
    from kerassl.models.teachers import open_teacher as open_teacher
    from kerassl.models.teachers import teacher_map as teacher_map
    from kerassl.models.view_classifier import ViewClassifier as ViewClassifier

__all__ = lazy_package(__name__)
