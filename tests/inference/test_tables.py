"""Tables of predictions on disk: whole, or what was there before."""

import os
from pathlib import Path

from cnn_jax.inference.tables import open_table
from tests.support.helpers import refusal


def test_a_table_takes_its_place_at_the_end(tmp_path: Path) -> None:
    """Nothing of what was there is lost before, nor by an error; a link stays a link."""
    (tmp_path / "former.csv").write_text("former")
    (tmp_path / "link.csv").symlink_to("former.csv")
    table = open_table(str(tmp_path / "link.csv"))
    table.write("half")
    table.__exit__(KeyError, KeyError(), None)
    assert (tmp_path / "former.csv").read_text() == "former"
    with open_table(str(tmp_path / "link.csv")) as table:
        table.write("a\r\n")
        assert (tmp_path / "former.csv").read_text() == "former"
    assert (tmp_path / "former.csv").read_bytes() == b"a\r\n"
    assert sorted(os.listdir(tmp_path)) == ["former.csv", "link.csv"]


def test_where_no_table_can_be_is_said_at_once(tmp_path: Path) -> None:
    for name in ("", "nowhere/a.csv", "x" * 300):
        assert "cannot be written" in refusal(open_table, str(tmp_path / name))
    open_table(str(tmp_path / "new.csv"))
    assert not list(tmp_path.iterdir())


def test_a_pipe_is_written_as_it_is() -> None:
    """Nothing is put in its place."""
    reader, writer = os.pipe()
    try:
        with open_table(f"/dev/fd/{writer}") as table:
            table.write("a\r\n")
        assert os.read(reader, 10) == b"a\r\n"
    finally:
        os.close(reader)
        os.close(writer)
