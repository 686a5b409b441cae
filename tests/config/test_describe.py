"""What `--help` says of the config: the usual keys, those of a topic, or all."""

import pytest

from cnn_jax.config import keys as k
from cnn_jax.config.describe import USUAL, describe, describe_usual, topics
from cnn_jax.config.tree import default_config, every_key, flatten
from tests.support.helpers import refusal


def settings(text: str) -> list[str]:
    """The keys that a text lists, in order."""
    lines = [line for line in text.splitlines() if line.startswith("  ") and line[2] != " "]
    return [line.strip().partition("=")[0] for line in lines]


@pytest.mark.parametrize("block", k.VARIANTS)
def test_a_block_lists_its_variants(block: str) -> None:
    text = describe(block)
    assert [line for line in text.splitlines() if ".name=" in line] == [f"{block}.name={n}" for n in k.VARIANTS[block]]
    assert settings(text) == [f"{block}.{key}" for keys in k.VARIANTS[block].values() for key in keys]


@pytest.mark.parametrize(
    ("topic", "keys"),
    [
        ("OneCycleLR", [f"schedule.{key}" for key in k.SCHEDULES["OneCycleLR"]]),
        ("adamw", [f"optimizer.{key}" for key in k.OPTIMIZERS["adamw"]]),
        ("checkpoint", ["checkpoint.every", "checkpoint.unit", "checkpoint.keep", "checkpoint.metric"]),
        ("training", [key for key in k.KEYS if "." not in key]),
        ("batch_size", ["batch_size"]),
    ],
)
def test_topics(topic: str, keys: list[str]) -> None:
    assert settings(describe(topic)) == keys


def test_every_key_has_a_topic() -> None:
    found = {key for topic in topics() for key in settings(describe(topic))}
    names = {f"{block}.name" for block in k.VARIANTS}
    assert found - {key for key in found if key.startswith("(")} == set(every_key()) - names


def test_augment_lists_the_operations() -> None:
    assert all(f"('{name}', {entry.default})" in describe("augment") for name, entry in k.AUGMENTATIONS.items())
    assert "('randaugment'" in describe("randaugment")


def test_an_unknown_topic() -> None:
    assert "(did you mean 'OneCycleLR'?); there are all, training, data, " in refusal(describe, "onecycle")
    assert "(did you mean 'optimizer'?)" in refusal(describe, "optimiser")


def test_the_usual_keys_have_the_values_of_the_config() -> None:
    config = default_config(optimizer="lion")
    config.batch_size, config.model.filters = 17, (3,)
    text = describe_usual(flatten(config), "mine.py")
    assert "as mine.py has them" in text
    assert settings(text.partition("more keys")[0]) == list(USUAL)
    for setting in ("batch_size=17", "optimizer.name=lion", "optimizer.learning_rate=0.0001"):
        assert f"  {setting} " in text
    assert max(map(len, text.splitlines())) <= 120
