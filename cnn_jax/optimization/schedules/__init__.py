"""Learning rates as functions of the step: PyTorch's schedulers in closed form, with its names and arguments."""

from cnn_jax.optimization.schedules.clock import Schedule
from cnn_jax.optimization.schedules.lengths import length_notes
from cnn_jax.optimization.schedules.making import MOMENTA, check_rates, make_momentum, make_schedule
from cnn_jax.optimization.schedules.phases import phases
from cnn_jax.optimization.schedules.plateau import PlateauState, plateau_arguments, plateau_start, plateau_step

__all__ = [
    "MOMENTA", "PlateauState", "Schedule", "check_rates", "length_notes", "make_momentum", "make_schedule", "phases",
    "plateau_arguments", "plateau_start", "plateau_step",
]  # fmt: skip
