"""The types of a model's prediction, converted to image and noise at a level (a, s).

With x = a x_0 + s eps and n^2 = a^2 + s^2 a model's output is eps, x_0 ("sample"), v = (a eps -
s x_0) / n, or that of flow matching, eps - x_0. Levels may be NumPy arrays, tensors or numbers.
"""

from typing import Any

PREDICTIONS = ("epsilon", "sample", "v_prediction", "flow_prediction")


def image_weights(prediction: str, a: Any, s: Any) -> tuple[Any, Any]:
    """Return the weights of x and of the model's output in x_0."""
    if prediction == "epsilon":
        return 1 / a, -s / a
    if prediction == "sample":
        return 0 * a, 0 * a + 1
    if prediction == "v_prediction":
        power = a**2 + s**2
        return a / power, -s / power**0.5
    if prediction == "flow_prediction":
        return 1 / (a + s), -s / (a + s)
    raise _unknown(prediction)


def noise_weights(prediction: str, a: Any, s: Any) -> tuple[Any, Any]:
    """Return the weights of x and of the model's output in eps."""
    if prediction == "epsilon":
        return 0 * a, 0 * a + 1
    if prediction == "sample":
        return 1 / s, -a / s
    if prediction == "v_prediction":
        power = a**2 + s**2
        return s / power, a / power**0.5
    if prediction == "flow_prediction":
        return 1 / (a + s), a / (a + s)
    raise _unknown(prediction)


def output_weights(prediction: str, a: Any, s: Any) -> tuple[Any, Any]:
    """Return the weights of x_0 and of eps in a model's output."""
    if prediction == "epsilon":
        return 0 * a, 0 * a + 1
    if prediction == "sample":
        return 0 * a + 1, 0 * a
    if prediction == "v_prediction":
        length = (a**2 + s**2) ** 0.5
        return -s / length, a / length
    if prediction == "flow_prediction":
        return 0 * a - 1, 0 * a + 1
    raise _unknown(prediction)


def _unknown(prediction: str) -> ValueError:
    return ValueError(f"prediction={prediction!r} is unknown; pass one of {list(PREDICTIONS)}")
