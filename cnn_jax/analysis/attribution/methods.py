"""The methods by name, for whoever applies several of them."""

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np

from cnn_jax.analysis.attribution.cams import grad_cam, grad_cam_plus_plus, hires_cam
from cnn_jax.analysis.attribution.guided_backpropagation import guided_backpropagation
from cnn_jax.analysis.attribution.integrated_gradients import integrated_gradients
from cnn_jax.analysis.attribution.occlusion import occlusion
from cnn_jax.analysis.attribution.rise import rise
from cnn_jax.analysis.attribution.saliency import input_x_gradient, saliency
from cnn_jax.analysis.attribution.smoothgrad import smoothgrad


@dataclasses.dataclass(frozen=True)
class Method:
    """A method.

    Attributes:
      title: its name, for people.
      function: (apply, variables, images, targets, ...) -> maps.
      sign: "signed": what speaks for the class is positive, what speaks against it negative; "magnitude": only how
        large a value is counts; "positive": there are no negative ones.
      unit: of its values.
      of_layer: whether it is about a layer's maps.
    """

    title: str
    function: Callable[..., Any]
    sign: str
    unit: str
    of_layer: bool = False

    def maps(self, *arguments: Any, **options: Any) -> np.ndarray:
        """Raw: [B, H, W] or [B, H, W, C]."""
        made = self.function(*arguments, **options)
        maps: np.ndarray = getattr(made, "maps", made)
        return maps

    def by_pixel(self, maps: np.ndarray) -> np.ndarray:
        """Raw maps as one value for each pixel [B, H, W]: the channels' sum, or the largest of their magnitudes."""
        if self.sign == "magnitude":
            return np.abs(maps).max(axis=-1)
        return maps.sum(axis=-1) if maps.ndim == 4 else maps


METHODS = {
    "saliency": Method("gradient", saliency, "magnitude", "logit per gray level"),
    "input_x_gradient": Method("input x gradient", input_x_gradient, "signed", "logit"),
    "integrated_gradients": Method("integrated gradients", integrated_gradients, "signed", "logit"),
    "smoothgrad": Method("SmoothGrad", smoothgrad, "magnitude", "logit per gray level"),
    "grad_cam": Method("Grad-CAM", grad_cam, "positive", "logit", of_layer=True),
    "grad_cam_plus_plus": Method("Grad-CAM++", grad_cam_plus_plus, "positive", "no unit", of_layer=True),
    "hires_cam": Method("HiResCAM", hires_cam, "positive", "logit", of_layer=True),
    "occlusion": Method("occlusion", occlusion, "signed", "logit"),
    "rise": Method("RISE", rise, "positive", "probability"),
}
# A method that is known to fail the sanity check.
CONTROL = Method("guided backpropagation", guided_backpropagation, "magnitude", "logit per gray level")
