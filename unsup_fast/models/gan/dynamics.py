"""Gradient play of two players on one objective V(theta, phi), and where it leads.

Theta, the generator, minimizes V and phi, the discriminator, maximizes it. With learning rate h and
the field F = (-dV/dtheta, dV/dphi) at w = (theta, phi) the rules are

    simultaneous    w' = w + h F(w)
    alternating     theta' = theta - h dV/dtheta (theta, phi), phi' = phi + h dV/dphi (theta', phi)
    extragradient   w' = w + h F(w + h F(w))                              (Korpelevich 1976)
    optimistic      w' = w + h (2 F(w) - F(w of the step before))         (Daskalakis et al. 2018)

`play` returns the path of any such game, `local_eigenvalues` says of any equilibrium whether a rule
converges to it. Of two games the answer is a formula: the bilinear one, V = theta^T A phi, around
whose equilibrium all rules turn, and the Dirac-GAN (Mescheder et al. 2018), the smallest GAN.
"""

import math
from collections.abc import Callable
from typing import Literal, NamedTuple, get_args

import torch
from torch import Tensor

Value = Callable[[Tensor, Tensor], Tensor]
Rule = Literal["simultaneous", "alternating", "extragradient", "optimistic"]


class Path(NamedTuple):
    """The players at each step.

    Attributes
    ----------
    theta : tensor of shape (steps + 1, ...)
    phi : tensor of shape (steps + 1, ...)
    """

    theta: Tensor
    phi: Tensor


def play(
    value: Value, theta: Tensor, phi: Tensor, *, lr: float, rule: Rule = "alternating", steps: int
) -> Path:
    """Return the path of two players that each follow their gradient.

    Parameters
    ----------
    value : function of (theta, phi)
        V, a tensor of shape (), differentiable by both.
    theta, phi : tensor
        Where the players begin, of any shapes.
    lr : float
        Learning rate of both.
    rule : str
        "simultaneous", "alternating", "extragradient" or "optimistic"; the first step of the last
        is simultaneous.
    steps : int

    Returns
    -------
    Path
        `steps + 1` positions, the first where the players begin.

    Raises
    ------
    ValueError
        If there is no such rule, `lr` is not positive, or V has a shape.

    Examples
    --------
    >>> import torch
    >>> from unsup_fast.models.gan import dynamics
    >>> start = torch.ones((), dtype=torch.float64)
    >>> path = dynamics.play(
    ...     lambda theta, phi: theta * phi, start, start, lr=0.1, rule="extragradient", steps=500
    ... )
    >>> bool(torch.hypot(path.theta[-1], path.phi[-1]) < 0.15)
    True
    """
    _check(rule, lr)
    theta, phi = theta.detach(), phi.detach()
    thetas, phis = [theta], [phi]
    last: tuple[Tensor, Tensor] | None = None  # the field one step before

    def field(theta: Tensor, phi: Tensor) -> tuple[Tensor, Tensor]:
        with torch.enable_grad():
            return _field(value, theta.detach().requires_grad_(), phi.detach().requires_grad_())

    for _ in range(steps):
        to_theta, to_phi = field(theta, phi)
        if rule == "alternating":
            theta = theta + lr * to_theta
            phi = phi + lr * field(theta, phi)[1]
        elif rule == "extragradient":
            to_theta, to_phi = field(theta + lr * to_theta, phi + lr * to_phi)
            theta, phi = theta + lr * to_theta, phi + lr * to_phi
        else:
            past = last if last is not None and rule == "optimistic" else (to_theta, to_phi)
            last = to_theta, to_phi
            theta = theta + lr * (2 * to_theta - past[0])
            phi = phi + lr * (2 * to_phi - past[1])
        thetas.append(theta)
        phis.append(phi)
    return Path(theta=torch.stack(thetas), phi=torch.stack(phis))


def local_eigenvalues(
    value: Value, theta: Tensor, phi: Tensor, *, lr: float, rule: Rule = "alternating"
) -> Tensor:
    """Return the eigenvalues of a step near an equilibrium, where it is a linear map.

    Play that begins nearby converges if all are less than 1 in size, at the rate of the largest; it
    does not if one is larger.

    Parameters
    ----------
    value, lr, rule
        As in `play`.
    theta, phi : tensor
        The equilibrium, at which both gradients are zero.

    Returns
    -------
    complex tensor of shape (D,), or (2 D,) for "optimistic", which remembers a step
        For D numbers in theta and phi together.

    Raises
    ------
    ValueError
        As `play` does.
    """
    _check(rule, lr)
    n = theta.numel()

    def field(w: Tensor) -> Tensor:
        players = w[:n].view_as(theta), w[n:].view_as(phi)
        along = _field(value, *players, differentiable=True)
        return torch.cat([each.reshape(-1) for each in along])

    w = torch.cat([theta.detach().reshape(-1), phi.detach().reshape(-1)])
    move = lr * torch.autograd.functional.jacobian(field, w)  # [D, D]
    one = torch.eye(len(w), dtype=w.dtype, device=w.device)
    if rule == "simultaneous":
        step = one + move
    elif rule == "alternating":
        of_theta, of_phi = move.clone(), move.clone()
        of_theta[n:], of_phi[:n] = 0, 0
        step = (one + of_phi) @ (one + of_theta)
    elif rule == "extragradient":
        step = one + move + move @ move
    else:  # of two positions, now and a step before: [2 D, 2 D]
        step = torch.cat([torch.cat([one + 2 * move, -move], 1), torch.cat([one, 0 * one], 1)])
    return torch.linalg.eigvals(step)


