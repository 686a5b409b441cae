"""Starting from another run's weights: all of them, or its backbone; and what of them is frozen."""

import dataclasses
import re
import shutil
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

from cnn_jax.errors import InputError
from cnn_jax.experiment.compile import make_evaluation, make_training
from cnn_jax.experiment.fitting import Experiment, build, fit, initial_state
from cnn_jax.experiment.warm_start import WarmStart, read_init_from, read_start, warm_start
from cnn_jax.inference.run import load_run
from cnn_jax.models import make_model
from cnn_jax.models.parameter_names import parameter_names
from cnn_jax.training.evaluation import evaluate
from tests.support.helpers import read_json, tiny_config


def started(experiment: Experiment) -> tuple[Any, WarmStart]:
    start = read_start(experiment)
    assert start is not None
    return warm_start(initial_state(experiment), experiment.optimizer, start), start


def flat(tree: Any) -> dict[str, np.ndarray]:
    return dict(zip(jax.tree.leaves(parameter_names(tree)), map(np.asarray, jax.tree.leaves(tree)), strict=True))


def same(first: Any, second: Any) -> set[str]:
    """The names of the arrays that are equal to the bit."""
    one, other = flat(first), flat(second)
    assert one.keys() == other.keys()
    return {name for name in one if np.array_equal(one[name], other[name])}


def test_with_the_same_classes_everything_is_taken(trained: Path) -> None:
    experiment = build(tiny_config(init_from=str(trained), seed=5, ema_decay=0.9))
    state, start = started(experiment)
    run = load_run(trained)
    assert len(same(state.variables, run.variables)) == len(flat(run.variables))
    assert len(same(state.ema, run.variables)) == len(flat(run.variables))
    assert not any(np.any(leaf) for leaf in jax.tree.leaves(state.opt_state))
    assert int(state.step) == 0
    assert re.search(r"all weights \(10 classes: 0, 1, 2, \.\.\. there", start.notes[0])
    assert len(start.notes) == 1
    # The first evaluation is the old one.
    validation = experiment.splits.validation
    assert validation is not None
    figures = [
        evaluate(make_evaluation(experiment), variables, validation, 50)
        for variables in (state.variables, run.variables)
    ]
    assert figures[0] == figures[1]
    # Training may reuse the memory of parameters without the averages or the other run's weights noticing.
    train, feed = make_training(experiment)
    before = flat(run.variables)
    with feed(0, 1) as works:
        train(state, next(works)[0])
    assert all(np.array_equal(before[name], value) for name, value in flat(load_run(trained).variables).items())


def test_with_a_frozen_backbone_only_the_head_changes(trained: Path, tmp_path: Path) -> None:
    """Running statistics stay as well, to the bit; and a run that goes on does not read the other one again."""
    source, variables = tmp_path / "source", load_run(trained).variables
    shutil.copytree(trained, source)
    for epochs in (1, 2):
        fit(tiny_config(init_from=str(source), freeze="block", num_epochs=epochs), tmp_path / "run")
        after = load_run(tmp_path / "run").variables
        changed = set(flat(variables)) - same(variables, after)
        assert changed == {"params/head/logits/kernel", "params/head/logits/bias"}
        shutil.rmtree(source, ignore_errors=True)


def test_lookahead_begins_with_the_given_weights(trained: Path) -> None:
    """Its slow weights are part of the optimizer's state; those of a fresh network would pull the others back."""
    state, _ = started(
        build(
            tiny_config(
                init_from=str(trained),
                seed=5,
                optimizer={"name": "sgd", "lookahead_steps": 2},
                schedule__name="constant",
            )
        )
    )
    assert len(same(state.opt_state.slow, state.params)) == len(flat(state.params))


def test_no_epochs_are_an_evaluation(trained: Path, tmp_path: Path) -> None:
    """Of the weights as they were."""
    summary = fit(tiny_config(init_from=str(trained), seed=5, num_epochs=0), tmp_path / "run")
    before = read_json(trained / "summary.json")
    assert (summary["best_epoch"], summary["steps"]) == (0, 0)
    assert [summary[key] for key in ("validation_accuracy", "test_loss")] == [
        before[key] for key in ("validation_accuracy", "test_loss")
    ]


