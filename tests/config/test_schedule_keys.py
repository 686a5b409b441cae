"""Schedules in a config: compositions, what is refused in one line, and runs that were saved with former names."""

from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest

from cnn_jax.config import tree as c
from cnn_jax.config.overrides import parse_overrides
from cnn_jax.config.schedule_keys import cycles_momentum
from cnn_jax.optimization.schedules import make_momentum, make_schedule
from tests.support.helpers import refusal


def changed(name: str, **changes: Any) -> Any:
    config = c.default_config(schedule=name)
    return c.override(config, [(f"schedule.{key}", value) for key, value in changes.items()])


def test_children_get_their_defaults_and_survive_json() -> None:
    config = changed(
        "SequentialLR", schedulers=[["SWALR"], ["StepLR", {"gamma": 1}], ("LinearLR", {})], milestones=[3, 4]
    )
    assert config.schedule.schedulers == (
        ("SWALR", {"swa_lr": None, "anneal_epochs": 10.0, "anneal_strategy": "cos"}),
        ("StepLR", {"step_size": 10.0, "gamma": 1.0}),
        ("LinearLR", {"start_factor": 1 / 3, "end_factor": 1.0, "total_iters": 5.0}),
    )
    assert c.from_json(c.to_json(config)) == config
    assert c.differences(c.from_json(c.to_json(config)), config) == {}
    again = c.from_json(c.to_json(c.from_json(c.to_json(config))))
    assert again.to_dict() == config.to_dict() == c.validate(config).to_dict()


def test_children_come_as_a_flag() -> None:
    flags = [
        ("schedule.name", "SequentialLR"),
        ("schedule.schedulers", "(('LinearLR', {'total_iters': 5}), ('LambdaLR', {'lr_lambda': '1 / t'}))"),
        ("schedule.milestones", "5"),
    ]
    config = c.override(c.default_config(), parse_overrides(flags))
    assert [name for name, _ in config.schedule.schedulers] == ["LinearLR", "LambdaLR"]
    assert config.schedule.milestones == (5.0,)
    assert c.from_json(c.to_json(config)) == config
    rates = make_schedule(config.schedule, 1.0, 2, 10)(jnp.arange(20))
    np.testing.assert_allclose(rates[8:14], [0.8666667, 0.9333333, np.inf, 2.0, 1.0, 2 / 3], rtol=1e-6)


@pytest.mark.parametrize(("text", "value"), [("0.95 ** t", "0.95 ** t"), ("0.95", "0.95"), ("1", "1"), ("-t", "-t")])
def test_arithmetic_comes_as_a_flag(text: str, value: str) -> None:
    flags = [("schedule.name", "LambdaLR"), ("schedule.lr_lambda", text)]
    assert c.override(c.default_config(), parse_overrides(flags)).schedule.lr_lambda == value