def bilinear(matrix: Tensor) -> Value:
    """Return the objective theta^T A phi for a matrix A (N, M), theta (N,) and phi (M,)."""
    return lambda theta, phi: theta @ matrix @ phi


def bilinear_growth(lr: float, singular_value: float = 1.0, *, rule: Rule) -> float:
    """Return the factor of the squared distance to the equilibrium of theta^T A phi in a step.

    Play along one pair of singular vectors of A does not mix with others. With a = h s for a
    singular value s the factor is

    | rule | factor |
    |---|---|
    | simultaneous | 1 + a^2: it always diverges |
    | alternating | 1 up to a = 2: it stays on an ellipse, see `bilinear_invariant` |
    | extragradient | 1 - a^2 + a^4: it converges for a < 1 |
    | optimistic | (1 + sqrt(1 - 4 a^2)) / 2 up to a = 1/2: it converges for a < 1 / sqrt(3) |

    and is of each step for the first and third, and of the long run for the others.

    Parameters
    ----------
    lr, singular_value : float
        h and s.
    rule : str

    Raises
    ------
    ValueError
        If there is no such rule, or `lr` is not positive.
    """
    _check(rule, lr)
    a = lr * singular_value
    if rule == "simultaneous":
        return 1 + a**2
    if rule == "alternating":
        half = abs(1 - a**2 / 2)
        return 1.0 if half <= 1 else (half + math.sqrt(half**2 - 1)) ** 2
    if rule == "extragradient":
        return 1 - a**2 + a**4
    root = math.sqrt(abs(1 - 4 * a**2))
    return (1 + root) / 2 if a <= 0.5 else 0.25 + (a + root / 2) ** 2


def bilinear_invariant(matrix: Tensor, theta: Tensor, phi: Tensor, *, lr: float) -> Tensor:
    """Return |theta|^2 + |phi|^2 - h theta^T A phi, which alternating play on A keeps.

    Parameters
    ----------
    matrix : tensor of shape (N, M)
        A.
    theta, phi : tensor of shape (..., N) and (..., M)
        Such as those of a `Path`.
    lr : float
        h.

    Returns
    -------
    tensor of shape (...)
    """
    product = (theta @ matrix * phi).sum(-1)
    return theta.square().sum(-1) + phi.square().sum(-1) - lr * product


def alternating_period(lr: float, singular_value: float = 1.0) -> float:
    """Return the steps of a turn of alternating play, 2 pi / arccos(1 - a^2 / 2) with a = h s.

    Raises
    ------
    ValueError
        If a is not between 0 and 2, where play turns.
    """
    a = lr * singular_value
    if not 0 < a < 2:
        raise ValueError(f"lr * singular_value is {a:g}; alternating play turns between 0 and 2")
    return 2 * math.pi / math.acos(1 - a**2 / 2)


def dirac_gan(gamma: float = 0.0) -> Value:
    """Return the objective of the Dirac-GAN with the penalty R1.

    Data are the point 0, the generator's sample is theta, the discriminator is sigmoid(phi x), and
    R1 is the squared slope of its logit on data, phi^2:

        V = log sigmoid(0) + log sigmoid(-theta phi) - gamma / 2 phi^2

    Vectors theta and phi of one length are a game in as many dimensions.

    Parameters
    ----------
    gamma : float
        Weight of R1; 0 for no penalty.
    """

    def value(theta: Tensor, phi: Tensor) -> Tensor:
        fake = torch.nn.functional.logsigmoid(-(theta * phi).sum())
        return fake - math.log(2) - gamma / 2 * phi.square().sum()

    return value


def dirac_eigenvalues(gamma: float) -> tuple[complex, complex]:
    """Return -gamma/2 +- sqrt(gamma^2/4 - 1/4), the eigenvalues of the field of `dirac_gan` at 0.

    Without a penalty they are imaginary: play in continuous time circles for ever. With any
    gamma > 0 it converges, fastest at gamma = 1.
    """
    root = complex(gamma**2 / 4 - 0.25) ** 0.5
    return -gamma / 2 + root, -gamma / 2 - root


def dirac_growth(lr: float, gamma: float) -> float:
    """Return the long-run factor of the squared distance of simultaneous play, near 0.

    It is 1 - h gamma + h^2 / 4 up to gamma = 1: without a penalty, play diverges.
    """
    return max(abs(1 + lr * each) for each in dirac_eigenvalues(gamma)) ** 2


def dirac_stable_lr(gamma: float) -> float:
    """Return the learning rate below which simultaneous play of `dirac_gan` converges near 0.

    It is 4 gamma up to gamma = 1, and 4 / (gamma + sqrt(gamma^2 - 1)) above.
    """
    return 4 * gamma if gamma <= 1 else 4 / (gamma + math.sqrt(gamma**2 - 1))


def _check(rule: str, lr: float) -> None:
    if rule not in get_args(Rule):
        raise ValueError(f"rule={rule!r} is not a rule; pass one of {', '.join(get_args(Rule))}")
    if not lr > 0:
        raise ValueError(f"lr={lr} is not positive; pass lr > 0")


def _field(
    value: Value, theta: Tensor, phi: Tensor, *, differentiable: bool = False
) -> tuple[Tensor, Tensor]:
    """Return the directions in which the players improve: -dV/dtheta and dV/dphi."""
    result = value(theta, phi)
    if result.ndim:
        raise ValueError(
            f"value returned a tensor of shape {tuple(result.shape)}; return one number, such as "
            "its sum"
        )
    by_theta, by_phi = torch.autograd.grad(
        result, (theta, phi), create_graph=differentiable, materialize_grads=True
    )
    return -by_theta, by_phi
