"""`unsup-fast gan` with a generator whose training is stopped while it grows."""

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("accelerate")
pytest.importorskip("matplotlib")
pytest.importorskip("PIL.Image")

from unsup_fast.models import gan  # noqa: E402
from unsup_fast.models.networks import progressive  # noqa: E402

COURSE = ("--model-size", "tiny", "--latent", 4, "--batch-size", 8, "--save-every", 1)
WORDS = ("gan", "train", "shapes.npz", *COURSE, "--family", "progressive", "-o", "run")


@pytest.fixture(autouse=True)
def small(monkeypatch):
    monkeypatch.setitem(progressive.SIZES, "tiny", progressive.Size(4, 4))


def test_commands_say_how_far_a_generator_has_grown(cli, shapes, tmp_path):
    ran = cli(*WORDS, "--steps", 8, "--minutes", 1e-9)
    assert ran.status == 0, ran.err
    words = gan.load(tmp_path / "run").grown
    assert words.startswith("grown to 4 x 4 of 8 x 8")
    assert f"warning: samples are {words}, and enlarged: training ended after step " in ran.err
    assert f"Samples are {words}, and enlarged." in (tmp_path / "run/report.html").read_text()
    for command in ("sample", "interpolate"):
        ran = cli("gan", command, "run", "-n", 2, "-o", f"{command}.png")
        assert ran.status == 0, ran.err
        assert ran.err == f"note: run: samples are {words}, and enlarged\n"
    ran = cli(*WORDS, "--steps", 8, "--resume")
    assert ran.status == 0, ran.err
    assert "grown" not in ran.err
    assert "enlarged" not in (tmp_path / "run/report.html").read_text()
    ran = cli("gan", "sample", "run", "-n", 2, "-o", "later.png")
    assert (ran.status, ran.err) == (0, "")


def test_a_training_that_is_interrupted_says_it_once(cli, shapes, monkeypatch):
    real = gan.train

    def train(data, out, **options):
        options["progress"] = lambda state, losses, rate: True
        with pytest.warns(RuntimeWarning, match="samples are grown to 4 x 4"):
            real(data, out, **options)
        raise KeyboardInterrupt

    monkeypatch.setattr(gan, "train", train)
    ran = cli(*WORDS, "--steps", 40)
    assert ran.status == 130
    assert ran.err == "note: run: samples are grown to 4 x 4 of 8 x 8, and enlarged\n"
