"""Feature spaces: geometry, topology, neighbors, and what a linear map reads from them."""

from typing import TYPE_CHECKING

from kerassl._lazy import lazy_package

if TYPE_CHECKING:
    from kerassl.features.alignment_uniformity import alignment as alignment
    from kerassl.features.alignment_uniformity import uniformity as uniformity
    from kerassl.features.cka import cka_matrix as cka_matrix
    from kerassl.features.cka import linear_cka as linear_cka
    from kerassl.features.geometry import FeatureGeometry as FeatureGeometry
    from kerassl.features.geometry import LevelGeometry as LevelGeometry
    from kerassl.features.geometry import ModelGeometry as ModelGeometry
    from kerassl.features.geometry import feature_geometry as feature_geometry
    from kerassl.features.intrinsic_dimension import intrinsic_dimension as intrinsic_dimension
    from kerassl.features.linear_readout import linear_readout as linear_readout
    from kerassl.features.neighbor_overlap import neighbor_overlap as neighbor_overlap
    from kerassl.features.persistent_homology import Homology as Homology
    from kerassl.features.persistent_homology import persistent_homology as persistent_homology
    from kerassl.features.separability import knn_accuracy as knn_accuracy
    from kerassl.features.separability import scatter_ratio as scatter_ratio
    from kerassl.features.spectrum import covariance_spectrum as covariance_spectrum
    from kerassl.features.spectrum import effective_rank as effective_rank
    from kerassl.features.spectrum import power_law_exponent as power_law_exponent
    from kerassl.features.view_invariance import view_invariance as view_invariance

__all__ = lazy_package(__name__)
