"""Entropy, divergences and what lies between distributions, of NumPy arrays and torch tensors.

Outcomes lie along the last axis; the axes before it are a batch and broadcast. Results are in nats,
or in the unit of `base` (2 for bits). float32 and float64 are kept, narrower types become float32,
integers float64; a tensor anywhere makes the result a tensor, with gradients of any order.

Every measure is a sum of terms that are not negative, each right to a dozen units in the last place
of the arguments' type, and sums are float64: nothing cancels, however near two distributions are.
``0 log 0`` is 0, and a divergence from a distribution that rules out what happens is infinite. An
entry that is zero, where the derivative would be infinite, has gradient zero.

With ``log=True`` arguments are natural logarithms of probabilities, ``-inf`` for zero: take it for
probabilities so small that they vanish, such as those of ``log_softmax``.

Distributions are looked through before they are used: negative entries, NaN, and sums further from
1 than 1e-5 or the square root of the type's precision (3.5e-4 in float32) are errors. With
``validate=False`` values are taken as they are; then nothing waits for a GPU, and `torch.compile`
and `torch.func.vmap` can trace the code.
"""

from unsup_fast.information.bernoulli import binary_cross_entropy, kl_bernoulli
from unsup_fast.information.discrete import (
    bretagnolle_huber_bound,
    cross_entropy,
    entropy,
    js_divergence,
    kl_divergence,
    mutual_information,
    pinsker_bound,
    total_variation,
)
from unsup_fast.information.gaussian import kl_gaussian, kl_gaussian_diag

__all__ = [
    "binary_cross_entropy",
    "bretagnolle_huber_bound",
    "cross_entropy",
    "entropy",
    "js_divergence",
    "kl_bernoulli",
    "kl_divergence",
    "kl_gaussian",
    "kl_gaussian_diag",
    "mutual_information",
    "pinsker_bound",
    "total_variation",
]