REFUSED: list[tuple[str, dict[str, Any], str]] = [
    ("SequentialLR", {"schedulers": ()}, "it must be a tuple of (name, {arguments}) pairs, as in (('LinearLR', "),
    ("SequentialLR", {"schedulers": "LinearLR"}, "it must be a tuple of (name, {arguments}) pairs"),
    ("SequentialLR", {"schedulers": (("LinearLR", {}, {}),)}, "it must be a tuple of (name, {arguments}) pairs"),
    ("SequentialLR", {"schedulers": (("LinearLR", 5),)}, "it must be a tuple of (name, {arguments}) pairs"),
    ("SequentialLR", {"schedulers": 5}, "it must be a tuple of (name, {arguments}) pairs"),
    ("SequentialLR", {"schedulers": (("LinearLR", {}), ("StepL", {}))},
     "it is wrong in scheduler 2, 'StepL': there is none (did you mean 'StepLR'?); there are constant, LambdaLR"),
    ("SequentialLR", {"schedulers": (("LinearLR", {}), ("StepLR", {"gama": 2}))},
     "it is wrong in scheduler 2, 'StepLR': it has no 'gama' (did you mean 'gamma'?); it has step_size, gamma"),
    ("SequentialLR", {"schedulers": (("LinearLR", {}), ("StepLR", {"gamma": -2}))},
     "it is wrong in scheduler 2, 'StepLR': gamma=-2: it must be a number above 0"),
    ("SequentialLR", {"schedulers": (("LinearLR", {"warmup": 3}), ("StepLR", {}))},
     "it is wrong in scheduler 1, 'LinearLR': 'warmup' is one for all of them, config.schedule.warmup"),
    ("SequentialLR", {"schedulers": (("LambdaLR", {"lr_lambda": "t.real"}), ("StepLR", {}))},
     "it is wrong in scheduler 1, 'LambdaLR': lr_lambda='t.real': it holds `t.real`, which is not read; there are"),
    ("SequentialLR", {"schedulers": (("LinearLR", {}), ("ChainedScheduler", {}))},
     "scheduler 2, 'ChainedScheduler': a composition cannot be part of another"),
    ("ChainedScheduler", {"schedulers": (("SequentialLR", {}),)}, "a composition cannot be part of another"),
    ("SequentialLR", {"schedulers": (("LinearLR", {}), ("ReduceLROnPlateau", {}))},
     "scheduler 2, 'ReduceLROnPlateau': it needs a metric, and can only stand alone"),
    ("SequentialLR", {"schedulers": (("LinearLR", {}), ("OneCycleLR", {}))},
     "scheduler 2, 'OneCycleLR': it sets the others' base rate, and can only be the first"),
    ("SequentialLR", {"schedulers": (("CyclicLR", {}), ("StepLR", {}))},
     "scheduler 1, 'CyclicLR': it sets the others' base rate; only MultiplicativeLR and SWALR can follow"),
    ("SequentialLR", {"schedulers": (("StepLR", {}), ("CyclicLR", {}), ("CyclicLR", {})), "milestones": (1, 2)},
     "it has several schedulers that cycle the momentum; set cycle_momentum=False in all but one"),
    ("SequentialLR", {"milestones": (3, 5)}, "config.schedule.milestones=(3.0, 5.0): 2 schedulers need 1, one fewer"),
    ("SequentialLR", {"milestones": ()}, "config.schedule.milestones=(): 2 schedulers need 1, one fewer"),
    ("SequentialLR", {"milestones": (0,)}, "milestones=(0,): it must be a tuple, each a number above 0"),
    ("SequentialLR", {"schedulers": (("StepLR", {}),) * 3, "milestones": (5, 5)},
     "config.schedule.milestones=(5.0, 5.0): each must be later than the one before"),
    ("ChainedScheduler", {"schedulers": (("StepLR", {}), ("LambdaLR", {}))},
     "scheduler 2, 'LambdaLR': PyTorch's does not multiply the rate that it finds; MultiplicativeLR, StepLR"),
    ("ChainedScheduler", {"schedulers": (("CosineAnnealingLR", {"T_max": 5}),)},
     "scheduler 1, 'CosineAnnealingLR': it is a factor only with T_max=None and eta_min=0"),
    ("ChainedScheduler", {"schedulers": (("CosineAnnealingLR", {"eta_min": 0.1}),)}, "only with T_max=None"),
    ("CyclicLR", {"base_lr": 0.2},
     "base_lr=0.2 of CyclicLR is above its highest rate, which is config.optimizer.learning_rate=0.1"),
    ("SequentialLR", {"schedulers": (("CyclicLR", {"base_lr": 2}), ("SWALR", {}))}, "base_lr=2 of CyclicLR is above"),
    ("ReduceLROnPlateau", {"mode": "max"}, "config.schedule.mode='max': of validation_loss, better is 'min'"),
    ("ReduceLROnPlateau", {"metric": "validation_accuracy"}, "of validation_accuracy, better is 'max'"),
    ("ReduceLROnPlateau", {"factor": 1.0}, "it must be a number above 0 and below 1"),
    ("LambdaLR", {"lr_lambda": "__import__('os')"}, "lr_lambda=\"__import__('os')\": it holds `__import__('os')`"),
    ("LambdaLR", {"lr_lambda": True}, "it must be arithmetic of t, as in '0.95 ** t'"),
    ("LambdaLR", {"lr_lambda": None}, "it must be arithmetic of t, as in '0.95 ** t'"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "changes", "words"), REFUSED)
def test_refused_in_one_line(name: str, changes: dict[str, Any], words: str) -> None:
    message = refusal(changed, name, **changes)
    assert words in message
    assert message.startswith("config.schedule")
    assert len(message) < 500


def saved(schedule: dict[str, Any]) -> dict[str, Any]:
    return c.to_json(c.default_config()) | {"schedule": schedule}


def test_runs_that_were_saved_with_former_names() -> None:
    warmed = c.from_json(saved({
        "name": "warmup_cosine", "unit": "epochs", "warmup": 3.0, "warmup_start_factor": 0.1, "T_max": None,
        "eta_min": 0.0,
    }))  # fmt: skip
    assert warmed.schedule.name == "CosineAnnealingLR"
    rates = make_schedule(warmed.schedule, 0.4, 10, 10)(jnp.arange(100))
    rise, share = 0.1 + 0.9 * np.arange(30) / 30, np.arange(70) / 70
    np.testing.assert_allclose(rates, 0.4 * np.concatenate([rise, (1 + np.cos(np.pi * share)) / 2]), atol=4e-7)

    cycle = c.from_json(saved({
        "name": "one_cycle", "unit": "epochs", "total_steps": None, "pct_start": 0.3, "anneal_strategy": "cos",
        "div_factor": 25.0, "final_div_factor": 1e4, "three_phase": False,
    }))  # fmt: skip
    assert cycle.schedule.name == "OneCycleLR"
    assert cycle.schedule.cycle_momentum is False
    assert make_momentum(cycle.schedule, 10, 10) is None
    assert c.from_json(c.to_json(changed("OneCycleLR"))).schedule.cycle_momentum == "auto"

    for former, name in (("step", "StepLR"), ("constant", "constant")):
        block = {"name": former} | ({"step_size": 3.0, "gamma": 0.1, "unit": "steps"} if former == "step" else {})
        assert c.from_json(saved(block)).schedule.name == name


def test_which_configs_cycle_the_momentum() -> None:
    for name in ("CyclicLR", "OneCycleLR"):
        for cycled in (True, False):
            assert cycles_momentum(c.flatten(changed(name, cycle_momentum=cycled))) is cycled
            schedulers = ((name, {"cycle_momentum": cycled}), ("SWALR", {}))
            config = changed("SequentialLR", schedulers=schedulers)
            assert cycles_momentum(c.flatten(config)) is cycled
            assert (make_momentum(config.schedule, 10, 10) is not None) is cycled
    assert not cycles_momentum(c.flatten(changed("ChainedScheduler")))
    assert not cycles_momentum(c.flatten(changed("StepLR")))
