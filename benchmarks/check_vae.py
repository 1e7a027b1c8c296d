"""Check a variational autoencoder of MNIST: likelihood, latents, samples, reconstructions.

    python benchmarks/check_vae.py --mnist mnist.npz --run RUN --out OUT [--tuned RUN5]

RUN is a model with the Bernoulli likelihood, trained on the training images alone, such as that of

    unsup-fast vae train mnist.npz -o RUN --no-labels --model-size tiny --latent 50 \
        --steps 50000 --batch-size 256 --decay 17000 --beta-warmup 4000

OUT gets `check.json`, a grid of samples of the prior, and one of test images and reconstructions.
The digits are read by the classifier of `check_mnist.py`, which was trained on real images alone.
The exit status is 0 if, on 1,000 test images binarised once:

- the negative log likelihood by 500 importance samples is from 77 to 89 nats (less would be a bug),
- -ELBO >= L_5 >= L_50 >= L_500,
- 15 to 35 latents are active, and a linear classifier on their means is right in 95 % of the tests,
- 70 % of 1,000 samples of the prior are read with a probability of 0.9 or more,
- 97 % of the reconstructions are read as the digit of their image,
- RUN5, if there is one, trained on from RUN with 5 importance samples, is better by 0.5 nats.
"""

import argparse
import itertools
import json
from pathlib import Path

import numpy as np
from check_mnist import CONFIDENT, classifier, confidence, grid
from sklearn.linear_model import LogisticRegression

from unsup_fast import pictures
from unsup_fast.models import vae

N = 1000
BEST, MOST = 77.0, 89.0  # nats; the best of all published is 78
DRAWS = (5, 50, 500)


def nats(model, x):
    """Return -ELBO and -L_K of images, in nats."""
    bounds = {"elbo": -float(model.elbo(x).elbo.double().mean())}
    for k in DRAWS:
        bounds[f"L_{k}"] = float(model.nll(x, n_samples=k).mean())
    return bounds


def probe(model, train, train_labels, test, test_labels):
    """Return the accuracy of a linear classifier on the means of latents."""
    fitted = LogisticRegression(max_iter=500).fit(model.encode(train).mean.numpy(), train_labels)
    return fitted.score(model.encode(test).mean.numpy(), test_labels)


def passed(report):
    """Return what falls short of the limits, by name."""
    bounds = [report["nats"][name] for name in ("elbo", "L_5", "L_50", "L_500")]
    limits = {
        "nats": BEST <= bounds[-1] <= MOST,
        "order": all(a >= b for a, b in itertools.pairwise(bounds)),
        "active": 15 <= report["active"] <= 35,
        "probe": report["probe"] >= 0.95,
        "confident_samples": report["confident_samples"] >= 0.7,
        "digits_kept": report["digits_kept"] >= 0.97,
        "tuned": report.get("gain", 1.0) >= 0.5,
    }
    return [name for name, holds in limits.items() if not holds]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--mnist", type=Path, required=True, help="mnist.npz")
    parser.add_argument("--run", type=Path, required=True, help="folder of a trained model")
    parser.add_argument("--tuned", type=Path, help="folder of one trained on with 5 samples")
    parser.add_argument("--out", type=Path, default=Path("results/vae"), help="folder")
    parser.add_argument("--classifier", type=Path, default=Path("results/mnist.safetensors"))
    args = parser.parse_args()
    with np.load(args.mnist) as file:
        train, test = file["x_train"], file["x_test"]
        train_labels, test_labels = file["y_train"], file["y_test"]
    reader = classifier(args.classifier, train, train_labels)
    model = vae.load(args.run)
    some, labels = test[:N, None], test_labels[:N]
    statistics = vae.latent_statistics(model, test[:, None])
    samples = pictures.to_bytes(model.sample(N, seed=0))[:, 0]
    rebuilt = pictures.to_bytes(model.reconstruct(some))[:, 0]
    report = {
        "model": repr(model),
        "nats": nats(model, some),
        "active": int(statistics.active.sum()),
        "probe": probe(model, train[:20_000, None], train_labels[:20_000], some, labels),
        "confident_samples": (confidence(reader, samples)[1] >= CONFIDENT).mean(),
        "digits_kept": (confidence(reader, rebuilt)[0] == labels).mean(),
        "digits_read_in_tests": (confidence(reader, test[:N])[0] == labels).mean(),
    }
    if args.tuned is not None:
        report["tuned_nats"] = nats(vae.load(args.tuned), some)
        report["gain"] = report["nats"]["L_500"] - report["tuned_nats"]["L_500"]
    report["short"] = passed(report)
    args.out.mkdir(parents=True, exist_ok=True)
    grid(args.out / "samples.png", samples[:100], 10)
    pairs = np.stack([test[:50], rebuilt[:50]], axis=1).reshape(-1, 28, 28)
    grid(args.out / "reconstructions.png", pairs, 10)
    text = json.dumps(report, indent=2, default=float)
    (args.out / "check.json").write_text(text + "\n")
    print(text)
    return 1 if report["short"] else 0


if __name__ == "__main__":
    raise SystemExit(main())
