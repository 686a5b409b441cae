"""Each config key acts: another value changes what the experiment does, seen where that key should be seen."""

import dataclasses
import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from cnn_jax import data
from cnn_jax.config.keys import KEYS, LOSSES, MODELS, OPTIMIZERS, SCHEDULES
from cnn_jax.config.tree import default_config, override
from cnn_jax.data.normalize import make_normalization
from cnn_jax.experiment.compile import make_training, steps_per_call
from cnn_jax.experiment.fitting import build, fit, initial_state
from cnn_jax.models import make_model
from cnn_jax.optimization.optimizers import make_optimizer
from cnn_jax.optimization.schedules import make_momentum, make_schedule, plateau_arguments, plateau_start, plateau_step
from tests.support.helpers import QUICK, ROOT, optimizer_block, tiny_config
from tests.support.networks import REPRESENTATIVES, family, image_size, shallow
from tests.support.seen_in_runs import SEEN_IN_RUNS

# Values for a key that another one must go with: (value, companions).
MODEL_VALUES: dict[str, Any] = {
    "hidden": (7,), "activation": "silu", "dropout": 0.25, "initialization": "torch",
    "padding_mode": "extend", "filters": (8, 16), "convs_per_block": 2, "kernel_size": (5, 5), "stride": 2,
    "pool_window": 3, "pool_stride": 1, "norm": "group", "norm_groups": 4, "global_pool": "global_mean",
    "small_images": True, "zero_init_residual": False, "stem": (4, (3, 3), 1), "convs_per_group": 3,
    "logit_scale": 0.5, "norm_momentum": 0.5, "origin": "tensorflow", "width_multiplier": 0.5, "stochastic_depth": 0.5,
    "pool_last": False, "layer_scale": 0.5, "patch_size": 8, "blur_filter_size": 3,
}  # fmt: skip
DEEP = ("resnet", "regnet", "alexnet", "vgg", "mobilenet", "efficientnet", "convnext", "vit", "coatnet")
MODEL_EXCEPTIONS: dict[tuple[str, str], Any] = {
    ("ResNetCifar", "zero_init_residual"): True, ("RegNet", "origin"): "timm", ("LeNet5", "pooling"): "max",
    ("CNN", "pooling"): "mean",
}  # fmt: skip
MODEL_COMPANIONS = {"norm_groups": {"norm": "group"}, "blur_filter_size": {"pooling": "blur_max"}}
OPTIMIZER_VALUES: dict[str, Any] = {
    "layer_decay": 0.5,
    "learning_rate": 0.3, "momentum": 0.5, "nesterov": True, "weight_decay": 0.3, "decay_bias_and_norm": True,
    "clip_norm": 0.01, "b1": 0.5, "b2": 0.6, "eps": 0.5, "decay": 0.5, "rho": 0.5, "trust_coefficient": 0.5,
    "ns_steps": 1, "adam_learning_rate": 0.5, "rate_multipliers": (("bias", 0.5),),
    "lookahead_steps": 2, "lookahead_decay": 0.5,
}  # fmt: skip
OPTIMIZER_COMPANIONS = {"decay_bias_and_norm": {"weight_decay": 0.1}, "lookahead_decay": {"lookahead_steps": 2}}
SCHEDULE_VALUES: dict[str, Any] = {
    "step_size": 3.0, "gamma": 0.5, "unit": "steps", "milestones": (4.0,), "T_max": 4.0, "eta_min": 0.05, "warmup": 2.0,
    "warmup_start_factor": 0.5, "total_steps": 9.0, "pct_start": 0.6, "anneal_strategy": "linear", "div_factor": 3.0,
    "final_div_factor": 2.0, "three_phase": True, "lr_lambda": "0.5", "factor": 0.6, "total_iters": 2.0,
    "start_factor": 0.7, "end_factor": 0.2, "power": 2.0, "T_0": 4.0, "T_mult": 3, "base_lr": 0.1, "step_size_up": 3.0,
    "step_size_down": 5.0, "mode": "triangular2", "cycle_momentum": False, "base_momentum": 0.6, "max_momentum": 0.99,
    "swa_lr": 0.01, "anneal_epochs": 3.0, "patience": 1, "threshold": 0.2, "threshold_mode": "abs", "cooldown": 2,
    "min_lr": 0.1, "eps": 0.2, "metric": "validation_accuracy",
    "schedulers": (("StepLR", {"step_size": 3.0}), ("ExponentialLR", {"gamma": 0.8})),
}  # fmt: skip
# Keys that are seen only beside others.
SCHEDULE_COMPANIONS: dict[tuple[str, str], dict[str, Any]] = {
    ("OneCycleLR", "unit"): {"total_steps": 20.0},
    ("CyclicLR", "gamma"): {"mode": "exp_range"},
    ("ReduceLROnPlateau", "threshold_mode"): {"threshold": 0.5, "patience": 0},
}  # fmt: skip


