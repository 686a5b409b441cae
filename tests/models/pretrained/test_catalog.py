"""The rules that each entry of the table of published weights keeps."""

import re

import pytest

from cnn_jax.config.model_keys import MODELS
from cnn_jax.models.pretrained.catalog import WEIGHTS, PublishedWeights
from cnn_jax.models.pretrained.layouts import LAYOUTS

pytestmark = pytest.mark.parametrize("weights", WEIGHTS.values(), ids=WEIGHTS)


def test_names(weights: PublishedWeights) -> None:
    assert WEIGHTS[weights.name] is weights
    assert weights.layout in ("torchvision", "timm", "lukemelas")
    assert weights.layout in LAYOUTS[weights.network]
    origins = MODELS[weights.network].get("origin")
    assert weights.origin is None or origins is None or origins.default == weights.origin  # its name is enough
    assert re.fullmatch(r"[a-z0-9_.]+", weights.name)
    assert weights.licence in ("BSD-3-Clause", "Apache-2.0")


def test_where_they_are(weights: PublishedWeights) -> None:
    assert weights.url or weights.package
    assert weights.url is None or weights.url.startswith("https://")
    others = [other.file_name for other in WEIGHTS.values() if other is not weights]
    assert re.fullmatch(r"[A-Za-z0-9_.-]+\.(pth|safetensors)", weights.file_name)
    assert weights.file_name not in others


def test_checksums(weights: PublishedWeights) -> None:
    """Whole where a package has the file; else what the publisher's name for it says; else none."""
    in_the_name = re.search(r"-([0-9a-f]{8})\.pth$", weights.file_name)
    if weights.package is not None:
        assert re.fullmatch(r"[0-9a-f]{64}", weights.sha256 or "")
        assert weights.package[1].endswith(f"/{weights.file_name}")
        assert weights.bytes
    if in_the_name is None:
        assert weights.sha256 is None
        assert weights.url is not None
        assert weights.url.startswith("https://huggingface.co/timm/")
    else:
        assert (weights.sha256 or "").startswith(in_the_name[1])


def test_figures_and_preprocessing(weights: PublishedWeights) -> None:
    assert weights.top1 is not None
    assert 50 < weights.top1 < (weights.top5 or 100) <= 100
    assert weights.source
    assert 224 <= weights.image_size <= weights.resize <= weights.image_size + 32
    assert weights.interpolation in ("bilinear", "bicubic")
    assert all(len(values) == 3 and all(0 < value < 1 for value in values) for values in (weights.mean, weights.std))
