"""The networks of `keras.applications` that can be backbones, by name."""

from __future__ import annotations

import dataclasses

from kerassl._errors import UserError

_SITE = "https://storage.googleapis.com/"
_KERNELS = "weights_tf_dim_ordering_tf_kernels"


@dataclasses.dataclass(frozen=True)
class Family:
    """A network of `keras.applications`.

    Attributes:
        name: str, its name there.
        scale: str, how it wants its images: `"caffe"`, `"tf"` or `"torch"` as `imagenet_utils.preprocess_input` has it,
            or `"own"` where its first layers do it.
        url: str, where Keras publishes its ImageNet weights without top.
    """

    name: str
    scale: str
    url: str

    @property
    def file(self) -> str:
        """The name of that file where Keras keeps it."""
        return self.url.rpartition("/")[2]


def _family(name, scale, path):
    return Family(name, scale, f"{_SITE}tensorflow/keras-applications/{path}")


_FAMILIES = {
    family.name: family
    for family in (
        *(
            Family(f"EfficientNetB{size}", "own", f"{_SITE}keras-applications/efficientnetb{size}_notop.h5")
            for size in range(8)
        ),
        *(
            _family(f"EfficientNetV2{size}", "own", f"efficientnet_v2/efficientnetv2-{size.lower()}_notop.h5")
            for size in ("B0", "B1", "B2", "B3", "S", "M", "L")
        ),
        *(
            _family(f"ConvNeXt{size}", "torch", f"convnext/convnext_{size.lower()}_notop.h5")
            for size in ("Tiny", "Small", "Base", "Large", "XLarge")
        ),
        *(
            _family(f"DenseNet{size}", "torch", f"densenet/densenet{size}_{_KERNELS}_notop.h5")
            for size in (121, 169, 201)
        ),
        _family("MobileNet", "tf", "mobilenet/mobilenet_1_0_224_tf_no_top.h5"),
        _family("MobileNetV2", "tf", f"mobilenet_v2/mobilenet_v2_{_KERNELS}_1.0_224_no_top.h5"),
        *(
            _family(
                f"MobileNetV3{size}",
                "own",
                f"mobilenet_v3/weights_mobilenet_v3_{size.lower()}_224_1.0_float_no_top_v2.h5",
            )
            for size in ("Small", "Large")
        ),
        *(
            _family(f"ResNet{size}", "caffe", f"resnet/resnet{size}_{_KERNELS}_notop.h5")
            for size in (50, 101, 152)
        ),
        *(
            _family(f"ResNet{size}V2", "tf", f"resnet/resnet{size}v2_{_KERNELS}_notop.h5")
            for size in (50, 101, 152)
        ),
        *(_family(f"VGG{size}", "caffe", f"vgg{size}/vgg{size}_{_KERNELS}_notop.h5") for size in (16, 19)),
        _family("Xception", "tf", f"xception/xception_{_KERNELS}_notop.h5"),
    )
}  # fmt: skip

_CROPS = "its first layers crop the image, so that no feature map is an eighth, a 16th or a 32nd of it"
_ONE_SIZE = "Keras lays it out for images of one size"
_COMPILED = "its convolutions of groups are compiled on a CPU, which no servable can hold, and Keras 3 has none of it"
_UNUSABLE = {
    "InceptionV3": _CROPS,
    "InceptionResNetV2": _CROPS,
    "NASNetMobile": _ONE_SIZE,
    "NASNetLarge": _ONE_SIZE,
    **{
        f"RegNet{kind}{size}": _COMPILED
        for kind in "XY"
        for size in ("002", "004", "006", "008", "016", "032", "040", "064", "080", "120", "160", "320")
    },
}


def list_backbones() -> list[str]:
    """List the names that `build` accepts.

    Returns:
        Names of `keras.applications` networks.

    Example:
        >>> "EfficientNetB1" in kerassl.backbones.list_backbones()
        True
    """
    return list(_FAMILIES)


def canonical(name: str) -> str | None:
    """Return the name in the spelling of `list_backbones`, whatever its case, or None."""
    return _spelled(_FAMILIES).get(str(name).lower())


def find(name: str) -> Family:
    """Return a network by its name, whatever its case.

    Raises:
        UserError: if there is none, with the reason for one that cannot be a backbone.
    """
    known = canonical(name)
    if known is not None:
        return _FAMILIES[known]
    other = _spelled(_UNUSABLE).get(str(name).lower())
    if other is not None:
        raise UserError(f"{other} cannot be a backbone: {_UNUSABLE[other]}; give another, as EfficientNetV2B0")
    raise UserError(f"there is no network {name!r}; there are {', '.join(list_backbones())}")


def _spelled(names):
    return {name.lower(): name for name in names}
