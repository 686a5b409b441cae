"""What a training step would take, without taking it, as lines for people."""

import ml_collections

from cnn_jax.data.sources.words import numbered
from cnn_jax.experiment.compile import steps_per_call
from cnn_jax.experiment.costs import measure_costs
from cnn_jax.experiment.out_of_memory import explain_out_of_memory
from cnn_jax.experiment.setup import build
from cnn_jax.experiment.warm_start import read_start
from cnn_jax.runtime.sizes import describe_size


def describe_costs(config: ml_collections.ConfigDict) -> str:
    """The costs as lines for people; raises InputError where the compiler finds that there is too little memory."""
    experiment = build(config)
    read_start(experiment)  # for what it refuses
    with explain_out_of_memory(experiment.config):
        costs = measure_costs(experiment)
    config, devices = experiment.config, experiment.devices
    calls = steps_per_call(experiment)
    settings = [config.precision, f"remat {config.remat}", f"{numbered(config.accumulate_steps, 'part')} a batch"]
    size = describe_size
    rows = {
        "devices": f"{devices.count} ({devices.kind}), {config.parallel.strategy}",
        "batch": f"{config.batch_size} images of {'x'.join(map(str, experiment.splits.image_shape))}, "
        f"{config.batch_size // devices.count} on each device; {', '.join(settings)}",
        "parameters": f"{costs.parameters:,}",
        "operations": f"{costs.operations / 1e9:,.1f} GFLOP a step "
        f"({experiment.table.multiply_adds:,} multiply-adds an image, forward)",
        "steps": f"{experiment.steps_per_epoch:,} an epoch, {experiment.steps_per_epoch * config.num_epochs:,} in all, "
        f"{calls} a call",
        "memory of each device": f"{size(costs.peak)} at the peak: {size(costs.arguments)} for what goes in "
        f"({size(costs.state)} of it the state), {size(costs.temporary)} in between",
    }
    width = max(map(len, rows))
    return "\n".join(f"{name:<{width}}  {value}" for name, value in rows.items())
