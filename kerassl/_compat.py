"""The one file that knows which Keras it runs on: what Keras 2.15 and Keras 3 do differently, each with its reason."""

from __future__ import annotations

import contextlib
import functools
import importlib
import io
import os
import re
import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from kerassl._environment import check_environment
from kerassl._errors import UserError
from kerassl._quiet import quiet

check_environment()

# Failures are raised or fatal, and reported in any case; the rest is about how TensorFlow was built.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

with quiet():
    import keras
    import tensorflow as tf
if TYPE_CHECKING:
    import keras_cv as keras_cv

KERAS_VERSION = keras.__version__
KERAS_3 = not KERAS_VERSION.startswith("2.")

# Whether a graph of a user's model has to be traced with AutoGraph: Keras 2.15 converts the calls of layers, Keras 3
# never does. To rewrite the source code of what is traced takes seconds.
AUTOGRAPH = not KERAS_3


def __getattr__(name: str) -> Any:
    """Import `keras_cv` at first use; beside Keras 2.15 it prints which backend it uses."""
    if name != "keras_cv":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    with contextlib.nullcontext() if KERAS_3 else contextlib.redirect_stdout(io.StringIO()):
        return importlib.import_module("keras_cv")


def variable_name(layer: keras.layers.Layer, variable: Any) -> str:
    """The name of a layer's variable that both stacks give to a weight, as `kernel` or `moving_mean`.

    Keras 2.15 calls it `stem_conv/kernel:0`, Keras 3 `kernel`; a depthwise kernel is `depthwise_kernel` in Keras 2.15
    (and in every published weight file) and `kernel` in Keras 3.
    """
    name = variable.name.split("/")[-1].split(":")[0]
    if isinstance(layer, keras.layers.DepthwiseConv2D) and name == "kernel":
        return "depthwise_kernel"
    return name


def operations(model: keras.Model) -> list[tuple[Any, list, Any]]:
    """The operations of a functional model in their order, each with the symbolic tensors that it takes and returns.

    Those that are no layers, as `x + y`, are operations of their own in Keras 3, and layers in Keras 2.15.
    """
    if KERAS_3:
        nodes = [(each, each._inbound_nodes[-1]) for each in model.operations]
        return [(each, list(node.input_tensors), node.output_tensors[0]) for each, node in nodes]
    nodes = [(each, each.inbound_nodes[-1]) for each in model.layers]
    return [(each, [] if node.is_input else list(node.keras_inputs), node.outputs) for each, node in nodes]


class Loss(keras.losses.Loss):
    """A loss that reduces itself: `call` returns the scalar that is to be minimized.

    The default reduction raises inside a replica on Keras 2.15. Keras 3 casts what it is given to `dtype`; Keras 2.15
    has no such argument and casts nothing.
    """

    def __init__(self, name: str | None = None, dtype: str | None = None) -> None:
        if KERAS_3:
            super().__init__(name=name, reduction="none", dtype=dtype)
        else:
            super().__init__(name=name, reduction="none")
            self.dtype = dtype or keras.backend.floatx()


