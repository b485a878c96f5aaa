"""Servables: trained models as SavedModels that take images and return answers."""

from kerassl.serving.export import export

__all__ = ["export"]
