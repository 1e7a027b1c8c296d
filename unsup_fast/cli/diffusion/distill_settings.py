"""The options of `unsup-fast diffusion distill`."""

import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar

from unsup_fast.cli.errors import UserError
from unsup_fast.cli.settings import MOST, Option, shown
from unsup_fast.cli.training.options import LabelDropout, LoopSettings
from unsup_fast.cli.values import WHOLE

TEACHER_STEPS = 32


def parse_steps(option: str, text: str) -> tuple[int, ...]:
    """Return numbers of steps in order, each once, from a list such as 1,2,4,8."""
    numbers = [int(word) for word in text.split(",")] if _are_whole(text) else []
    if not numbers or max(numbers) > MOST:
        raise UserError(f"{option} {shown(text)}: write numbers with commas, as in 1,2,4,8")
    return tuple(sorted(set(numbers)))


def _are_whole(text: str) -> bool:
    return re.fullmatch(f"{WHOLE}(,{WHOLE})*", text) is not None


def parse_guidance(option: str, text: str) -> tuple[float, ...]:
    """Return one weight, or the least and the greatest of a range."""
    try:
        weights = tuple(float(word) for word in text.split(","))
    except ValueError:
        weights = ()
    if len(weights) not in (1, 2) or not all(map(math.isfinite, weights)):
        raise UserError(f"{option} {shown(text)}: write a weight or LOW,HIGH, as in 3 or 1,4")
    if weights[0] > weights[-1]:
        raise UserError(f"{option} {shown(text)}: write the smaller weight first")
    return weights


@dataclass(frozen=True, kw_only=True)
class DistillSettings(LoopSettings):
    """Distill the model of a RUN into a student that samples in few steps; it goes into FAST.

    DATA are the pictures or latents that RUN was trained on, by default those that it names. At
    the end student and teacher are compared at 1 to 50 steps. Ctrl-C saves, and prints the command
    to resume; so does --minutes.
    """

    runner = "unsup_fast.cli.diffusion.distill:run"
    steps_option = "--train-steps"
    needs_data = False

    teacher: Annotated[
        Path,
        Option("RUN", "Data", "The directory of the teacher's training run.", role="extent"),
    ]
    out: Annotated[
        Path,
        Option("-o --out FAST", "Output", "Directory for the student; created if missing."),
    ]
    method: Annotated[
        str,
        Option(
            "--method",
            "Model",
            "progressive: halve the steps in stages, a student for each number of steps. tune: "
            "one student that agrees with itself along a path. distill: one that follows the "
            "steps of the teacher.",
            choices=("progressive", "tune", "distill"),
        ),
    ] = "progressive"
    steps: Annotated[
        tuple[int, ...],
        Option(
            "--steps A,B,C",
            "Model",
            "Numbers of sampler steps that the student is for.  [default: 1,2,4,8]",
            parse=parse_steps,
        ),
    ] = (1, 2, 4, 8)
    teacher_steps: Annotated[
        int | None,
        Option(
            "--teacher-steps N",
            "Model",
            "Steps of the teacher that progressive distillation halves first.  [default: "
            f"{TEACHER_STEPS}]",
            least=2,
        ),
    ] = None
    guidance: Annotated[
        tuple[float, ...] | None,
        Option(
            "--guidance X|LOW,HIGH",
            "Model",
            "Weight of the teacher's guidance, which the student learns; a range is for --method "
            "distill, whose student takes the weight as an input.",
            parse=parse_guidance,
        ),
    ] = None
    train_steps: Annotated[
        int,
        Option("--train-steps N", "Training", "Number of optimizer steps of all stages.", least=1),
    ] = 2100
    learning_rate: Annotated[
        float,
        Option("--learning-rate X", "Training", "Peak learning rate.", above=0),
    ] = 5e-4
    warmup: Annotated[
        int,
        Option("--warmup N", "Training", "Linear warm-up, in steps; of each stage.", least=0),
    ] = 50
    ema: Annotated[
        float,
        Option(
            "--ema X",
            "Training",
            "Decay of the moving average of the weights, per step.",
            least=0,
            below=1,
        ),
    ] = 0.99
    label_dropout: LabelDropout = 0.1
    samples: Annotated[
        int,
        Option(
            "--samples N",
            "Scores",
            "Pictures of student and teacher that are compared, at each number of steps; 0 leaves "
            "the comparison out.",
            least=0,
            role="extent",
        ),
    ] = 1000

    examples: ClassVar[tuple[str, ...]] = (
        "unsup-fast diffusion distill run -o fast --steps 1,2,4,8",
        "unsup-fast diffusion distill run photos/ -o fast --method distill --guidance 1,4",
        "unsup-fast diffusion sample fast --steps 4 -o grid.png",
    )

    def check(self) -> None:
        """Refuse a folder without a run, and options that are for another method."""
        from unsup_fast.cli.kinds import check_run
        from unsup_fast.cli.training import trained_on

        super().check()
        check_run(self.teacher, "diffusion distill")
        trained_on.check(self)
        if self.samples == 1:
            raise UserError("--samples 1: a distance needs two; pass --samples 2 or more, or 0")
        if self.method == "progressive":
            self._check_progressive()
        else:
            self._check_consistency()

    def _check_progressive(self) -> None:
        first = self.teacher_steps or TEACHER_STEPS
        if self.guidance is not None and len(self.guidance) > 1:
            low, high = self.guidance
            raise UserError(
                f"--guidance {low:g},{high:g}: is a range, and --method progressive takes one "
                "weight; pass one, or --method distill"
            )
        if self.decay:
            raise UserError(
                f"--decay {self.decay}: --method progressive decays in each stage by itself; leave "
                "--decay out"
            )
        if any(first % k or (first // k).bit_count() > 1 or k == first for k in self.steps):
            raise UserError(
                f"--steps {','.join(map(str, self.steps))}: are not all halves of --teacher-steps "
                f"{first}, or halves of these; pass such numbers, as 1,2,4,8, or other "
                "--teacher-steps"
            )
        n_stages = (first // self.steps[0]).bit_length() - 1
        if self.train_steps < 2 * n_stages:
            raise UserError(
                f"--train-steps {self.train_steps}: are too few for {n_stages} stages; pass "
                f"{2 * n_stages} or more, a few hundred a stage are usual"
            )

    def _check_consistency(self) -> None:
        if self.teacher_steps is not None:
            raise UserError(
                f"--teacher-steps {self.teacher_steps}: is for --method progressive; leave it out"
            )
        if self.guidance is not None and self.method == "tune":
            raise UserError(
                "--guidance: --method tune has no teacher to guide; leave it out, or pass --method "
                "distill"
            )
