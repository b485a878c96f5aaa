"""Runs from a configuration: configuration, run folder and stages."""

from typing import TYPE_CHECKING

from kerassl._lazy import lazy_package

if TYPE_CHECKING:
    from kerassl.runs.audit import audit as audit
    from kerassl.runs.config import Config as Config
    from kerassl.runs.config import read_config as read_config
    from kerassl.runs.embed import Embeddings as Embeddings
    from kerassl.runs.embed import embed as embed
    from kerassl.runs.evaluate import evaluate as evaluate
    from kerassl.runs.explain import explain_models as explain_models
    from kerassl.runs.export import export as export
    from kerassl.runs.features import describe_features as describe_features
    from kerassl.runs.inspect import Inspection as Inspection
    from kerassl.runs.inspect import inspect as inspect
    from kerassl.runs.predict import predict as predict
    from kerassl.runs.run_callbacks import Clock as Clock
    from kerassl.runs.run_callbacks import StopInTime as StopInTime
    from kerassl.runs.scenes import scenes as scenes
    from kerassl.runs.shards import shards as shards
    from kerassl.runs.views import views as views

__all__ = lazy_package(__name__, light=True)
