"""The options of `unsup-fast gmm`."""

import re
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

from unsup_fast.cli.errors import UserError
from unsup_fast.cli.options import Engine, FitSettings, Resume, Weights
from unsup_fast.cli.settings import Option, shown
from unsup_fast.cli.values import WHOLE

MOST_REG_COVAR = 1e290  # of GaussianMixture


def parse_numbers(option: str, text: str) -> range:
    """Return the numbers of components: of 32, 2:20 (both ends included) or 2:20:2.

    A range takes no memory: whether the data have so many rows is known later.
    """
    advice = "write a number as in 32, or a range as in 2:20 or 2:20:2, of numbers >= 1"
    if not re.fullmatch(f"{WHOLE}(:{WHOLE}){{0,2}}", text):
        raise UserError(f"{option} {shown(text)}: {advice}")
    first, *rest = map(int, text.split(":"))
    last, step = (*rest, *(first, 1)[len(rest) :])
    if last < first:
        raise UserError(f"{option} {text}: ends before it begins; {advice}")
    return range(first, last + 1, step)


@dataclass(frozen=True, kw_only=True)
class GmmSettings(FitSettings):
    """Fit a Gaussian mixture to DATA: labels, a model, a summary and an HTML report.

    Ctrl-C keeps the last finished iteration, and of a range the finished fits, and prints the
    command to resume.
    Results already in OUT are replaced only with --overwrite.
    """

    runner = "unsup_fast.cli.gmm.run:run"

    n_components: Annotated[
        range,
        Option(
            "-k --components N|A:B[:STEP]",
            "Model",
            "Number of components; A:B fits every number of a range and takes the best.",
            parse=parse_numbers,
        ),
    ]
    weights: Weights = None
    covariance: Annotated[
        str,
        Option(
            "--covariance",
            "Model",
            "Type of covariance: full, tied (one matrix for all components), diagonal or "
            "spherical (one variance).",
            choices=("full", "tied", "diag", "spherical"),
        ),
    ] = "full"
    init: Annotated[
        str,
        Option(
            "--init NAME",
            "Model",
            "The first components: kmeans, k-means++, random_from_data or random (not with "
            "--engine).",
            choices=("kmeans", "k-means++", "random_from_data", "random"),
        ),
    ] = "kmeans"
    criterion: Annotated[
        str,
        Option(
            "--criterion",
            "Model",
            "Criterion minimised when fitting a range of sizes.",
            choices=("bic", "aic"),
        ),
    ] = "bic"
    n_init: Annotated[
        int, Option("--n-init N", "Model", "Number of initialisations; the best is used.", least=1)
    ] = 1
    max_iter: Annotated[
        int, Option("--max-iter N", "Model", "Maximum number of iterations.", least=1)
    ] = 100
    tol: Annotated[
        float,
        Option(
            "--tol X",
            "Model",
            "Stop when the mean log-likelihood of a row changes by less.",
            least=0,
        ),
    ] = 1e-3
    reg_covar: Annotated[
        float,
        Option(
            "--reg-covar X",
            "Model",
            "Constant added to the variances in each iteration.",
            least=0,
            most=MOST_REG_COVAR,
        ),
    ] = 1e-6
    engine: Engine = None
    proba: Annotated[
        bool, Option("--proba", "Output", "Write each row's probability of each component too.")
    ] = False
    resume: Resume = False

    examples: ClassVar[tuple[str, ...]] = (
        "unsup-fast gmm rows.npy -k 32 -o mixture",
        "unsup-fast gmm rows.npy -k 2:20 --criterion bic --covariance diag -o mixture",
    )

    def parameters(self) -> dict[str, Any]:
        """Return the parameters of `GaussianMixture`, without the number of components."""
        return {
            "covariance_type": self.covariance,
            "tol": self.tol,
            "reg_covar": self.reg_covar,
            "standardize": self.standardize,
            "max_iter": self.max_iter,
            "n_init": self.n_init,
            "init_params": self.init,
            "random_state": self.seed,
            "n_threads": self.threads,
        }