# Keys that one piece of code reads for all names are tried with one of them: weights and rates pass through each
# optimizer's own hands, what is decayed, clipped and scaled does not; OneCycleLR has its own idea of a unit.
TRIED_ONCE = {
    "decay_bias_and_norm": ("adamw",), "clip_norm": ("adamw",), "rate_multipliers": ("adamw",),
    "layer_decay": ("adamw",),
    "unit": ("StepLR", "OneCycleLR"), "warmup": ("StepLR",), "warmup_start_factor": ("StepLR",),
}  # fmt: skip


def blocks(table: dict[str, dict[str, Any]]) -> list[tuple[str, str]]:
    return [(name, key) for name, keys in table.items() for key in keys if name in TRIED_ONCE.get(key, table)]


def model_value(name: str, key: str) -> Any:
    if (family(name), key) in MODEL_EXCEPTIONS:
        return MODEL_EXCEPTIONS[family(name), key]
    return MODEL_VALUES[key]


@functools.cache
def model_outcome(name: str, pairs: tuple[tuple[str, Any], ...], whole: bool) -> tuple[Any, bytes | str]:
    """Shapes of the parameters, and what the network (few blocks of it) makes of an image; of deep ones the program."""
    block = override(default_config(name), [(f"model.{key}", value) for key, value in pairs]).model
    model = make_model(block, 10)
    model = model if whole else shallow(model)
    size = max(32, image_size(name))
    images = jax.random.normal(jax.random.key(0), (2, size, size, 1))

    def run(images: jax.Array) -> tuple[Any, Any]:
        variables = model.init(jax.random.key(1), images)
        logits, updated = model.apply(
            variables, images, train=True, mutable=["batch_stats"], rngs={"dropout": jax.random.key(2)}
        )
        return variables, (logits, updated)

    if name.startswith(DEEP):  # which take seconds to compile
        return None, str(jax.make_jaxpr(run)(images))
    variables, made = jax.jit(run, compiler_options=QUICK)(images)
    leaves = jax.tree.leaves((variables["params"], made))
    return jax.tree.map(jnp.shape, variables), b"".join(np.asarray(leaf).tobytes() for leaf in leaves)


@pytest.mark.parametrize(
    ("name", "key"),
    [(name, key) for name, key in blocks(MODELS) if name in REPRESENTATIVES and key != "whitening"],
)
def test_model_keys(name: str, key: str) -> None:
    """`whitening` acts where data are: models/test_speednet.py::test_the_first_kernel_is_made_of_the_data."""
    companions = tuple(MODEL_COMPANIONS.get(key, {}).items())
    changes = (*companions, (key, model_value(name, key)))
    # Few blocks tell most keys, in a fraction of the time.
    assert any(model_outcome(name, companions, whole) != model_outcome(name, changes, whole) for whole in (False, True))


def test_networks_of_a_family_read_the_same_keys() -> None:
    for name in set(MODELS) - set(REPRESENTATIVES):
        for key in MODELS[name]:
            value = model_value(name, key)
            block = override(default_config(name), [(f"model.{key}", value)]).model
            assert getattr(make_model(block, 10), key) == value


