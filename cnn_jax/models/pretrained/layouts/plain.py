"""AlexNet and VGG, as torchvision and timm name them: lists in which activations and maxima have numbers, too."""

from collections.abc import Collection

from cnn_jax.models.pretrained import rules
from cnn_jax.models.pretrained.layouts.stages import stages_of
from cnn_jax.models.pretrained.naming import NameMap


def torchvision_alexnet(paths: Collection[str]) -> NameMap:
    convolutions = ["stem", *(block for stage in stages_of(paths) for block in stage)]
    numbers = (0, 3, 6, 8, 10)
    names = {f"{path}/conv": f"features.{number}" for path, number in zip(convolutions, numbers, strict=True)}
    names |= {"head/hidden1": "classifier.1", "head/hidden2": "classifier.4", "head/logits": "classifier.6"}
    return NameMap(names, {"head/hidden1": rules.flattened(256, 6, 6)})


def torchvision_vgg(paths: Collection[str]) -> NameMap:
    head = {"head/hidden1": "classifier.0", "head/hidden2": "classifier.3", "head/logits": "classifier.6"}
    kernels = {"head/hidden1": rules.flattened(512, 7, 7)}
    return NameMap(_vgg_features(paths) | head, kernels, first="stage1/block1/conv")


def timm_vgg(paths: Collection[str]) -> NameMap:
    """Hidden layers are convolutions there: over the whole map, and 1x1."""
    head = {"head/hidden1": "pre_logits.fc1", "head/hidden2": "pre_logits.fc2", "head/logits": "head.fc"}
    kernels = {"head/hidden1": rules.flattened(512, 7, 7, is_convolution=True), "head/hidden2": rules.POINTWISE}
    return NameMap(_vgg_features(paths) | head, kernels, first="stage1/block1/conv")


def _vgg_features(paths: Collection[str]) -> dict[str, str]:
    names, number = {}, 0
    for stage in stages_of(paths):
        for block in stage:
            names[f"{block}/conv"] = f"features.{number}"
            if f"{block}/norm" in paths:
                number += 1
                names[f"{block}/norm"] = f"features.{number}"
            number += 2  # over the ReLU
        number += 1  # over the maximum
    return names