class Reopened:
    """Mixed into a model, before it: `keras.saving.load_model` returns it compiled, and training goes the same way.

    Keras leaves a model whose `compile` is its own uncompiled. Of an optimizer it does not save which variables are
    spared weight decay, and of those of tensorflow-addons on Keras 2.15 it saves no variable at all.
    """

    def compile_settings(self) -> dict | None:
        """Arguments of `compile_again`, serialized; empty or None for a model that is not compiled."""
        return super().get_compile_config()

    def compile_again(self, settings: dict) -> None:
        """Compile a model that was loaded; `settings` are those of `compile_settings`, deserialized."""
        self.compile(**settings)

    def get_compile_config(self) -> dict | None:
        settings = self.compile_settings()
        if not settings:
            return settings
        count = len(optimizer_variables(self.optimizer))
        return {**settings, "without_decay": _without_decay(self.optimizer, self.weights), "variables": count}

    def compile_from_config(self, config: dict) -> None:
        settings = dict(config)
        count = settings.pop("variables", None)
        spared = [self.weights[place] for place in settings.pop("without_decay", ())]
        settings = keras.saving.deserialize_keras_object(settings)
        if spared:
            _spare_decay(settings["optimizer"], spared)
        self.compile_again(settings)
        if count is None or count > len(optimizer_variables(self.optimizer)):
            build_optimizer(self.optimizer, self.trainable_variables)  # so that its slots can be loaded

    def save_own_variables(self, store: Any) -> None:
        super().save_own_variables(store)
        for place, variable in enumerate(self._older_optimizer()):
            store[f"optimizer_{place}"] = variable.numpy()

    def load_own_variables(self, store: Any) -> None:
        names = list(store.keys())
        own = [name for name in names if not name.startswith("optimizer_")]
        super().load_own_variables({name: store[name] for name in own})
        variables = self._older_optimizer()
        if len(variables) == len(names) - len(own):
            for place, variable in enumerate(variables):
                variable.assign(store[f"optimizer_{place}"])

    def _older_optimizer(self):
        optimizer = getattr(self, "optimizer", None)
        return optimizer_variables(optimizer) if hasattr(optimizer, "_create_all_weights") else []


def _without_decay(optimizer, variables):
    """The places of the variables that an optimizer spares weight decay."""
    optimizer = getattr(optimizer, "inner_optimizer", optimizer)
    patterns = getattr(optimizer, "exclude_from_weight_decay", None)
    if callable(patterns):
        return [place for place, each in enumerate(variables) if not optimizer._use_weight_decay(each)]
    # Those of tensorflow-addons have a list of patterns; names of variables are others in another process.
    return [place for place, each in enumerate(variables) if any(re.search(one, each.name) for one in patterns or ())]


def _spare_decay(optimizer, variables):
    optimizer = getattr(optimizer, "inner_optimizer", optimizer)
    patterns = optimizer.exclude_from_weight_decay
    if callable(patterns):
        patterns(var_list=variables)
        return
    named = [f"^{re.escape(variable.name)}$" for variable in variables]
    if getattr(optimizer, "exclude_from_layer_adaptation", None) == patterns:
        optimizer.exclude_from_layer_adaptation = named
    optimizer.exclude_from_weight_decay = named


class Model(Reopened, keras.Model):
    """A model that is built as soon as it is made.

    Under a distribution strategy Keras 3 builds a model by the mean over replicas of the first batch, which fails where
    the replicas' shares of that batch are of different sizes. Here nothing is left to build but the optimizer.
    """

    def _maybe_symbolic_build(self, iterator=None, data_batch=None):
        if self.optimizer is not None:
            with self.distribute_strategy.scope():
                build_optimizer(self.optimizer, self.trainable_variables)


class TracedOnce(Reopened):
    """Mixed into a functional model, before it: its training step is traced once, not twice.

    Keras 3 makes the optimizer's slots and the sums of losses and metrics within the first step of a model without a
    strategy, and what makes variables TensorFlow traces twice: seconds of a small network, a minute of a large one.
    """

    def symbolic_labels(self) -> Any:
        """Keras tensors with the structure and the shapes of what outputs are compared with."""
        return self.output

    def _maybe_symbolic_build(self, iterator=None, data_batch=None):
        if self._distribute_strategy is not None:
            # Keras's own way takes the mean over replicas of the first batch, which fails where shares are uneven.
            with self._distribute_strategy.scope():
                build_step(self, self.symbolic_labels())
        elif self.run_eagerly:
            super()._maybe_symbolic_build(iterator, data_batch)
        else:
            build_step(self, self.symbolic_labels())


