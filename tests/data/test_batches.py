"""Which examples a step sees, and what a batch is."""

import jax.numpy as jnp
import numpy as np

from cnn_jax.data.feeding.batches import padded_batches
from cnn_jax.data.feeding.device_dataset import gather_batch, put_on_device
from cnn_jax.data.feeding.order import epoch_order, in_order
from cnn_jax.data.splits import Examples
from cnn_jax.runtime.devices import choose_devices
from tests.support.helpers import ROOT


def test_an_epoch_sees_every_example_at_most_once_and_every_epoch_differs() -> None:
    orders = [epoch_order(0, epoch, 50, 8) for epoch in range(3)]
    for order in orders:
        assert order.shape == (6, 8)
        assert len(set(order.reshape(-1))) == 48
    assert not np.array_equal(orders[0], orders[1])
    assert np.array_equal(orders[2], epoch_order(0, 2, 50, 8))
    assert not np.array_equal(orders[0], epoch_order(1, 0, 50, 8))


def test_a_batch_keeps_the_contract_and_masks_padding() -> None:
    examples = Examples(np.arange(5, dtype=np.uint8).reshape(5, 1, 1, 1), np.arange(5, dtype=np.int32))
    assert in_order(5, 3).tolist() == [[0, 1, 2], [3, 4, 5]]
    padded = list(padded_batches(examples, 3))[1]
    assert padded["mask"].tolist() == [True, True, False]
    batch = gather_batch(put_on_device(examples, choose_devices(count=1)), jnp.array([3, 4, 1]))
    assert batch["label"].tolist() == batch["index"].tolist() == [3, 4, 1]
    assert batch["mask"].all()
    assert batch["image"].dtype == jnp.uint8
    assert set(batch) == set(padded) == {"image", "label", "index", "mask"}


def test_nothing_of_the_data_is_in_the_project() -> None:
    assert not list(ROOT.rglob("*.array_record"))