@pytest.mark.parametrize(("name", "key"), blocks(OPTIMIZERS))
def test_optimizer_keys(name: str, key: str) -> None:
    keys = jax.random.split(jax.random.key(0), 4)
    start = {"conv": {"kernel": jax.random.normal(keys[0], (3, 3, 2, 4)), "bias": jnp.ones(4)}}
    gradients = [
        {"conv": {"kernel": size * jax.random.normal(key, (3, 3, 2, 4)), "bias": size * jnp.arange(4.0)}}
        for key, size in zip(keys[1:], (1.0, 10.0, 0.5), strict=True)
    ]

    def path(**changes: Any) -> list[np.ndarray]:
        optimizer = make_optimizer(
            optimizer_block(name, **changes), lambda base: lambda step: base, steps=4, layers=("conv", "head")
        )
        w, state = start, optimizer.init(start)
        for gradient in gradients:
            updates, state = optimizer.update(gradient, state, w)
            w = optax.apply_updates(w, updates)
        return [np.asarray(leaf) for leaf in jax.tree.leaves(w)]

    value = {("muon", "nesterov"): False}.get((name, key), OPTIMIZER_VALUES[key])
    companions = OPTIMIZER_COMPANIONS.get(key, {}) | ({"momentum": 0.9} if key == "nesterov" else {})
    companions |= {"learning_rate": 0.01} if name == "lion" else {}
    plain, changed = path(**companions), path(**(companions | {key: value}))
    assert not all(np.allclose(a, b, rtol=1e-4, atol=1e-7) for a, b in zip(plain, changed, strict=True))


@pytest.mark.parametrize(("name", "key"), blocks(SCHEDULES))
def test_schedule_keys(name: str, key: str) -> None:
    def curve(**changes: Any) -> np.ndarray:
        """Rates, momenta and, on a plateau, what is watched and the factors of a metric that gets stuck."""
        block = {"name": name} | {k: entry.default for k, entry in SCHEDULES[name].items()} | changes
        steps = jnp.arange(150)
        seen = [jax.vmap(make_schedule(block, 0.3, 5, 30))(steps)]
        momentum, arguments = make_momentum(block, 5, 30), plateau_arguments(block)
        if momentum is not None:
            seen.append(jax.vmap(momentum)(steps))
        if arguments is not None:
            state = plateau_start(arguments)
            for value in (3.0, 2.0, 1.5, 1.4, *np.linspace(1.35, 1.0, 10), *[1.0] * 30):
                state = plateau_step(state, value, arguments, 0.3)
                seen.append(state.factor)
            seen.append(arguments["metric"] == "validation_loss")
        return np.concatenate([np.ravel(one) for one in seen])

    companions = SCHEDULE_COMPANIONS.get((name, key), {})
    if key == "warmup_start_factor":
        companions = companions | {"warmup": 4.0}
    value = "max" if (name, key) == ("ReduceLROnPlateau", "mode") else SCHEDULE_VALUES[key]
    plain, changed = curve(**companions), curve(**(companions | {key: SCHEDULES[name][key].rule(value)}))
    assert plain.shape != changed.shape or not np.allclose(plain, changed, atol=1e-6)


# The other keys: a value, and what shows it.


def splits_of(config: Any) -> data.Splits:
    return data.load(config.data)


def sizes(config: Any) -> tuple[int, ...]:
    splits = splits_of(config)
    return tuple(0 if part is None else len(part) for part in (splits.train, splits.validation, splits.test))


def one_step(config: Any) -> list[np.ndarray]:
    """Parameters after one step, and its loss."""
    experiment = build(config)
    train, feed = make_training(experiment)
    with feed(0, 1) as works:
        state, sums = train(initial_state(experiment), next(works)[0])
    return [np.asarray(leaf) for leaf in (*jax.tree.leaves(state.params), sums["loss"])]


def different(first: Any, second: Any) -> bool:
    if isinstance(first, list):
        return not all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))
    return bool(first != second)


@dataclasses.dataclass
class Case:
    value: Any
    seen: Callable[[Any], Any]
    companions: tuple[tuple[str, Any], ...] = ()


