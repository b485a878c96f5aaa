"""Common to all figures of matplotlib."""

from __future__ import annotations

from typing import Any

_MOST = 20_000  # pixels a side: matplotlib draws less than 65,536, and few programs open as many


def fitting_dpi(figure: Any, dpi: float) -> float:
    """Return the dots per inch at which a figure is drawn, fewer where it would become too large to be opened.

    Args:
        dpi: float. What is wanted.
    """
    return min(dpi, _MOST / max(figure.get_size_inches()))
