"""Functions of the same arguments as the commands that train nothing."""

from typing import TYPE_CHECKING

from kerassl._lazy import lazy_package

if TYPE_CHECKING:
    from kerassl.tasks.audit import audit as audit
    from kerassl.tasks.convert import convert as convert
    from kerassl.tasks.embed import Embeddings as Embeddings
    from kerassl.tasks.embed import embed as embed
    from kerassl.tasks.evaluate import evaluate as evaluate
    from kerassl.tasks.explain import explain_models as explain_models
    from kerassl.tasks.export import export as export
    from kerassl.tasks.features import DescribedFeatures as DescribedFeatures
    from kerassl.tasks.features import describe_features as describe_features
    from kerassl.tasks.inspect import Inspection as Inspection
    from kerassl.tasks.inspect import inspect as inspect
    from kerassl.tasks.label import WrittenLabels as WrittenLabels
    from kerassl.tasks.label import label as label
    from kerassl.tasks.predict import predict as predict
    from kerassl.tasks.scenes import scenes as scenes
    from kerassl.tasks.shards import shards as shards
    from kerassl.tasks.views import views as views

__all__ = lazy_package(__name__)
