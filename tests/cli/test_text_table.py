"""Tables as plain text."""

from cnn_jax.cli.text_table import column_widths, format_table

ROWS = [("name", "count"), ("a", "1,000,000"), ("longer name", "7")]


def test_columns_are_aligned() -> None:
    assert column_widths(ROWS) == [11, 9]
    assert format_table(ROWS, [False, True]) == [
        "name             count", "a            1,000,000", "longer name          7",
    ]  # fmt: skip
    assert format_table(ROWS) == ["name         count", "a            1,000,000", "longer name  7"]


def test_a_head_alone() -> None:
    assert format_table([("a", "b")], [True, True]) == ["a  b"]