def read(source: Path, **changes: Any) -> WarmStart:
    """With a tiny network, for data that are like the source's but for the changes."""
    run = load_run(source)
    model = changes.pop("model", tiny_config().model)
    of_run = {"image_shape": run.image_shape, "class_names": run.class_names, "normalization": run.normalization}
    arguments = of_run | changes
    network = make_model(model, len(arguments["class_names"]))
    return read_init_from(source, model["name"], network, **arguments)


def test_with_other_classes_the_head_is_new(trained: Path) -> None:
    names = load_run(trained).class_names
    for others, why in ((("cat", "dog"), "others"), (names[::-1], "in another order")):
        start = read(trained, class_names=others)
        assert "head" not in start.variables["params"]
        assert set(start.variables["params"]) == set(start.variables["batch_stats"]) == {"block1", "block2"}
        assert len(start.notes) == 1
        assert f"the weights of the backbone; the head is new, because the classes are {why}" in start.notes[0]


def test_a_new_head_keeps_its_own_first_values(trained: Path) -> None:
    experiment = build(tiny_config(init_from=str(trained), seed=5))
    start = read(trained, class_names=tuple("abcdefghij"))
    fresh = initial_state(experiment)
    state = warm_start(fresh, experiment.optimizer, start)
    assert same(state.params["head"], fresh.params["head"]) == {"logits/kernel", "logits/bias"}
    run = load_run(trained)
    for part in ("block1", "block2"):
        assert len(same(state.params[part], run.variables["params"][part])) == len(flat(state.params[part]))


def test_another_normalisation_is_said(trained: Path) -> None:
    other = dataclasses.replace(load_run(trained).normalization, mean=(0.25,))
    notes = read(trained, normalization=other).notes
    assert len(notes) == 2
    assert "its pixels were normalised in another way (dataset, mean 0.306, deviation" in notes[1]
    assert "dataset, mean 0.25, deviation" in notes[1]


def test_another_image_size_is_taken_where_the_shapes_fit(trained: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="head/logits/kernel is 32x10 there and 128x10 here"):
        read(trained, image_shape=(16, 16, 1))
    # Only the head looks at the size of the maps.
    assert read(trained, image_shape=(16, 16, 1), class_names=("a", "b")).variables["params"].keys() == {
        "block1",
        "block2",
    }


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"model": {"filters": (8, 12)}}, "block2/conv1/kernel is 3x3x8x8 there and 3x3x8x12 here"),
        ({"model": {"convs_per_block": 2}}, "block1/conv2/kernel is absent there and 3x3x8x8 here"),
        ({"model": {"hidden": (5,)}}, "head/hidden1/bias is absent there and 5 here"),
        ({"model": {"norm": "none"}}, "block1/conv1/bias is absent there and 8 here"),
        ({"image_shape": (8, 8, 3)}, "its images are 8x8x1 and these 8x8x3; set data.channels=1"),
    ],
)
def test_another_network_is_refused_with_the_first_array_that_differs(
    trained: Path, changes: dict[str, Any], words: str
) -> None:
    if "model" in changes:
        changes = {"model": tiny_config(**{f"model__{key}": value for key, value in changes["model"].items()}).model}
    with pytest.raises(InputError, match=re.escape(words)) as caught:
        read(trained, **changes)
    assert str(caught.value).startswith(f"config.init_from='{trained}'")
    assert "\n" not in str(caught.value)


def test_where_there_is_nothing_to_start_from(tmp_path: Path) -> None:
    """Said before the new run directory is made."""
    for source, words in ((tmp_path / "nowhere", "this is not a run directory"), (tmp_path, "not a run directory")):
        with pytest.raises(InputError, match=f"config.init_from='{source}': .*{words}"):
            fit(tiny_config(init_from=str(source)), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_head_alone_is_nothing_to_take(tmp_path: Path) -> None:
    fit(tiny_config(model={"name": "linear"}, num_epochs=1), tmp_path / "run")
    with pytest.raises(InputError, match="its classes are others, and before its head this model has no weights"):
        read(tmp_path / "run", model=tiny_config(model={"name": "linear"}).model, class_names=("a", "b"))