class Optimizer(keras.optimizers.Optimizer):
    """An optimizer whose update is written once for both stacks.

    `update_step` and `add_variable_from_reference` take other arguments in Keras 3 than in Keras 2.15, the learning
    rate is handed over in one and built in the other. Subclasses list their `slot_names` and write
    `update(gradient, variable, learning_rate, *slots)` in terms of `tf.Variable.assign`.
    """

    slot_names: tuple[str, ...] = ()

    def __init__(self, learning_rate: Any, name: str, **kwargs: Any) -> None:
        if KERAS_3:
            super().__init__(learning_rate=learning_rate, name=name, **kwargs)
        else:
            super().__init__(name=name, **kwargs)
            self._learning_rate = self._build_learning_rate(learning_rate)

    def build(self, variables: Sequence) -> None:
        # Once: Keras 2.15 builds at every trace, of the variables that are trained then, which may be fewer than at
        # first, and would count the slots again.
        if hasattr(self, "_slots"):
            return
        super().build(variables)
        self._slots = [[self._new_slot(variable, name) for name in self.slot_names] for variable in variables]

    def _new_slot(self, variable, name):
        if KERAS_3:
            return self.add_variable_from_reference(reference_variable=variable, name=name)
        return self.add_variable_from_reference(model_variable=variable, variable_name=name)

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any = None) -> None:
        if KERAS_3:
            index = self._get_variable_index(variable)
            slots = [slot.value for slot in self._slots[index]]
        else:
            learning_rate = self.learning_rate
            slots = self._slots[self._index_dict[self._var_key(variable)]]
        self.update(gradient, variable, tf.cast(learning_rate, variable.dtype), *slots)

    def update(self, gradient: Any, variable: Any, learning_rate: Any, *slots: Any) -> None:
        raise NotImplementedError

    def get_config(self) -> dict:
        config = super().get_config()
        if not KERAS_3:  # there each optimizer adds its own
            config["learning_rate"] = self._serialize_hyperparameter(self._learning_rate)
        return config


def scale_loss(optimizer: Any, loss: tf.Tensor) -> tf.Tensor:
    """The loss times the scale of a loss-scaling optimizer; other optimizers leave it as it is.

    Keras 3 names the method `scale_loss`, Keras 2.15 `get_scaled_loss`.
    """
    if isinstance(optimizer, keras.mixed_precision.LossScaleOptimizer):
        return optimizer.scale_loss(loss) if KERAS_3 else optimizer.get_scaled_loss(loss)
    return loss


def apply_gradients(optimizer: Any, gradients: Sequence, variables: Sequence) -> None:
    """Apply gradients of `scale_loss(optimizer, loss)`, summed over replicas.

    A loss-scaling optimizer divides the scale out by itself in Keras 3 and must be asked to in Keras 2.15.
    """
    if not KERAS_3 and isinstance(optimizer, keras.mixed_precision.LossScaleOptimizer):
        gradients = optimizer.get_unscaled_gradients(gradients)
    optimizer.apply_gradients(zip(gradients, variables))


def dtype_policy(layer: keras.layers.Layer) -> Any:
    """A layer's precision policy, in the form that a new layer takes as `dtype`.

    Keras 3 has `layer.dtype_policy`; in Keras 2.15 the policy of a layer is public only in its config.
    """
    return layer.dtype_policy if KERAS_3 else layer.get_config()["dtype"]


def build_optimizer(optimizer: Any, variables: Sequence) -> None:
    """Create an optimizer's own variables, so that a checkpoint can fill them; call it in the strategy's scope.

    Keras 3 builds once alone. Those of tensorflow-addons are of Keras 2's older kind, which makes its variables at the
    first step and has no public way to make them before.
    """
    if hasattr(optimizer, "_create_all_weights"):
        optimizer._create_all_weights(variables)
    elif not getattr(optimizer, "built", False):
        optimizer.build(variables)


def build_step(model: keras.Model, labels: Any) -> None:
    """Create what a compiled functional model trains with, as `TracedOnce` has it; nothing in Keras 2.15.

    Args:
        labels: Keras tensors, in the structure of what the outputs are compared with.
    """
    build_optimizer(model.optimizer, model.trainable_variables)
    for part in (getattr(model, "_compile_loss", None), getattr(model, "_compile_metrics", None)):
        if part is not None and not part.built:
            part.build(labels, model.output)


def clip_summed_gradients(optimizer: Any) -> None:
    """Make an optimizer clip the gradient of the global batch where several replicas train together.

    Keras 3 clips the gradient of each replica's own images and sums afterwards; Keras 2.15 sums first.

    Args:
        optimizer: compiled optimizer. One that does not clip stays as it is.
    """
    optimizer = getattr(optimizer, "inner_optimizer", optimizer)
    if KERAS_3 and (optimizer.clipnorm or optimizer.global_clipnorm or optimizer.clipvalue):
        # Past Keras, which tracks attributes.
        object.__setattr__(optimizer, "_clip_gradients", functools.partial(_clip_summed, optimizer))


