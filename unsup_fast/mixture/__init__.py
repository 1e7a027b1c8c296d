"""Mixture models with scikit-learn's interface."""

from unsup_fast.mixture._data import Mixture
from unsup_fast.mixture._em import Iteration, MixtureRun
from unsup_fast.mixture.gaussian import GaussianMixture

__all__ = ["GaussianMixture", "Iteration", "Mixture", "MixtureRun"]
