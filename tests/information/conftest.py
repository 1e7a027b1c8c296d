"""Random distributions, and their measures by hand in 120 digits."""

from decimal import Decimal, localcontext

import numpy as np
import pytest


@pytest.fixture(params=[np.float32, np.float64], ids=["float32", "float64"])
def dtype(request):
    return request.param


@pytest.fixture
def rng():
    return np.random.default_rng(3)


class Exact:
    """The definitions, term by term, in decimal numbers of 120 digits."""

    @staticmethod
    def decimals(p):
        return np.array([Decimal(float(x)) for x in np.ravel(p)], dtype=object).reshape(p.shape)

    @classmethod
    def kl(cls, p, q):
        """Return sum p log(p/q) - p + q, that of p and q over their sums, and how these differ."""
        with localcontext(prec=120):
            p, q = cls.decimals(p), cls.decimals(q)
            plain = sum(a * (a / b).ln() for a, b in zip(p, q, strict=True) if a)
            lack = q.sum() - p.sum()
            normal = plain / p.sum() - (p.sum() / q.sum()).ln()
            return float(plain + lack), float(normal), float(lack)

    @classmethod
    def mutual_information(cls, joint):
        with localcontext(prec=120):
            joint = cls.decimals(joint)
            excess = joint.sum() ** 2 - joint.sum()
            product = np.outer(joint.sum(axis=1), joint.sum(axis=0))
            pairs = zip(joint.flat, product.flat, strict=True)
            return float(sum((a * (a / b).ln() for a, b in pairs if a), excess))

    @classmethod
    def kl_bernoulli(cls, p, q):
        with localcontext(prec=120):
            p, q = Decimal(float(p)), Decimal(float(q))
            return float(p * (p / q).ln() + (1 - p) * ((1 - p) / (1 - q)).ln())

    @classmethod
    def js(cls, p, q, log=False):
        """Return the Jensen-Shannon divergence as half the sum of two KL divergences."""
        with localcontext(prec=120):
            p, q = cls.decimals(p), cls.decimals(q)
            if log:
                p, q = ([x.exp() for x in each] for each in (p, q))
            pairs = [(a, (a + b) / 2) for a, b in zip([*p, *q], [*q, *p], strict=True)]
            return float(sum(a * (a / m).ln() if a else 0 for a, m in pairs) / 2)

    @classmethod
    def log_kl(cls, log_p, log_q):
        """Return sum p log(p/q) - p + q of logarithms."""
        with localcontext(prec=120):
            pairs = zip(cls.decimals(log_p), cls.decimals(log_q), strict=True)
            return float(sum(a.exp() * (a - b) - a.exp() + b.exp() for a, b in pairs))


@pytest.fixture
def exact():
    return Exact


@pytest.fixture
def draw(rng):
    """Return a function that draws distributions along the last axis, some entries being zero."""

    def drawn(*shape, zeros=0.0):
        p = rng.exponential(size=shape) ** 2 * (rng.random(shape) >= zeros)
        p[..., 0] += 1e-3
        return p / p.sum(axis=-1, keepdims=True)

    return drawn
