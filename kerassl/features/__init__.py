"""Feature spaces: geometry, topology, neighbors, and what a linear map reads from them."""

from kerassl._lazy import lazy_package

__all__ = lazy_package(
    __name__,
    {
        "alignment_uniformity": ["alignment", "uniformity"],
        "cka": ["cka_matrix", "linear_cka"],
        "geometry": ["geometry"],
        "intrinsic_dimension": ["intrinsic_dimension"],
        "linear_readout": ["linear_readout"],
        "neighbor_overlap": ["neighbour_overlap"],
        "persistent_homology": ["persistent_homology"],
        "separability": ["knn_accuracy", "scatter_ratio"],
        "spectrum": ["covariance_spectrum", "effective_rank", "power_law_exponent"],
        "view_invariance": ["view_invariance"],
    },
)