SEEN_IN_PARTS: dict[str, Case] = {
    "seed": Case(3, one_step),
    "data.image_size": Case((12, 12), lambda config: splits_of(config).image_shape),
    "data.channels": Case(3, lambda config: splits_of(config).image_shape),
    "data.resize": Case("stretch", lambda config: [splits_of(config).train.images], (("data.image_size", (6, 12)),)),
    "data.validation": Case(0.3, sizes),
    "data.test": Case(100, sizes),
    "data.folds": Case(3, sizes),
    "data.fold": Case(1, lambda config: [splits_of(config).train.images[:50]], (("data.folds", 3),)),
    "data.center_crop": Case(0.5, lambda config: [splits_of(config).train.images]),
    "data.interpolation": Case(
        "bicubic", lambda config: [splits_of(config).train.images], (("data.image_size", (6, 6)),)
    ),
    "data.normalization": Case("half", lambda config: make_normalization(config.data.normalization, splits_of(config))),
    "augment": Case((("flip", 1.0),), one_step),
    "data.loading": Case("streamed", lambda config: splits_of(config).loading),
    "data.sampling": Case("balanced", one_step),
    "data.examples": Case(300, sizes, (("data.source", "synthetic"), ("data.examples", 200))),
    "data.classes": Case(
        5, lambda config: splits_of(config).num_classes, (("data.source", "synthetic"), ("data.examples", 200))
    ),
    "augment_padding_mode": Case("wrap", one_step),
    "loss.label_smoothing": Case(0.3, one_step),
    "loss.class_weights": Case("balanced", one_step),
    "batch_size": Case(64, lambda config: build(config).steps_per_epoch),
    "num_epochs": Case(7, lambda config: float(build(config).schedule(19))),
    "precision": Case("bfloat16", one_step),
    "remat": Case("stage", lambda config: build(config).model.compute.remat),
    "freeze": Case("block", one_step),
    "accumulate_steps": Case(2, one_step),
    "ema_decay": Case(0.9, lambda config: initial_state(build(config)).averaged is not None),
    "swa_start": Case(1, lambda config: initial_state(build(config)).averaged is not None),
    "steps_per_call": Case(5, lambda config: steps_per_call(build(config))),
    "parallel.devices": Case(4, lambda config: build(config).devices.count),
    "parallel.strategy": Case("pmap", lambda config: build(config).devices.axis),
    "parallel.batch_norm": Case("per_device", one_step, (("parallel.devices", 8),)),
}


@functools.cache
def seen_plainly(seen: Callable[[Any], Any], companions: tuple[tuple[str, Any], ...]) -> Any:
    """What is seen without the key, which must be the same each time."""
    config = override(tiny_config(), companions)
    first = seen(config)
    assert not different(first, seen(config))
    return first


def test_class_weights_by_name_act() -> None:
    changed = override(tiny_config(), [("loss.class_weights", (("3", 5.0),))])
    assert different(seen_plainly(one_step, ()), one_step(changed))


@pytest.mark.parametrize("key", SEEN_IN_PARTS)
def test_other_keys(key: str) -> None:
    case = SEEN_IN_PARTS[key]
    changed = override(tiny_config(), (*case.companions, (key, case.value)))
    assert different(seen_plainly(case.seen, case.companions), case.seen(changed))


def test_the_evaluation_batch_size_acts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from cnn_jax.experiment import fitting as module

    seen: list[int] = []
    original = module.evaluate

    def spy(program: Any, variables: Any, examples: Any, batch_size: int, *rest: Any) -> dict[str, float]:
        seen.append(batch_size)
        return original(program, variables, examples, batch_size, *rest)

    monkeypatch.setattr(module, "evaluate", spy)
    fit(tiny_config(num_epochs=1, eval_batch_size=50), tmp_path / "run")
    assert set(seen) == {50}


def test_no_key_is_forgotten() -> None:
    of_losses = {f"loss.{key}" for keys in LOSSES.values() for key in ("name", *keys)}
    assert set(SEEN_IN_PARTS) | set(SEEN_IN_RUNS) == set(KEYS) | of_losses
    tests = ROOT / "tests"
    for place_of_test in SEEN_IN_RUNS.values():
        file, name = place_of_test.split("::")
        assert f"def {name}(" in (tests / file).read_text()
