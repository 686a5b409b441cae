"""The models: what builds each, and what a config's `model` block may hold beside the name."""

import dataclasses

from cnn_jax.config.rules import Key, choice, flag, integer, maybe, number, row, several, size
from cnn_jax.config.tables import Variant

INITIALIZATIONS = (
    "he_normal", "he_uniform", "glorot_normal", "glorot_uniform", "lecun_normal", "lecun_uniform",
    "orthogonal", "truncated_normal", "torch", "dirac",
)  # fmt: skip
ACTIVATIONS = (
    "relu", "gelu", "silu", "tanh", "sigmoid", "leaky_relu", "relu6", "hard_swish", "hard_sigmoid",
)  # fmt: skip
PADDING_MODES = ("zero", "crop", "extend", "reflect", "wrap", "same", "full")
NORMS = ("batch", "group", "layer", "none")
POOLINGS = ("max", "mean", "blur_max", "blur", "none")

_hidden = Key((), several(integer(1)), "units of the head's hidden layers")
_dropout = Key(0.0, number(0, below=1), "share of features dropped before each dense layer of the head")
_activation = Key("relu", choice(*ACTIVATIONS), "the nonlinearity")
_padding_mode = Key(
    "zero",
    choice(*PADDING_MODES),
    "what a convolution sees beyond the border; crop: nothing, the map shrinks; same: zeros where TensorFlow has them; "
    "full: zeros all around, the map grows (Kayhan & van Gemert 2020)",
)
_initialization = Key(
    "he_normal",
    choice(*INITIALIZATIONS),
    "weight initialisation; torch: PyTorch's own default; dirac: that, but channels are handed on unchanged",
)
_resnet = {
    "small_images": Key(False, flag(), "3x3 stem without pooling, for images of some 64 pixels and less"),
    "zero_init_residual": Key(True, flag(), "each block starts as the identity (Goyal et al. 2017, section 5.1)"),
    "dropout": _dropout,
}


def _origin(*names: str, rest: str = "") -> Key:
    why = "whose weights fit: torchvision pads both sides alike, tensorflow as its SAME; each has its BatchNorm epsilon"
    return Key("torchvision", choice(*names), why + rest)


_width_multiplier = Key(1.0, number(above=0), "of all channels, rounded to multiples of 8")
_stochastic_depth = Key(
    0.2, number(0, below=1), "share of examples that pass by the last block in training; less for those before it"
)
_last_dropout = Key(0.2, number(0, below=1), "share of features dropped before the last layer")
_mobilenet_v3 = {
    "origin": _origin("torchvision", "timm", "tensorflow", rest="; timm's are PyTorch's own"),
    "width_multiplier": _width_multiplier,
    "dropout": _last_dropout,
}
_regnet = {  # of those that have such widths
    "origin": Key(
        "torchvision",
        choice("torchvision", "timm"),
        "whose weights fit: widths half-way between two multiples of the groups' are rounded up, or to the even one as"
        " in the paper",
    ),
    "dropout": _dropout,
}
_resnet_cifar = {
    "zero_init_residual": dataclasses.replace(_resnet["zero_init_residual"], default=False),
    "dropout": _dropout,
}
_alexnet = {"dropout": Key(0.5, number(0, below=1), "share of features dropped before two of the head's dense layers")}
_efficientnet_lite = {"dropout": _last_dropout, "stochastic_depth": _stochastic_depth}
_efficientnet = {
    "origin": _origin("torchvision", "tensorflow", rest="; of timm's, those called tf_ are tensorflow's"),
    **_efficientnet_lite,
}
_dropout_of_last = dataclasses.replace(_last_dropout, default=0.0)
_convnext = {
    "layer_scale": Key(1e-6, number(above=0), "what each block's branch is multiplied by at first, channel by channel"),
    "stochastic_depth": dataclasses.replace(_stochastic_depth, default=0.1),
    "dropout": _dropout_of_last,
}
_vit = {
    "patch_size": Key(16, integer(1), "side of the squares that become tokens; it must divide the sides of the images"),
    "stochastic_depth": dataclasses.replace(_stochastic_depth, default=0.0),
    "dropout": _dropout_of_last,
}
_coatnet = {"stochastic_depth": _stochastic_depth, "dropout": _dropout_of_last}
_dropout_of_b2 = {"dropout": dataclasses.replace(_last_dropout, default=0.3)}

