"""Check a diffusion model's digits by a classifier that was not trained on any of them.

    python benchmarks/check_mnist.py --mnist mnist.npz --run RUN --out OUT

draws samples of the model in RUN, as many of each digit (as `unsup-fast diffusion sample` does) and
of "any class", and has them read by a small convolutional network that was trained on real images
alone (saved in --classifier, so that it is trained once). OUT gets `check.json`, a grid of samples,
and a grid of samples and their nearest training images. The exit status is 0 if, of the samples of
requested digits, at least 90 % are read with a probability of at least 0.9, at least 90 % as the
digit that was requested, and each digit in 5 % to 16 %.

The probabilities are calibrated: logits are divided by a temperature that is fitted to 5,000 held
out training images (Guo et al. 2017). As controls the same classifier reads the test images,
samples of one Gaussian fitted to all training images, and means of two test images.

The Frechet distance is that of the 128 features below the classifier's last layer, to the test
images: not the FID of Inception. It is reported with that of as many training images, which
perfect samples would have.
"""

import argparse
import json
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from torch import nn

from unsup_fast import pictures
from unsup_fast.kernels.assign import assign
from unsup_fast.metrics import feature_frechet_distance
from unsup_fast.models import diffusion
from unsup_fast.models.training import precision

HELD_OUT = 5_000
CONFIDENT = 0.9
LEAST_CONFIDENT, LEAST_AS_ASKED, SHARES = 0.9, 0.9, (0.05, 0.16)


class Classifier(nn.Module):
    """A network of three convolutions and two matrices."""

    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(1, 16, 3, padding=1)
        self.conv2 = nn.Conv2d(16, 32, 3, padding=1)
        self.conv3 = nn.Conv2d(32, 64, 3, padding=1)
        self.hidden = nn.Linear(64 * 7 * 7, 128)
        self.out = nn.Linear(128, 10)
        self.register_buffer("temperature", torch.ones(()))

    def features(self, x):
        """Return the features [B, 128] of images [B, 1, 28, 28] in [0, 1]."""
        x = F.max_pool2d(F.relu(self.conv1(x)), 2)  # [B, 16, 14, 14]
        x = F.max_pool2d(F.relu(self.conv3(F.relu(self.conv2(x)))), 2)  # [B, 64, 7, 7]
        return F.relu(self.hidden(F.dropout(x.flatten(1), 0.3, self.training)))

    def forward(self, x):
        """Return the scores [B, 10] of images [B, 1, 28, 28] in [0, 1]."""
        return self.out(self.features(x))


def as_input(images):
    """Return uint8 images of shape (N, 28, 28) as the classifier takes them."""
    x = torch.from_numpy(np.ascontiguousarray(images)).float().div_(255)
    return x[:, None].contiguous(memory_format=torch.channels_last)


