"""Servables: trained models as SavedModels that take images and return answers."""

from typing import TYPE_CHECKING

from kerassl._lazy import lazy_package

if TYPE_CHECKING:
    from kerassl.serving.checking import CheckedRequest as CheckedRequest
    from kerassl.serving.checking import CheckedServable as CheckedServable
    from kerassl.serving.checking import check as check
    from kerassl.serving.exporting import export as export
    from kerassl.serving.tflite import export_tflite as export_tflite

__all__ = lazy_package(__name__)