def _clip_summed(optimizer, gradients):
    clip, context = type(optimizer)._clip_gradients, tf.distribute.get_replica_context()
    if context is None or context.num_replicas_in_sync == 1:
        return clip(optimizer, gradients)
    summed = context.all_reduce(tf.distribute.ReduceOp.SUM, list(gradients))
    # Keras is going to sum again what every replica has in full.
    return [tf.math.scalar_mul(1 / context.num_replicas_in_sync, each) for each in clip(optimizer, summed)]


def build_addons_optimizer(model: keras.Model) -> None:
    """`build_optimizer` at once, for an optimizer of tensorflow-addons' kind alone.

    Left alone it makes its variables inside the first step, for which TensorFlow traces a step with a condition around
    it, and under a condition replicas cannot exchange anything.
    """
    if hasattr(model.optimizer, "_create_all_weights"):
        with model.distribute_strategy.scope():
            build_optimizer(model.optimizer, model.trainable_variables)


def optimizer_variables(optimizer: Any) -> list:
    """All variables of an optimizer, the one of a loss-scaling optimizer included, in a fixed order.

    They are a list in Keras 3, in Keras 2.15 a list that can be called, and in its older kind of optimizer, which
    those of tensorflow-addons are, the list `weights`, to which a wrapper adds those of the optimizer it wraps.
    """
    if hasattr(optimizer, "_create_all_weights"):
        return list(optimizer.weights)
    variables = optimizer.variables
    return list(variables() if callable(variables) else variables)


def addons_optimizer(class_name: str, name: str) -> type:
    """A class of `tensorflow_addons.optimizers`, which exists beside Keras 2.15 alone.

    Args:
        class_name: str, as `"LAMB"`.
        name: str. What was asked for, for messages.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of its end of life, which the documentation names
            import tensorflow_addons as tfa
    except ImportError as error:
        raise UserError(
            f"{name} needs tensorflow-addons, which runs beside TensorFlow 2.15 on Python 3.11 alone: in an "
            "environment of its own, pip install 'kerassl[addons]'"
        ) from error
    accepted = sorted(
        item
        for item in vars(tfa.optimizers)
        if isinstance(getattr(tfa.optimizers, item), type)
        and issubclass(getattr(tfa.optimizers, item), keras.optimizers.legacy.Optimizer)
        and item != "KerasLegacyOptimizer"
    )
    if class_name not in accepted:
        raise UserError(f"tensorflow-addons has no optimizer {class_name!r}; it has {', '.join(accepted)}")
    return getattr(tfa.optimizers, class_name)


def tf_variable(variable: Any) -> tf.Variable:
    """The `tf.Variable` of a weight; Keras 3 wraps one."""
    return variable.value if KERAS_3 and isinstance(variable, keras.Variable) else variable


def logs_of_all_replicas(model: keras.Model, logs: dict) -> dict:
    """Return the logs of a step of Keras's own as metrics of the whole batch on every replica.

    Keras 3 takes the mean over replicas of what each one's metrics say by themselves, which is wrong where shares are
    uneven; Keras 2.15 adds up the metrics' sums.
    """
    context = tf.distribute.get_replica_context()
    if KERAS_3 and context is not None and context.num_replicas_in_sync > 1:
        whole = context.merge_call(lambda strategy: model.get_metrics_result())
        logs = {name: whole.get(name, value) for name, value in logs.items()}
    return step_logs(logs)


def step_logs(logs: dict) -> dict:
    """Return scalars in a form that a `train_step` may return as logs.

    Keras 3 averages the logs of several workers along their first axis, and so fails on scalars.
    """
    if KERAS_3 and isinstance(tf.distribute.get_strategy(), tf.distribute.MultiWorkerMirroredStrategy):
        return {name: tf.reshape(value, [1]) for name, value in logs.items()}
    return logs