def train_classifier(images, labels, *, epochs=4, batch_size=128, seed=0):
    """Return a classifier trained on real images with random shifts of up to two pixels."""
    torch.manual_seed(seed)
    network = Classifier().to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(network.parameters(), 1e-3, weight_decay=1e-2)
    n = len(images) - HELD_OUT
    steps = epochs * (n // batch_size)
    rates = torch.optim.lr_scheduler.OneCycleLR(optimizer, 3e-3, steps)
    padded = F.pad(as_input(images), (2, 2, 2, 2))
    labels = torch.from_numpy(labels.astype(np.int64))
    dtype = precision.chosen("auto", "cpu")  # bfloat16 in software takes ten times as long
    for _ in range(epochs):
        for index in torch.randperm(n)[: n // batch_size * batch_size].view(-1, batch_size):
            up, left = torch.randint(5, (2,)).tolist()
            x = padded[index, :, up : up + 28, left : left + 28]
            with precision.autocast(dtype, "cpu"):
                scores = network(x.contiguous(memory_format=torch.channels_last))
            F.cross_entropy(scores.float(), labels[index]).backward()
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            rates.step()
    network.eval().requires_grad_(False)
    scores, truth = read(network, images[n:])[0], labels[n:]
    candidates = torch.linspace(0.5, 3, 101)
    losses = torch.stack([F.cross_entropy(scores / t, truth) for t in candidates])
    network.temperature.copy_(candidates[losses.argmin()])
    return network


def classifier(path, images, labels):
    """Return the classifier saved in a file, or train and save it."""
    if path.exists():
        network = Classifier().to(memory_format=torch.channels_last)
        network.load_state_dict(load_file(path))
        return network.eval().requires_grad_(False)
    network = train_classifier(images, labels)
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file({name: value.contiguous() for name, value in network.state_dict().items()}, path)
    return network


@torch.no_grad()
def read(network, images):
    """Return the scores over the temperature [N, 10] and the features [N, 128] of images."""
    parts = [
        network.features(as_input(part)) for part in np.array_split(images, len(images) // 500 + 1)
    ]
    features = torch.cat(parts)
    return network.out(features) / network.temperature, features


def confidence(network, images):
    """Return the digit [N] that is read in each image, and its probability [N]."""
    best = read(network, images)[0].softmax(1).max(1)
    return best.indices.numpy(), best.values.numpy()


def examine(network, images, labels):
    """Return accuracy and calibration of the classifier on the test images."""
    digits, sure = confidence(network, images)
    right = digits == labels
    bins = np.minimum((sure * 15).astype(int), 14)
    gaps = [abs((right - sure)[bins == b].sum()) for b in range(15)]
    return {
        "accuracy": right.mean(),
        "calibration_error": sum(gaps) / len(images),
        "confident": (sure >= CONFIDENT).mean(),
        "accuracy_of_confident": right[sure >= CONFIDENT].mean(),
    }


def controls(network, train, test, n, rng):
    """Return the shares of images without digits in which the classifier is confident."""
    rows = train.reshape(len(train), -1).astype(np.float32)
    deviations = rows - rows.mean(0)
    noise = rng.standard_normal((n, len(rows)), np.float32) @ deviations / np.sqrt(len(rows))
    gaussian = (noise + rows.mean(0)).clip(0, 255).astype(np.uint8).reshape(-1, 28, 28)
    one, other = (test[rng.permutation(len(test))[:n]].astype(np.uint16) for _ in range(2))
    means = ((one + other) // 2).astype(np.uint8)
    shown = {"gaussian": gaussian, "means_of_two": means}
    return {k: (confidence(network, x)[1] >= CONFIDENT).mean() for k, x in shown.items()}


def judge(network, images, test_features, labels=None):
    """Return the classifier's statistics of samples, and whether they pass."""
    digits, sure = confidence(network, images)
    shares = np.bincount(digits, minlength=10) / len(images)
    confident = (sure >= CONFIDENT).mean()
    low, high = SHARES
    verdict = {
        "samples": len(images),
        "confident": confident,
        "shares": shares.tolist(),
        "frechet": float(feature_frechet_distance(read(network, images)[1], test_features)),
        "passed": bool(
            confident >= LEAST_CONFIDENT and low <= shares.min() <= shares.max() <= high
        ),
    }
    if labels is not None:
        verdict["as_asked"] = (digits == labels).mean()
        verdict["passed"] &= bool(verdict["as_asked"] >= LEAST_AS_ASKED)
    return verdict


def nearest(images, others):
    """Return the index of the nearest of `others`, and the RMS distance in grey values."""
    rows, centers = (x.reshape(len(x), -1).astype(np.float32) for x in (images, others))
    neighbours = assign(rows, centers, update=False, return_distances=True)
    return neighbours.labels, np.sqrt(neighbours.distances / rows.shape[1])


def copies(images, train, test):
    """Return distances of samples and test images to their nearest training images."""
    _, of_images = nearest(images, train)
    _, of_test = nearest(test[: len(images)], train)
    return {
        "median": float(np.median(of_images)),
        "median_of_test": float(np.median(of_test)),
        "least": of_images.min(),
        "least_of_test": of_test.min(),
        "nearer_than_1_percent_of_test": (of_images < np.quantile(of_test, 0.01)).mean(),
    }


def grid(path, images, columns):
    pictures.save_grid(path, images.astype(np.float32)[:, None] / 127.5 - 1, columns)


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--mnist", type=Path, required=True, help="mnist.npz")
    parser.add_argument("--run", type=Path, required=True, help="folder of a trained model")
    parser.add_argument("--out", type=Path, default=Path("results/mnist"), help="folder")
    parser.add_argument("--classifier", type=Path, default=Path("results/mnist.safetensors"))
    parser.add_argument("-n", type=int, default=1000, help="samples")
    parser.add_argument("--sampler", default="dpm++2m")
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


def main():
    args = arguments()
    with np.load(args.mnist) as file:
        train, test = file["x_train"], file["x_test"]
        train_labels, test_labels = file["y_train"], file["y_test"]
    network = classifier(args.classifier, train, train_labels)
    rng = np.random.default_rng(args.seed)
    test_features = read(network, test)[1]
    some = train[rng.permutation(len(train))[: args.n]]
    report = {
        "classifier": examine(network, test, test_labels),
        "confident_in_no_digits": controls(network, train, test, args.n, rng),
        "training_images": judge(network, some, test_features),
    }
    model = diffusion.load(args.run)
    asked = np.arange(args.n) * 10 // args.n
    for name, labels in (("each_digit", asked), ("any_class", None)):
        start = time.perf_counter()
        samples = model.sample(
            args.n,
            sampler=args.sampler,
            steps=args.steps,
            label=None if labels is None else labels.tolist(),
            seed=args.seed,
        )
        seconds = time.perf_counter() - start
        images = pictures.to_bytes(samples)[:, 0]
        verdict = judge(network, images, test_features, labels)
        report[name] = verdict | {"seconds": seconds} | copies(images, train, test)
        args.out.mkdir(parents=True, exist_ok=True)
        some = images[np.arange(100) * args.n // 100]
        grid(args.out / f"{name}.png", some, 10)
        pairs = np.stack([some, train[nearest(some, train)[0]]], axis=1)
        grid(args.out / f"{name}-neighbours.png", pairs.reshape(-1, 28, 28), 20)
    text = json.dumps(report, indent=2, default=float)
    (args.out / "check.json").write_text(text + "\n")
    print(text)
    return 0 if report["each_digit"]["passed"] else 1


if __name__ == "__main__":
    raise SystemExit(main())
