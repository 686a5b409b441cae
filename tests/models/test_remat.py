"""Stages that are computed again on the way back."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cnn_jax.config.tree import default_config, validate
from cnn_jax.errors import InputError
from cnn_jax.models import make_model, make_table
from cnn_jax.models.cnn import CNN
from cnn_jax.models.compute_config import ComputeConfig
from cnn_jax.models.resnet import ResNet
from tests.support.helpers import QUICK
from tests.support.networks import REPRESENTATIVES, image_size, shallow


def staged(name: str, remat: str) -> Any:
    compute = ComputeConfig(jnp.float64, remat=remat)
    if name == "cnn":
        return CNN(3, compute, filters=(4, 8), convs_per_block=2, hidden=())
    return ResNet(3, compute, blocks=(2, 1), small_images=True)


@pytest.mark.parametrize("name", ["cnn", "resnet"])
def test_computing_stages_again_changes_what_is_kept_and_nothing_else(name: str) -> None:
    with jax.enable_x64(True):
        images = jax.random.normal(jax.random.key(0), (4, 8, 8, 1), jnp.float64)

        def trained(remat: str) -> tuple[Any, int]:
            """Variables, gradients and new statistics; and how many values of maps wait for the way back."""
            model = staged(name, remat)

            def loss(params: Any, variables: Any) -> tuple[jax.Array, Any]:
                variables = {**variables, "params": params}
                logits, updated = model.apply(variables, images, train=True, mutable=["batch_stats"])
                return (logits**2).sum(), updated

            def run() -> Any:
                variables = model.init(jax.random.key(1), images)
                return variables, jax.grad(loss, has_aux=True)(variables["params"], variables)

            def back() -> Any:
                variables = model.init(jax.random.key(1), images)
                return jax.vjp(partial(loss, variables=variables), variables["params"], has_aux=True)[1]

            waiting = jax.tree.leaves(jax.eval_shape(back))
            maps = [leaf.size for leaf in waiting if leaf.ndim == 4 and leaf.shape[0] == len(images)]
            return jax.jit(run, compiler_options=QUICK)(), sum(maps)

        (plain, all_kept), (again, kept) = trained("none"), trained("stage")
        assert jax.tree.structure(plain) == jax.tree.structure(again)
        for ours, other in zip(jax.tree.leaves(again), jax.tree.leaves(plain), strict=True):
            np.testing.assert_allclose(ours, other, rtol=1e-12, atol=1e-12)
        assert 0 < kept < 0.25 * all_kept
        assert make_table(staged(name, "stage"), (8, 8, 1)) == make_table(staged(name, "none"), (8, 8, 1))


@pytest.mark.parametrize("name", REPRESENTATIVES)
def test_only_models_with_stages_take_remat(name: str) -> None:
    """Their stages are computed again, and are called as before."""
    config = default_config(name)
    config.remat = "stage"
    if name in ("linear", "mlp", "lenet5"):
        with pytest.raises(InputError, match=f"config.remat='stage': the model '{name}' has no stages"):
            validate(config)
        return
    block, shape = validate(config).model, (max(32, image_size(name)),) * 2 + (3,)
    plain, again = (shallow(make_model(block, 10, remat=remat)) for remat in ("none", "stage"))
    assert make_table(again, shape) == make_table(plain, shape)
    program = jax.make_jaxpr(lambda: again.init(jax.random.key(0), jnp.zeros((1, *shape))))()
    parts = [equation for equation in program.eqns if equation.primitive.name.startswith(("remat", "checkpoint"))]
    assert len(parts) > 1  # a stem, or several stages
