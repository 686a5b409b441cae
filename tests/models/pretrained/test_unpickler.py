"""Pickles of a stranger run nothing, ask for nothing, and take no memory; each ends in one line."""

import collections
import contextlib
import io
import pickle
import pickletools
import struct
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cnn_jax.errors import InputError
from cnn_jax.models.pretrained import unpickler
from cnn_jax.models.pretrained.archive import make_storage
from cnn_jax.models.pretrained.state_dict import read_state_dict
from cnn_jax.models.pretrained.torch_names import NAMES
from tests.support.helpers import refusal
from tests.support.hostile import Payload

MAGIC = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.\x80\x02M\xe9\x03.\x80\x02}."  # of the old format, up to the object


def load(pickled: bytes) -> Any:
    return unpickler.unwrap(unpickler.load(io.BytesIO(pickled), NAMES, make_storage))


def text(word: str) -> bytes:
    return b"X" + struct.pack("<I", len(word)) + word.encode()


# name -> (pickle, what the line must name). `ran` is a file that it would create.
HOSTILE: dict[str, tuple[bytes, str]] = {
    "REDUCE": (b"cos\nsystem\n" + text("touch ran") + b"\x85R.", "os.system"),
    "eval": (b"c__builtin__\neval\n" + text("open('ran', 'w')") + b"\x85R.", "__builtin__.eval"),
    "builtins": (b"cbuiltins\ngetattr\n.", "builtins.getattr"),
    "STACK_GLOBAL": (text("os") + text("system") + b"\x93" + text("touch ran") + b"\x85R.", "os.system"),
    "INST": (b"(" + text("touch ran") + b"ios\nsystem\n.", "os.system"),
    "OBJ": (b"(cos\nsystem\n" + text("touch ran") + b"o.", "os.system"),
    "NEWOBJ": (b"csubprocess\nPopen\n" + text("touch ran") + b"\x85\x81.", "subprocess.Popen"),
    "NEWOBJ_EX": (b"csubprocess\nPopen\n" + text("touch ran") + b"\x85}\x92.", "subprocess.Popen"),
    "nested name": (text("torch") + text("Size.__init__.__globals__") + b"\x93.", "torch.Size.__init__.__globals__"),
    "storage's neighbour": (b"ctorch\nload\n.", "torch.load"),
    "a network": (b"ctorchvision.models.resnet\nResNet\n)\x81}b.", "torchvision.models.resnet.ResNet"),
    "newline in the name": (text("os\n\x1b[31m") + text("system") + b"\x93.", r"os\n\x1b[31m.system"),
    "EXT1": (b"\x82\x01.", "EXT1"),
    "EXT4": (b"\x84\x01\0\0\0.", "EXT4"),
    "persistent text": (b"Pstorage\n.", "refers to something that is no storage"),
    "persistent module": (text("module") + b"cos\nsystem\nq\0N\x87Q.", "os.system"),
    "persistent network": (text("module") + b"NN\x87Q.", "the code of a network"),
    "set": (b"\x8f.", "EMPTY_SET"),
    "out-of-band buffer": (b"\x97.", "NEXT_BUFFER"),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_pickles(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the place of the object of a file of the old format."""
    pickled, named = HOSTILE[kind]
    monkeypatch.chdir(tmp_path)
    Path("weights.pth").write_bytes(MAGIC + pickled)
    line = refusal(read_state_dict, "weights.pth")
    assert named in line
    assert line.isprintable()
    assert not Path("ran").exists()


def test_the_payload_would_run(tmp_path: Path) -> None:
    """What is refused here creates a file when Python's own module reads it."""
    pickled = pickle.dumps({"weight": Payload(tmp_path / "ran")}, protocol=2)
    (tmp_path / "weights.pth").write_bytes(MAGIC + pickled)
    assert "getattr" in refusal(read_state_dict, tmp_path / "weights.pth")
    assert not (tmp_path / "ran").exists()
    pickle.loads(pickled)
    assert (tmp_path / "ran").exists()


WRONG_CALLS = {
    "BUILD of a dict": b"}}" + text("__class__") + b"Nsb.",
    "BUILD of a tensor": b"ctorch._utils\n_rebuild_parameter\n)R}b.",
    "call of a dtype": b"ctorch\nFloatStorage\n)R.",
    "call of a string": text("system") + b")R.",
    "keywords": b"ctorch\nSize\n)}" + text("a") + b"K\x01s\x92.",
}


@pytest.mark.parametrize("kind", WRONG_CALLS)
def test_wrong_calls(kind: str) -> None:
    """Of what a file may name, in ways that PyTorch never uses."""
    assert "damaged" in refusal(load, WRONG_CALLS[kind])


@pytest.mark.parametrize("protocol", range(6))
def test_plain_values_are_pickles(protocol: int) -> None:
    """Of every protocol, as Python's own module reads them."""
    shared = [1.5, "é\n", -(2**70)]
    value = {
        "a": shared, 2: (shared, (), (1,), (1, 2), (1, 2, 3), (1, 2, 3, 4)), ("k", 1): None, True: [True, False],
        "long": "x" * 300, "many": list(range(-3, 3)), "dict": {"int": 70_000, "big": 2**31},
    }  # fmt: skip
    assert load(pickle.dumps(value, protocol)) == value
    assert load(pickle.dumps(collections.OrderedDict(a=1, b=[2]), protocol)) == {"a": 1, "b": [2]}
    assert load(pickle.dumps(collections.Counter("aab"), protocol)) == {"a": 2, "b": 1}


BOMBS = {
    "memo index": b"Nr\xff\xff\xff\x7f.",
    "bytes": b"\x8e" + struct.pack("<Q", 2**40) + b"x",
    "text": b"\x8d" + struct.pack("<Q", 2**62) + b"x",
    "frame": b"\x95" + struct.pack("<Q", 2**62) + b"N.",
    "long": b"\x8b" + struct.pack("<i", 2**31 - 1) + b"x",
    "negative": b"T" + struct.pack("<i", -1),
    "lists": b"]" * 20_000,
    "doubled": b"]" + b"2\x86" * 20_000 + b".",
    "key of tuples": b"})" + b"\x85" * 20_000 + b"Ns.",
    "list as a key": b"}]Ns.",
    "digits": b"I" + b"9" * 10_000 + b"\n.",
    "pop of nothing": b"0.",
    "mark for a value": b"(.",
    "get of nothing": b"h\x07.",
    "odd items": b"}(K\x01u.",
    "no stop": b"N",
}


HARMLESS = ("memo index", "frame", "doubled")  # here, unlike for Python's own module


@pytest.mark.parametrize("kind", BOMBS)
def test_bombs_take_no_memory(kind: str) -> None:
    """Less than 64 bytes for each byte of the pickle, and no crash of the interpreter."""
    tracemalloc.start()
    try:
        with contextlib.nullcontext() if kind in HARMLESS else pytest.raises(InputError):
            load(BOMBS[kind])
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 1_000_000 + 64 * len(BOMBS[kind])


def test_the_number_of_steps_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unpickler, "_MOST_OPCODES", 1000)
    assert load(b"N0" * 400 + b"N.") is None
    assert "more than 1,000 steps" in refusal(load, b"N0" * 600 + b"N.")


def storage(elements: int = 4) -> bytes:
    """The persistent id of storage "0"."""
    return b"(" + text("storage") + b"ctorch\nFloatStorage\n" + text("0") + text("cpu") + bytes([75, elements]) + b"tQ"


def write_tensor(
    path: Path, offset: Any = 0, shape: Any = (4,), strides: Any = (1,), metadata: Any = None, elements: int = 4,
    other: bytes = b"",
) -> None:  # fmt: skip
    """A file of the old format whose one tensor `w` lies in a storage of four float32.

    Args:
      elements: what is written in front of the storage.
      other: pickled items of the dict besides `w`.
    """
    numbers = b"".join(pickle.dumps(value, 2)[2:-1] for value in (offset, shape, strides))
    rest = b"\x89}" + pickle.dumps(metadata, 2)[2:-1] + b"tR"
    tensor = b"ctorch._utils\n_rebuild_tensor_v2\n(" + storage() + numbers + rest
    values = struct.pack("<q", elements) + np.arange(4, dtype="<f4").tobytes()
    path.write_bytes(MAGIC + b"\x80\x02}" + text("w") + tensor + b"s" + other + b".]" + text("0") + b"a." + values)


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ((0, (4,), (1,)), None),
        ((1, (4,), (1,)), "does not fit"),
        ((0, (5,), (1,)), "does not fit"),
        ((0, (2, 2), (3, 1)), "does not fit"),
        ((0, (2**62,), (0,)), "larger than the file"),
        ((0, (2**40, 2**40), (0, 0)), "larger than the file"),
        ((0, (0, 2**62, 2**62), (1, 1, 1)), "has the shape"),
        ((0, (1,), (2**62,)), None),
        ((-1, (4,), (1,)), "no valid shape"),
        ((0, (-1,), (1,)), "no valid shape"),
        ((0, (4,), (-1,)), "no valid shape"),
        ((0, (4,), (1, 1)), "no valid shape"),
        ((0, (2.0,), (1,)), "no valid shape"),
        ((0, (1,) * 65, (1,) * 65), "65 dimensions"),
        ((None, (4,), (1,)), "no valid shape"),
    ],
)
def test_tensors_fit_into_their_storage(arguments: tuple[Any, ...], named: str | None, tmp_path: Path) -> None:
    """A storage of four float32; sizes that are only declared allocate nothing."""
    write_tensor(tmp_path / "weights.pth", *arguments)
    if named is None:
        assert read_state_dict(tmp_path / "weights.pth")["w"].shape == arguments[1]
    else:
        assert named in refusal(read_state_dict, tmp_path / "weights.pth")


def test_bits_of_a_tensor(tmp_path: Path) -> None:
    """A tensor that was saved as the negative of what its storage holds."""
    write_tensor(tmp_path / "weights.pth", 0, (4,), (1,), metadata={"neg": True})
    assert "negated" in refusal(read_state_dict, tmp_path / "weights.pth")


def test_sizes_of_a_storage_agree(tmp_path: Path) -> None:
    path = tmp_path / "weights.pth"
    write_tensor(path, elements=5)
    assert "another size than its tensors say" in refusal(read_state_dict, path)
    write_tensor(path, other=text("v") + storage(5) + b"s")
    assert "two types or sizes" in refusal(read_state_dict, path)
    write_tensor(path, other=text("v") + storage(4) + b"s")
    assert list(read_state_dict(path)) == ["w"]


def test_every_opcode_is_read_or_refused() -> None:
    """One by one on an empty stack: no opcode of any protocol ends in another exception."""
    for opcode in pickletools.opcodes:
        try:
            load(opcode.code.encode("latin-1") + bytes(20) + b"\n\n.")
        except InputError:
            continue
