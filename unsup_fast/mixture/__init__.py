"""Mixture models with scikit-learn's interface."""

from unsup_fast.mixture._em import Iteration
from unsup_fast.mixture.gaussian import GaussianMixture

__all__ = ["GaussianMixture", "Iteration"]