MODELS: dict[str, Variant] = {
    "linear": Variant("cnn_jax.models.mlp:Linear", {
        "initialization": dataclasses.replace(_initialization, default="lecun_normal"),
    }),
    "mlp": Variant("cnn_jax.models.mlp:MLP", {
        "hidden": Key((512, 256), several(integer(1)), "units of the hidden layers"),
        "activation": _activation,
        "dropout": Key(0.0, number(0, below=1), "share of units dropped after each hidden layer"),
        "initialization": _initialization,
    }),
    "lenet5": Variant("cnn_jax.models.lenet:LeNet5", {
        "activation": Key("tanh", choice(*ACTIVATIONS), "the nonlinearity; tanh as in LeCun et al. 1998"),
        "pooling": Key("mean", choice("max", "mean"), "how 2x2 windows are summarised; mean as in 1998"),
        "padding_mode": Key(
            "zero", choice(*PADDING_MODES), "of the first convolution: zero for 28x28 images, crop for 32x32"
        ),
        "initialization": dataclasses.replace(_initialization, default="glorot_uniform"),
    }),
    "cnn": Variant("cnn_jax.models.cnn:CNN", {
        "filters": Key((32, 64), several(integer(1), least=1), "channels of each block; the depth is their number"),
        "stem": Key(
            None,
            maybe(row(integer(1), size(), integer(1), expects="(filters, kernel size, stride) as in (16, 5, 2)")),
            "(filters, kernel size, stride) of a convolution before the blocks, which sees nothing beyond the border",
        ),
        "convs_per_block": Key(1, integer(1), "convolution-normalisation-activation units before each pooling"),
        "kernel_size": Key((3, 3), size(), "of every convolution"),
        "stride": Key(1, integer(1), "of the first convolution of each block"),
        "padding_mode": _padding_mode,
        "pooling": Key(
            "max",
            choice(*POOLINGS),
            "what ends each block; blur_max: every maximum, blurred before pixels are left out, so that shifts matter "
            "less (Zhang 2019); blur: that without the maximum, in place of a mean",
        ),
        "pool_window": Key(2, integer(1), "side of the window of a maximum or mean"),
        "pool_stride": Key(2, integer(1), "step of the pooling"),
        "blur_filter_size": Key(4, integer(2, 7), "side of the binomial filter of pooling=blur_max and blur"),
        "pool_last": Key(True, flag(), "whether the last block ends in pooling too"),
        "norm": Key("batch", choice(*NORMS), "between convolution and activation"),
        "norm_groups": Key(8, integer(1), "channel groups of norm=group (it must divide every entry of filters)"),
        "activation": _activation,
        "global_pool": Key(
            "flatten", choice("flatten", "global_mean", "global_max"), "from maps to the feature vector"
        ),
        "hidden": dataclasses.replace(_hidden, default=(128,)),
        "dropout": _dropout,
        "initialization": _initialization,
    }, stages=True),
    "resnet18": Variant("cnn_jax.models.resnet:ResNet18", _resnet, stages=True),
    "resnet34": Variant("cnn_jax.models.resnet:ResNet34", _resnet, stages=True),
    "resnet50": Variant("cnn_jax.models.resnet:ResNet50", _resnet, stages=True),
    "resnet101": Variant("cnn_jax.models.resnet:ResNet101", _resnet, stages=True),
    "resnet152": Variant("cnn_jax.models.resnet:ResNet152", _resnet, stages=True),
    "resnext50_32x4d": Variant("cnn_jax.models.resnet:ResNeXt50", _resnet, stages=True),
    "resnet20": Variant("cnn_jax.models.resnet_cifar:ResNet20", _resnet_cifar, stages=True),
    "resnet32": Variant("cnn_jax.models.resnet_cifar:ResNet32", _resnet_cifar, stages=True),
    "resnet44": Variant("cnn_jax.models.resnet_cifar:ResNet44", _resnet_cifar, stages=True),
    "resnet56": Variant("cnn_jax.models.resnet_cifar:ResNet56", _resnet_cifar, stages=True),
    "resnet110": Variant("cnn_jax.models.resnet_cifar:ResNet110", _resnet_cifar, stages=True),
    "regnet_y_800mf": Variant("cnn_jax.models.regnet:RegNetY800MF", _regnet, stages=True),
    "regnet_y_400mf": Variant("cnn_jax.models.regnet:RegNetY400MF", {"dropout": _dropout}, stages=True),
    "regnet_x_800mf": Variant("cnn_jax.models.regnet:RegNetX800MF", {"dropout": _dropout}, stages=True),
    "regnet_x_400mf": Variant("cnn_jax.models.regnet:RegNetX400MF", _regnet, stages=True),
    "alexnet": Variant("cnn_jax.models.alexnet:AlexNet", _alexnet, stages=True),
    "alexnet_2012": Variant("cnn_jax.models.alexnet:AlexNet2012", _alexnet, stages=True),
    "vgg11": Variant("cnn_jax.models.vgg:VGG11", _alexnet, stages=True),
    "vgg13": Variant("cnn_jax.models.vgg:VGG13", _alexnet, stages=True),
    "vgg16": Variant("cnn_jax.models.vgg:VGG16", _alexnet, stages=True),
    "vgg19": Variant("cnn_jax.models.vgg:VGG19", _alexnet, stages=True),
    "vgg11_bn": Variant("cnn_jax.models.vgg:VGG11BN", _alexnet, stages=True),
    "vgg13_bn": Variant("cnn_jax.models.vgg:VGG13BN", _alexnet, stages=True),
    "vgg16_bn": Variant("cnn_jax.models.vgg:VGG16BN", _alexnet, stages=True),
    "vgg19_bn": Variant("cnn_jax.models.vgg:VGG19BN", _alexnet, stages=True),
    "speednet": Variant("cnn_jax.models.speednet:SpeedNet", {
        "filters": Key((64, 256, 256), several(integer(1), least=1), "channels of each group; each halves the map"),
        "convs_per_group": Key(2, integer(2, 3), "3: and what enters the last two is added to what leaves them"),
        "whitening": Key(
            True,
            flag(),
            "the first layer's kernel is made of the data, and whitens 2x2 patches; freeze='whiten/kernel' keeps it",
        ),
        "activation": dataclasses.replace(_activation, default="gelu"),
        "norm_momentum": Key(
            0.9, number(0, below=1), "share of BatchNorm's running statistics that a step keeps (PyTorch: 1 - momentum)"
        ),
        "logit_scale": Key(1 / 9, number(above=0), "what the logits are multiplied by"),
        "initialization": dataclasses.replace(_initialization, default="dirac"),
    }, stages=True),
    "mobilenet_v2": Variant("cnn_jax.models.mobilenet_v2:MobileNetV2", {
        "origin": _origin("torchvision", "tensorflow", rest="; timm's are as torchvision's"),
        "width_multiplier": _width_multiplier,
        "dropout": _last_dropout,
    }, stages=True),
    "mobilenet_v3_small": Variant("cnn_jax.models.mobilenet_v3:MobileNetV3Small", _mobilenet_v3, stages=True),
    "mobilenet_v3_large": Variant("cnn_jax.models.mobilenet_v3:MobileNetV3Large", _mobilenet_v3, stages=True),
    "efficientnet_b0": Variant("cnn_jax.models.efficientnet:EfficientNetB0", _efficientnet, stages=True),
    "efficientnet_b1": Variant("cnn_jax.models.efficientnet:EfficientNetB1", _efficientnet, stages=True),
    "efficientnet_b2": Variant(
        "cnn_jax.models.efficientnet:EfficientNetB2", _efficientnet | _dropout_of_b2, stages=True
    ),
    "efficientnet_lite0": Variant(
        "cnn_jax.models.efficientnet:EfficientNetLite0", _efficientnet_lite, stages=True
    ),
    "efficientnet_lite1": Variant(
        "cnn_jax.models.efficientnet:EfficientNetLite1", _efficientnet_lite, stages=True
    ),
    "efficientnet_lite2": Variant(
        "cnn_jax.models.efficientnet:EfficientNetLite2", _efficientnet_lite | _dropout_of_b2, stages=True
    ),
    "convnext_atto": Variant("cnn_jax.models.convnext:ConvNeXtAtto", _convnext, stages=True),
    "convnext_femto": Variant("cnn_jax.models.convnext:ConvNeXtFemto", _convnext, stages=True),
    "convnext_pico": Variant("cnn_jax.models.convnext:ConvNeXtPico", _convnext, stages=True),
    "convnext_nano": Variant("cnn_jax.models.convnext:ConvNeXtNano", _convnext, stages=True),
    "convnext_tiny": Variant("cnn_jax.models.convnext:ConvNeXtTiny", _convnext, stages=True),
    "vit_tiny": Variant("cnn_jax.models.vit:ViTTiny", _vit, stages=True),
    "vit_small": Variant("cnn_jax.models.vit:ViTSmall", _vit, stages=True),
    "vit_base": Variant("cnn_jax.models.vit:ViTBase", _vit, stages=True),
    "coatnet_0": Variant("cnn_jax.models.coatnet:CoAtNet0", _coatnet, stages=True),
    "coatnet_0_rw": Variant("cnn_jax.models.coatnet:CoAtNet0RW", _coatnet, stages=True),
}  # fmt: skip
