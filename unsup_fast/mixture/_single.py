"""One component, whose sums are computed once."""

from dataclasses import dataclass

import numpy as np

from unsup_fast.kernels.em import EStep
from unsup_fast.mixture._covariance import log_determinants
from unsup_fast.mixture._data import Mixture, MixtureData, log_of_weights
from unsup_fast.mixture._responsibilities import only_one
from unsup_fast.mixture._sums import checked


@dataclass(kw_only=True)
class SingleComponentData(MixtureData):
    """Rows of one component: the sums about their mean, from which all others follow.

    Every responsibility is one, so no iteration reads the rows. `sums` are about `center`, [1, D].
    """

    def __post_init__(self) -> None:
        self.center = self.moments.mean[None]  # [1, D]
        self.sums = self.responsibility_moments(self.center, only_one)

    def em(self, mixture: Mixture) -> EStep:
        """Return what `MixtureData.em` returns, without a pass."""
        means, factors = mixture.means, mixture.factors
        weight, sums, second = (np.asarray(value) for value in self.sums[2:5])
        gap = (self.center - means)[0]  # [D]
        total = float(weight[0])
        moved = sums + total * gap  # [1, D]
        cross = np.outer(gap, sums[0])
        shift = cross + cross.T + total * np.outer(gap, gap)  # [D, D]
        if self.covariance_type in ("full", "tied"):
            second = second + shift
            u = factors.reshape(shift.shape)
            squares = float(((second.reshape(shift.shape) @ u) * u).sum())
        elif self.covariance_type == "diag":
            second = second + shift.diagonal()
            squares = float((second * factors**2).sum())
        else:
            second = second + shift.trace()
            squares = float(second[0] * factors[0] ** 2)
        constant = float(
            log_of_weights(mixture.weights)[0]
            + np.sum(log_determinants(factors, self.covariance_type, self.n_columns))
            - self.n_columns / 2 * np.log(2 * np.pi)
        )
        return checked(
            EStep(
                log_likelihood=total * constant - squares / 2,
                weight=total,
                resp_sums=weight,
                sums=moved,
                second=second,
                log_prob=None,
                resp=None,
                labels=None,
            )
        )
