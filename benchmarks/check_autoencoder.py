"""Check a KL autoencoder against PCA with as many numbers a picture; train it first if asked to.

    python benchmarks/check_autoencoder.py --data PICTURES --run RUN --out OUT [--minutes 20]

PICTURES is whatever `unsup_fast.pictures.load` reads. A tenth of them, at most 1,000, are held out;
the autoencoder (trained for some minutes if --minutes says so, from where RUN left off) and our PCA
learn from the rest. OUT gets `check.json`, and `pictures.png` with a row each of held-out
originals, of reconstructions by the autoencoder, and by PCA. The exit status is 0 if, on held-out
pictures,

- the autoencoder's PSNR is above that of PCA with as many components as a picture has latents,
- the Frechet distance of its reconstructions to the originals, by features of EfficientNet-lite0,
  is at most half of that of PCA's,
- the standard deviation of each channel of the scaled latents is from 0.7 to 1.4,
- turned latents decode to turned pictures with a PSNR of at least 20 dB.

The perceptual loss of the training sees features of lite0. So the distances by features of
EfficientNet-lite1 are reported too.

PSNR is 10 log10(range^2 / mean squared error), with the error averaged over all pictures; that of
each picture, averaged, is reported too.
"""

import argparse
import json
from pathlib import Path

import numpy as np
import torch
from check_gan import stop_after

from unsup_fast import pictures
from unsup_fast.decomposition import PCA
from unsup_fast.metrics import Lite0, Lite1, feature_frechet_distance
from unsup_fast.models import vae
from unsup_fast.models.training import TrainConfig

HELD_OUT, SHOWN, FITTED = 1000, 12, 10_000
SHARE, STDS, TURNED = 0.5, (0.7, 1.4), 20.0
NEVER = 10**9


def split(data):
    """Return training and held-out pictures."""
    order = np.random.default_rng(0).permutation(len(data))
    n = min(HELD_OUT, len(data) // 10)
    return data[order[n:]], data[order[:n]]


def train(data, args):
    """Train the model in a folder for some minutes more."""
    config = vae.KLConfig(shape=data.shape[1:], block_out_channels=tuple(args.widths))
    options = TrainConfig(
        steps=NEVER,
        batch_size=args.batch_size,
        learning_rate=args.lr,
        ema=args.ema,
        save_every=500,
        sample_every=NEVER,
    )
    vae.train_autoencoder(
        data,
        args.run,
        config=config,
        options=options,
        perceptual_weight=args.perceptual_weight,
        equivariance=args.equivariance,
        progress=stop_after(args.minutes),
    )


def psnr(x, y):
    """Return the PSNR in dB of pictures in [-1, 1], of all and the mean of each."""
    error = (x - y).square().flatten(1).mean(1).double()  # [N]
    each = 10 * (4 / error.clamp_min(1e-10)).log10()
    return float(10 * (4 / error.mean()).log10()), float(each.mean())


def by_pca(train, test, n_components):
    """Return pictures [N, C, H, W] in [-1, 1] that PCA reconstructs."""
    rows = train[:FITTED].reshape(-1, test[0].size).astype(np.float32) / 127.5 - 1
    pca = PCA(n_components=n_components).fit(rows)
    codes = pca.transform(test.reshape(len(test), -1).astype(np.float32) / 127.5 - 1)
    rebuilt = np.asarray(pca.inverse_transform(codes), np.float32).reshape(test.shape)
    return torch.from_numpy(rebuilt).clamp(-1, 1)


def distances(extractor, originals, others):
    """Return the Frechet distance from originals of each of several sets of pictures."""
    features = extractor(originals)  # [N, 1280]
    return [
        float(feature_frechet_distance(features, extractor(pictures.to_bytes(each))))
        for each in others
    ]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="pictures")
    parser.add_argument("--run", type=Path, required=True, help="folder of the model")
    parser.add_argument("--out", type=Path, default=Path("results/autoencoder"), help="folder")
    parser.add_argument("--minutes", type=float, default=0.0, help="train for as long")
    parser.add_argument("--widths", type=int, nargs="+", default=[32, 64, 64], help="of levels")
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--lr", type=float, default=2e-3)
    parser.add_argument("--ema", type=float, default=0.998)
    parser.add_argument("--perceptual-weight", type=float, default=0.2)
    parser.add_argument("--equivariance", type=float, default=0.4)
    args = parser.parse_args()
    learned, test = split(pictures.load(args.data, labels=False).pixels)
    if args.minutes > 0:
        train(learned, args)
    model = vae.AutoencoderKL.load(args.run)
    x = torch.from_numpy(test) / 127.5 - 1  # [N, C, H, W]
    latents = model.latents(test)
    rebuilt = model.pictures(latents)
    linear = by_pca(learned, test, latents[0].numel())
    turned = model.pictures(torch.rot90(latents, 1, (2, 3)))
    lite0, lite1 = (
        distances(extractor, test, (rebuilt, linear)) for extractor in (Lite0(), Lite1())
    )
    stds = latents.std((0, 2, 3)).tolist()
    report = {
        "model": repr(model),
        "held_out": len(test),
        "numbers": latents[0].numel(),
        "psnr": psnr(rebuilt, x),
        "psnr_pca": psnr(linear, x),
        "frechet_lite0": lite0[0],
        "frechet_lite0_pca": lite0[1],
        "frechet_lite1": lite1[0],
        "frechet_lite1_pca": lite1[1],
        "std": stds,
        "psnr_turned": psnr(turned, torch.rot90(x, 1, (2, 3))),
    }
    limits = {
        "psnr": report["psnr"][0] > report["psnr_pca"][0],
        "frechet": lite0[0] <= SHARE * lite0[1],
        "std": all(STDS[0] <= std <= STDS[1] for std in stds),
        "turned": report["psnr_turned"][0] >= TURNED,
    }
    report["short"] = [name for name, holds in limits.items() if not holds]
    args.out.mkdir(parents=True, exist_ok=True)
    rows = torch.cat([each[:SHOWN] for each in (x, rebuilt, linear)])
    pictures.save_grid(args.out / "pictures.png", rows, SHOWN)
    text = json.dumps(report, indent=2)
    (args.out / "check.json").write_text(text + "\n")
    print(text)
    return 1 if report["short"] else 0


if __name__ == "__main__":
    raise SystemExit(main())
