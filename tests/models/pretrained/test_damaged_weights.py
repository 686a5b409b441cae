"""Files that were cut or changed are read rightly, or refused in one line."""

import contextlib
import functools
import os
import zipfile
from pathlib import Path

import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest

from cnn_jax.errors import InputError
from cnn_jax.models.pretrained.state_dict import read_state_dict
from tests.support.helpers import ROOT, refusal

FOLDER = ROOT / "tests/fixtures/weights"
FILES = ("zip.pth", "legacy.pth", "old.pth", "a.safetensors")
_settings = hypothesis.settings(
    max_examples=150, deadline=None, suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture]
)


@functools.cache
def content(name: str) -> bytes:
    return (FOLDER / name).read_bytes()


@pytest.mark.parametrize("name", ["big_endian.pth", "old.pth", "a.safetensors"])
def test_cut_at_every_byte(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(content(name))
    for length in reversed(range(len(content(name)))):
        os.truncate(path, length)
        line = refusal(read_state_dict, path)
        assert "cut short" in line or length < len(content(name)) - 1


@pytest.mark.parametrize("name", FILES)
@_settings
@hypothesis.given(data=st.data())
def test_changed_bytes(name: str, tmp_path: Path, data: st.DataObject) -> None:
    """No other exception; what is read has arrays that can be used."""
    changed = bytearray(content(name))
    places = st.integers(0, len(changed) - 1)
    for place, value in data.draw(st.lists(st.tuples(places, st.integers(0, 255)), min_size=1, max_size=4)):
        changed[place] = value
    path = tmp_path / name
    path.write_bytes(changed)
    with contextlib.suppress(InputError):
        for array in read_state_dict(path).values():
            assert array.nbytes <= len(changed)
            np.array(array)


@pytest.mark.parametrize("name", FILES)
@_settings
@hypothesis.given(data=st.data())
def test_bytes_that_come_and_go(name: str, tmp_path: Path, data: st.DataObject) -> None:
    whole = content(name)
    begin, end = sorted(data.draw(st.tuples(*[st.integers(0, len(whole))] * 2)))
    path = tmp_path / name
    path.write_bytes(whole[:begin] + data.draw(st.binary(max_size=8)) + whole[end:])
    with contextlib.suppress(InputError):
        read_state_dict(path)


@_settings
@hypothesis.given(start=st.sampled_from([b"PK\3\4", b"\x80\x02", b"\x10\0\0\0\0\0\0\0{", b""]), rest=st.binary())
def test_any_bytes(tmp_path: Path, start: bytes, rest: bytes) -> None:
    (tmp_path / "weights.pth").write_bytes(start + rest)
    refusal(read_state_dict, tmp_path / "weights.pth")


def rewritten(path: Path, compression: int = zipfile.ZIP_STORED, **changes: bytes | None) -> None:
    """The fixture with records replaced, or left out where the new one is None."""
    with zipfile.ZipFile(FOLDER / "zip.pth") as source, zipfile.ZipFile(path, "w", compression) as target:
        for info in source.infolist():
            name = info.filename.partition("/")[2]
            if (data := changes.get(name, source.read(info))) is not None:
                target.writestr(info.filename, data)
        for name in set(changes) - {info.filename.partition("/")[2] for info in source.infolist()}:
            target.writestr(f"zip/{name}", changes[name] or b"")


def test_changed_records(tmp_path: Path) -> None:
    path = tmp_path / "weights.pth"
    for changes, named in (
        ({"data/0": None}, "'data/0' is missing"),
        ({"data/0": b"123"}, "a storage is shorter"),
        ({"byteorder": b"middle"}, "byte order"),
        ({"data.pkl": None}, "no data.pkl"),
        ({"constants.pkl": b""}, "TorchScript"),
    ):
        rewritten(path, **changes)
        assert named in refusal(read_state_dict, path)
    rewritten(path, byteorder=None)  # as before PyTorch 2.1
    assert len(read_state_dict(path)) == 17


def test_a_record_that_was_changed(tmp_path: Path) -> None:
    """The archive's checksums tell of one bit in the weights themselves."""
    values = read_state_dict(FOLDER / "zip.pth")["base"].tobytes()
    place = content("zip.pth").index(values)
    changed = bytearray(content("zip.pth"))
    changed[place] ^= 1
    (tmp_path / "weights.pth").write_bytes(changed)
    assert "checksum" in refusal(read_state_dict, tmp_path / "weights.pth")


def test_compressed_archives_are_not_unpacked(tmp_path: Path) -> None:
    """A record of zeros would unpack to a thousand times its size."""
    rewritten(tmp_path / "weights.pth", zipfile.ZIP_DEFLATED, **{"data/0": bytes(10_000_000)})
    assert "is a compressed or encrypted" in refusal(read_state_dict, tmp_path / "weights.pth")
