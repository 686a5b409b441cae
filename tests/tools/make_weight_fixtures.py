"""Writes tests/fixtures/weights: small files of torch.save and safetensors, and the values PyTorch reads from them.

    TORCH_PYTHON tests/tools/make_weight_fixtures.py [REAL.pth ...]

Of real published files it records one checksum over all tensors as PyTorch reads them, in real.json.
Run it with an interpreter that has torch and safetensors; the tests themselves need neither torch nor this script.
"""

import hashlib
import io
import json
import sys
import warnings
import zipfile
from collections import OrderedDict
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file

FOLDER = Path(__file__).resolve().parents[1] / "fixtures" / "weights"
LEGACY = {"_use_new_zipfile_serialization": False}


class Rebuilt:
    """Pickles as given: what versions of PyTorch wrote that are no longer to be had."""

    def __init__(self, *reduced):
        self.reduced = reduced

    def __reduce__(self):
        return self.reduced


def tensors() -> OrderedDict:
    torch.manual_seed(0)
    base = torch.randn(4, 6)
    return OrderedDict(
        {
            "conv.weight": torch.nn.Parameter(torch.randn(3, 2, 2, 2)),
            "last.weight": torch.randn(2, 3, 2, 2).to(memory_format=torch.channels_last),
            "base": base,
            "transposed": base.t(),
            "part": base[1:, ::2],
            "scalar": torch.tensor(7),
            "repeated": torch.tensor([1.5, -2.0]).expand(3, 2),
            "empty": torch.zeros(0, 3),
            "half": torch.randn(3).half(),
            "bfloat16": torch.randn(3).bfloat16(),
            "double": torch.randn(2).double(),
            "uint8": torch.tensor([0, 255], dtype=torch.uint8),
            "int16": torch.tensor([-300, 300], dtype=torch.int16),
            "bool": torch.tensor([True, False, True]),
            "complex": torch.tensor([1 + 2j]),
            "uint16": torch.tensor([1, 65535], dtype=torch.uint16),
            "float8": torch.tensor([0.5, -1.0]).to(torch.float8_e4m3fn),
        }
    )


def checkpoint() -> dict:
    """Of training: wrapped modules, their average, an optimizer, a scheduler, and plain values."""
    network = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.BatchNorm1d(3))
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1, momentum=0.9)
    network(torch.randn(4, 2)).sum().backward()
    optimizer.step()
    wrapped = torch.nn.Module()
    wrapped.module = network
    average = torch.optim.swa_utils.AveragedModel(wrapped)
    return {
        "epoch": 3, "best": 0.5, "arch": "small", "nothing": None, "history": [(1, 0.25), (2, 0.125)],
        "model": wrapped.state_dict(), "model_ema": average.state_dict(), "optimizer": optimizer.state_dict(),
        "lr_scheduler": torch.optim.lr_scheduler.MultiStepLR(optimizer, [2, 2, 5]).state_dict(),
    }  # fmt: skip


def old() -> OrderedDict:
    """As PyTorch 0.1 to 0.3 wrote it: `_rebuild_tensor`, and parameters that are called and then given a state."""

    def tensor(values):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            storage = values.storage()
        return Rebuilt(torch._utils._rebuild_tensor, (storage, 0, tuple(values.shape), values.stride()))

    def parameter(values):
        return Rebuilt(torch.nn.parameter.Parameter, (tensor(values),), (True, False, OrderedDict()))

    # A state of five holds the data itself; what was called before is replaced.
    older = (tensor(torch.tensor([3.0, 4.0])), None, OrderedDict(), True, False)
    return OrderedDict(
        {
            "fc.weight": parameter(torch.arange(6.0).reshape(2, 3)),
            "fc.bias": Rebuilt(torch.nn.parameter.Parameter, (tensor(torch.zeros(2)),), older),
            "fc.running_mean": tensor(torch.ones(2)),
        }
    )


def big_endian(path: Path) -> None:
    """The file of a big-endian machine, made of that of a little-endian one; float32 only."""
    values = OrderedDict({"weight": torch.arange(6.0).reshape(2, 3).t(), "bias": torch.tensor(0.1)})
    stream = io.BytesIO()
    torch.save(values, stream)
    with zipfile.ZipFile(stream) as source, zipfile.ZipFile(path, "w") as target:
        for info in source.infolist():
            data = source.read(info)
            if info.filename.endswith("/byteorder"):
                data = b"big"
            elif "/data/" in info.filename:
                data = np.frombuffer(data, np.float32).byteswap().tobytes()
            target.writestr(info.filename, data)


def plain(values: dict) -> dict[str, np.ndarray]:
    """As NumPy has them; what it does not know as unsigned bits."""
    bits = {torch.bfloat16: torch.uint16, torch.float8_e4m3fn: torch.uint8}
    values = {name: value.detach().contiguous() for name, value in values.items()}
    return {name: value.view(bits.get(value.dtype, value.dtype)).numpy() for name, value in values.items()}


def digest(values: dict[str, torch.Tensor]) -> str:
    """Of names, types, shapes and bytes, in the order of the file."""
    found = hashlib.sha256()
    for name, value in values.items():
        array = value.numpy()
        found.update(f"{name} {array.dtype} {array.shape}\n".encode() + array.tobytes())
    return found.hexdigest()


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    torch.save(tensors(), FOLDER / "zip.pth")
    torch.save(tensors(), FOLDER / "protocol4.pth", pickle_protocol=4)
    newer = ("uint16", "float8")  # PyTorch itself cannot read them back from the old format
    torch.save(
        OrderedDict((name, value) for name, value in tensors().items() if name not in newer),
        FOLDER / "legacy.pth",
        **LEGACY,
    )
    torch.save(checkpoint(), FOLDER / "checkpoint.pth", **LEGACY)
    torch.save(old(), FOLDER / "old.pth", **LEGACY)
    big_endian(FOLDER / "big_endian.pth")
    separate = {name: value.detach().contiguous().clone() for name, value in tensors().items() if name != "float8"}
    save_file(separate, FOLDER / "a.safetensors")
    (FOLDER / "a.safetensors").chmod(0o644)
    recorded = {}
    for path in sorted(FOLDER.glob("*.pth")):
        values = torch.load(path, weights_only=path.stem != "protocol4")  # it was written a moment ago
        if path.stem == "checkpoint":
            average = values["model_ema"]
            values = {name.removeprefix("module.module."): v for name, v in average.items() if name != "n_averaged"}
        recorded |= {f"{path.stem}/{name}": value for name, value in plain(values).items()}
    np.savez_compressed(FOLDER / "values.npz", **recorded)
    if sys.argv[1:]:
        real = {Path(path).name: digest(torch.load(path, weights_only=True)) for path in sys.argv[1:]}
        (FOLDER / "real.json").write_text(json.dumps(real, indent=1) + "\n")


if __name__ == "__main__":
    main()
