"""Which pixels a prediction owes to: maps by several methods, and figures that say how far a map can be trusted.

Each method is a function (apply, variables, images, targets) -> maps of the images' size, raw, not rescaled.
"""

from cnn_jax.analysis.attribution.cams import grad_cam, grad_cam_plus_plus, hires_cam
from cnn_jax.analysis.attribution.guided_backpropagation import guided_backpropagation
from cnn_jax.analysis.attribution.integrated_gradients import IntegratedGradients, integrated_gradients
from cnn_jax.analysis.attribution.occlusion import occlusion
from cnn_jax.analysis.attribution.rise import rise
from cnn_jax.analysis.attribution.saliency import input_x_gradient, saliency
from cnn_jax.analysis.attribution.smoothgrad import smoothgrad

__all__ = [
    "IntegratedGradients",
    "grad_cam",
    "grad_cam_plus_plus",
    "guided_backpropagation",
    "hires_cam",
    "input_x_gradient",
    "integrated_gradients",
    "occlusion",
    "rise",
    "saliency",
    "smoothgrad",
]
