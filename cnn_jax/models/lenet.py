"""LeNet-5 (LeCun, Bottou, Bengio & Haffner 1998, figure 2)."""

import jax

from cnn_jax.models.layers import ACTIVATIONS, Classifier, Conv, Dense, Head, Pool, flatten, maximum_first


class LeNet5(Classifier):
    """6 and 16 filters of 5x5, then 120 and 84 units: 61,706 parameters for ten classes of 28x28x1 images.

    As today's implementations do it: the 120-unit layer is dense (on the original size it is the same as the 5x5
    convolution), every filter of the second layer sees all six maps, pooling has no weights, the output is a softmax.
    """

    activation: str = "tanh"
    pooling: str = "mean"
    edges: str = "zero"
    initialization: str = "glorot_uniform"

    def backbone(self, x: jax.Array, train: bool) -> jax.Array:
        activation = ACTIVATIONS[self.activation]
        for i, (filters, edges) in enumerate(((6, self.edges), (16, "crop")), start=1):
            conv = Conv(
                filters, (5, 5), edges=edges, initialization=self.initialization, setting=self.setting, name=f"conv{i}"
            )
            pool = Pool(self.pooling, name=f"pool{i}")
            is_first = maximum_first(pool, self.activation)
            x = activation(conv(x, pool=pool)) if is_first else pool(activation(conv(x)))
        return activation(Dense(120, self.initialization, self.setting, name="dense")(flatten(x)))

    def head(self, x: jax.Array, train: bool) -> jax.Array:
        return Head(
            self.num_classes, (84,), 0.0, self.activation, self.initialization, self.setting, name="head"
        )(x, train)  # fmt: skip
