"""Train a diffusion model on scikit-learn's digits, sample from it, and check the samples.

    python examples/diffusion_digits.py              # a few minutes on two cores
    python examples/diffusion_digits.py --steps 4000 # better digits

The folder `digits-run` holds checkpoints, so Ctrl-C and a second start resume bit for bit. The
samples are in `digits.png`, a row for each digit.
"""

import argparse
from pathlib import Path

import numpy as np
from sklearn.linear_model import LogisticRegression

from unsup_fast import pictures
from unsup_fast.models import diffusion
from unsup_fast.models.training import State, TrainConfig


def main() -> None:
    """Train, sample, and print how many samples a classifier reads as requested."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=1500, help="Training steps.")
    parser.add_argument("--out", type=Path, default=Path(), help="Folder for the results.")
    arguments = parser.parse_args()

    # 1,797 pictures of 8 x 8 pixels, uint8 [N, 1, 8, 8], with labels 0 to 9.
    data = pictures.digits()
    held_out = np.random.default_rng(0).permutation(len(data.pixels)) < 300
    pixels, labels = data.pixels[~held_out], data.labels[~held_out]

    config = diffusion.Config(
        shape=pixels.shape[1:],
        classes=data.classes,
        objective="v_prediction",  # what the network learns, see docs/guides/diffusion-models.md
        network="unet",
        size="tiny",
        patch=2,  # four pixels are one position: four times as fast
    )
    options = TrainConfig(
        steps=arguments.steps,
        batch_size=128,
        learning_rate=2e-3,
        warmup=min(100, arguments.steps // 10),
        decay=arguments.steps // 3,
    )

    def progress(state: State, metrics: dict[str, float], rate: float) -> None:
        shown = f"step {state.step}: loss {metrics['loss']:.3f}, {rate:,.0f} pictures a second"
        print(f"\r  {shown:50}", end="", flush=True)

    print(f"training on {len(pixels)} digits")
    run = arguments.out / "digits-run"
    model = diffusion.train(
        pixels, run, labels=labels, config=config, options=options, progress=progress
    )
    print(f"\n{model}")

    # Ten of each digit, in 20 steps. Sample i depends on its own seed alone.
    wanted = np.repeat(np.arange(10), 10)
    samples = model.sample(label=wanted, guidance=2.0, sampler="dpm++2m", steps=20, seed=0)
    pictures.save_grid(arguments.out / "digits.png", samples, columns=10)
    print(f"\nsamples: {arguments.out / 'digits.png'}")
    print(drawing(pictures.to_bytes(samples)[::10]))

    # A classifier that has seen real digits alone reads samples and held-out digits.
    flat = pixels.reshape(len(pixels), -1) / 255
    classifier = LogisticRegression(max_iter=2000).fit(flat, labels)
    generated = pictures.to_bytes(samples).reshape(len(samples), -1) / 255
    real = data.pixels[held_out].reshape(300, -1) / 255
    print(f"read as requested: {classifier.score(generated, wanted):.0%} of the samples", end=", ")
    print(f"{classifier.score(real, data.labels[held_out]):.0%} of real digits held out")

    # Copies of the training set would be nearer to it than real digits are.
    nearest = [np.sqrt(((x - flat) ** 2).mean(1)).min() for x in generated]
    nearest_real = [np.sqrt(((x - flat) ** 2).mean(1)).min() for x in real]
    print(f"median distance to the nearest training digit: {np.median(nearest):.3f}", end=", ")
    print(f"of real digits held out {np.median(nearest_real):.3f}")

    bound = diffusion.nll_bits_per_dim(
        model, data.pixels[held_out], labels=data.labels[held_out], n_timesteps=16, seed=0
    )
    bits, error = bound.bits_per_dim, bound.standard_error
    print(f"bits per pixel of digits held out: at most {bits:.2f} ± {error:.2f} of 8")


def drawing(images: np.ndarray) -> str:
    """Return images [n, 1, H, W] side by side as text, two rows of pixels a line."""
    shades = np.array(list(" .:-=+*#%@"))
    cells = shades[images[:, 0, ::2].astype(int) * 10 // 256]  # [n, H / 2, W]
    return "\n".join("  ".join("".join(row) for row in rows) for rows in cells.swapaxes(0, 1))


if __name__ == "__main__":
    main()
