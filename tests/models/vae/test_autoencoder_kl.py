"""`AutoencoderKL` against diffusers: names, numbers and files; its training, scale and tiles."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("accelerate")

import torch.nn.functional as F  # noqa: E402
from torch import nn  # noqa: E402

import unsup_fast  # noqa: E402
from unsup_fast.models import vae  # noqa: E402
from unsup_fast.models.training import TrainConfig  # noqa: E402
from unsup_fast.models.vae import kl_files, kl_tiles, kl_training, kl_transforms  # noqa: E402
from unsup_fast.storage import tensors  # noqa: E402
from unsup_fast.storage.records import DamagedError  # noqa: E402

CONFIG = vae.KLConfig(shape=(3, 16, 16), block_out_channels=(8, 16), norm_num_groups=4)
OPTIONS = TrainConfig(steps=4, batch_size=4, warmup=2, save_every=2, sample_every=2, seed=4)


def peer(*, bias_free_middle=False, quant=True, seed=0):
    """A diffusers model with weights of a seed."""
    diffusers = pytest.importorskip("diffusers")
    torch.manual_seed(seed)
    return diffusers.AutoencoderKL(
        3,
        3,
        ("DownEncoderBlock2D",) * 3,
        ("UpDecoderBlock2D",) * 3,
        (8, 12, 16),
        layers_per_block=2,
        latent_channels=5,
        norm_num_groups=4,
        sample_size=24,
        use_quant_conv=quant,
        use_post_quant_conv=quant,
        mid_block_add_attention=not bias_free_middle,
    )


def pixels(n=12, shape=CONFIG.shape, seed=0):
    """Blobs of one colour on a dark ground."""
    random = np.random.default_rng(seed)
    data = random.integers(0, 40, size=(n, *shape), dtype=np.uint8)
    for picture in data:
        top, left = random.integers(0, shape[1] // 2, size=2)
        colour = random.integers(100, 200, size=(3, 1, 1)).astype(np.uint8)
        picture[:, top : top + shape[1] // 2, left : left + shape[2] // 2] += colour
    return data


def noise(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def weights_of(folder):
    """Weights and settings in a folder that diffusers wrote."""
    settings = json.loads((folder / kl_files.SETTINGS).read_text())
    return tensors.read_foreign(folder / kl_files.WEIGHTS), settings


def rewrite(folder, weights, settings):
    safetensors = pytest.importorskip("safetensors.torch")
    safetensors.save_file(weights, folder / kl_files.WEIGHTS)
    (folder / kl_files.SETTINGS).write_text(json.dumps(settings))


def relative(a, b):
    return float((a - b).detach().abs().max() / b.detach().abs().max())


@pytest.mark.parametrize("quant", [True, False])
@pytest.mark.parametrize("bias_free_middle", [False, True])
def test_diffusers_weights_give_its_outputs_and_gradients(tmp_path, quant, bias_free_middle):
    theirs = peer(quant=quant, bias_free_middle=bias_free_middle)
    theirs.save_pretrained(tmp_path)
    ours = vae.AutoencoderKL.from_pretrained(tmp_path)
    assert ours.network.state_dict().keys() == theirs.state_dict().keys()
    assert ours.config.latent_shape == (5, 6, 6)
    x, z = noise(2, 3, 24, 40).clamp(-1, 1), noise(2, 5, 6, 10, seed=1)
    q, expected = ours.encode(x).latent_dist, theirs.encode(x).latent_dist
    assert relative(q.mean, expected.mean) < 1e-5
    assert relative(q.log_variance, expected.logvar) < 1e-5
    assert relative(q.std, expected.std) < 1e-5
    assert relative(ours.decode(z), theirs.decode(z).sample) < 1e-5
    ours.network.requires_grad_(True)
    for model in (ours, theirs):
        (model.network if model is ours else model).zero_grad()
    (ours.decode(ours.encode(x).latent_dist.mean) - x).square().mean().backward()
    (theirs.decode(theirs.encode(x).latent_dist.mean).sample - x).square().mean().backward()
    largest = max(float(each.grad.abs().max()) for each in theirs.parameters())
    for name, parameter in theirs.named_parameters():
        mine = ours.network.get_parameter(name).grad
        assert float((mine - parameter.grad).abs().max()) < 1e-5 * largest, name


def test_outputs_equal_diffusers_in_float64():
    theirs = peer().double()
    config = vae.KLConfig((3, 24, 24), (), "kl", 5, (8, 12, 16), 2, 4)
    ours = vae.AutoencoderKL.build(config)
    ours.network.double().load_state_dict(theirs.state_dict())
    x = noise(1, 3, 16, 24).double()
    with torch.no_grad():
        moments = theirs.encode(x).latent_dist.parameters
        assert relative(ours.network.encode(x), moments) < 1e-12
        assert relative(ours.decode(moments[:, :5]), theirs.decode(moments[:, :5]).sample) < 1e-12


def test_files_with_old_names_and_half_precision(tmp_path):
    theirs = peer()
    theirs.save_pretrained(tmp_path)
    weights, settings = weights_of(tmp_path)
    present = vae.AutoencoderKL.from_pretrained(tmp_path).network.state_dict()
    old = {
        name.replace("to_q", "query")
        .replace("to_k", "key")
        .replace("to_v", "value")
        .replace("to_out.0", "proj_attn"): value
        for name, value in weights.items()
    }
    assert "encoder.mid_block.attentions.0.proj_attn.bias" in old
    rewrite(tmp_path, old, settings)
    loaded = vae.AutoencoderKL.from_pretrained(tmp_path).network.state_dict()
    assert all(torch.equal(loaded[name], value) for name, value in present.items())
    rewrite(tmp_path, {name: value.half() for name, value in weights.items()}, settings)
    half = vae.AutoencoderKL.from_pretrained(tmp_path).network.state_dict()
    assert all(torch.equal(half[name], value.half().float()) for name, value in present.items())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"_class_name": "AutoencoderTiny"}, "AutoencoderTiny"),
        ({"down_block_types": ["AttnDownEncoderBlock2D"] * 3}, "down_block_types"),
        ({"up_block_types": ["UpDecoderBlock2D"]}, "up_block_types"),
        ({"act_fn": "relu"}, "act_fn='relu'"),
        ({"out_channels": 4}, "differ"),
        ({"norm_type": "spatial"}, "'norm_type'"),
        ({"norm_num_groups": 3}, "norm_num_groups=3"),
        ({"latents_mean": [0.0] * 5}, "go together"),
        ({"latents_mean": [0.0], "latents_std": [1.0]}, "5 latent channels"),
        ({"layers_per_block": "two"}, "layers_per_block"),
        ({"block_out_channels": 8}, "not a list"),
        ({"sample_size": [8, 8, 8]}, "shape="),
        ({"scaling_factor": 0.0}, "scaling_factor"),
        ({"layers_per_block": 1}, "no tensor of what"),
        ({"layers_per_block": 3}, "is missing"),
        ({"block_out_channels": [8, 16, 16]}, "shape"),
    ],
)
def test_unsupported_settings_are_an_error(tmp_path, change, message):
    peer().save_pretrained(tmp_path)
    path = tmp_path / kl_files.SETTINGS
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(DamagedError, match=message):
        vae.AutoencoderKL.from_pretrained(tmp_path)


def test_damaged_files_are_an_error(tmp_path):
    peer().save_pretrained(tmp_path)
    path = tmp_path / kl_files.WEIGHTS
    content = path.read_bytes()
    for damaged in (content[:-4], content[:40], b"\0" * 64, content + b"0000"):
        path.write_bytes(damaged)
        with pytest.raises(DamagedError):
            vae.AutoencoderKL.from_pretrained(tmp_path)
    (tmp_path / kl_files.SETTINGS).write_text("[1")
    with pytest.raises(DamagedError, match="JSON"):
        vae.AutoencoderKL.from_pretrained(tmp_path)


def test_exported_folder_is_read_by_diffusers(tmp_path):
    diffusers = pytest.importorskip("diffusers")
    ours = vae.AutoencoderKL.build(replace(CONFIG, shape=(3, 16, 24)), seed=1)
    x = torch.from_numpy(pixels(shape=(3, 16, 24)))
    ours.measure_scale(x)
    ours.save_pretrained(tmp_path)
    theirs = diffusers.AutoencoderKL.from_pretrained(tmp_path)
    assert theirs.config.latents_std == list(ours.config.latents_std)
    assert theirs.config.sample_size == [16, 24]
    floats = x[:2] / 127.5 - 1
    assert relative(
        ours.encode(floats).latent_dist.mean, theirs.encode(floats).latent_dist.mean
    ) < (1e-5)
    again = vae.AutoencoderKL.from_pretrained(tmp_path)
    assert again.config == ours.config
    assert torch.equal(again.reconstruct(x), ours.reconstruct(x))


def test_saved_model_is_loaded(tmp_path):
    model = vae.AutoencoderKL.build(CONFIG, seed=2)
    model.measure_scale(pixels())
    model.save(tmp_path)
    again = unsup_fast.load(tmp_path)
    assert isinstance(again, vae.AutoencoderKL)
    assert again.config == model.config
    assert torch.equal(again.latents(pixels()), model.latents(pixels()))
    assert "3 x 16 x 16 to 4 x 8 x 8" in repr(again)


def test_scale_is_that_of_draws():
    model = vae.AutoencoderKL.build(CONFIG, seed=3)
    x = pixels(8)
    model.measure_scale(x, batch_size=3)
    draws = torch.cat([model.latents(x, seed=seed) for seed in range(50)])  # [400, 4, 8, 8]
    assert torch.allclose(draws.std((0, 2, 3)), torch.ones(4), atol=0.02)
    assert torch.allclose(draws.mean((0, 2, 3)), torch.zeros(4), atol=0.02)
    means = model.encode(x).latent_dist.mode()
    assert torch.allclose(model.unscale(model.latents(x)), means, atol=1e-5)
    assert not model.latents(x).requires_grad


def test_factor_and_shift_of_a_file_scale():
    config = replace(CONFIG, scaling_factor=0.5, shift_factor=2.0)
    z = noise(2, 4, 8, 8)
    model = vae.AutoencoderKL.build(config)
    assert torch.allclose(model.scale(z), (z - 2) * 0.5)
    assert torch.allclose(model.unscale(model.scale(z)), z, atol=1e-6)


@pytest.mark.parametrize(
    ("length", "tile", "overlap"), [(5, 8, 2), (8, 8, 2), (9, 8, 2), (40, 8, 5)]
)
def test_weights_of_tiles_add_up_to_one(length, tile, overlap):
    total, covered = np.zeros(length), 0
    for window in kl_tiles.windows(length, tile, overlap):
        assert window.start <= max(covered - overlap, 0)
        covered = window.start + len(window.weights)
        total[window.start : covered] += window.weights
    assert covered == length
    assert np.allclose(total, 1, atol=1e-15)


def test_tiles_are_exact_for_convolutions_that_see_a_quarter_of_the_overlap():
    torch.manual_seed(0)
    down = nn.Sequential(
        nn.Conv2d(3, 6, 3, padding=1), nn.SiLU(), nn.Conv2d(6, 6, 3, stride=2, padding=1)
    )
    up = nn.Sequential(
        nn.Conv2d(3, 6, 3, padding=1), nn.Upsample(scale_factor=2), nn.Conv2d(6, 5, 3, padding=1)
    )
    x = noise(2, 3, 44, 60)
    with torch.no_grad():
        for function, units in ((down, {"inputs": 2}), (up, {"outputs": 2})):
            whole = function(x)
            side = 16 if function is up else 12
            parts = kl_tiles.tiled(function, x, tile=side, overlap=8, **units)
            assert torch.allclose(parts, whole, atol=1e-6)
            seams = kl_tiles.tiled(function, x, tile=side, overlap=0, **units)
            assert not torch.allclose(seams, whole, atol=1e-3)


def test_tiled_pictures_have_the_shape_of_whole_ones():
    model = vae.AutoencoderKL.build(CONFIG, seed=1)
    x = noise(1, 3, 40, 24).clamp(-1, 1)
    z = model.encode(x, tile=16).latent_dist.mean
    assert z.shape == (1, 4, 20, 12)
    assert model.decode(z, tile=16).shape == x.shape
    assert torch.allclose(model.decode(z, tile=40), model.decode(z), atol=1e-6)
    for tile in (15, 4):
        with pytest.raises(ValueError, match=f"tile={tile}"):
            model.encode(x, tile=tile)


def test_wrong_pictures_are_an_error():
    model = vae.AutoencoderKL.build(CONFIG)
    with pytest.raises(ValueError, match="multiples of 2"):
        model.encode(noise(1, 3, 15, 16))
    with pytest.raises(ValueError, match=r"takes \(B, 3, H, W\)"):
        model.latents(torch.zeros(1, 1, 16, 16))
    with pytest.raises(ValueError, match=r"takes \(B, 4, H, W\)"):
        model.decode(noise(1, 3, 8, 8))
    with pytest.raises(TypeError, match="int64"):
        model.encode(torch.zeros(1, 3, 16, 16, dtype=torch.int64))
    with pytest.raises(ValueError, match="no pictures"):
        model.latents(noise(0, 3, 16, 16))


@pytest.mark.parametrize(
    "change",
    [
        {"shape": (3, 15, 16)},
        {"shape": (16, 16)},
        {"norm_num_groups": 3},
        {"classes": ("a",)},
        {"network": "unet"},
        {"latent_channels": 0},
        {"use_quant_conv": 1},
        {"scaling_factor": math.inf},
        {"latents_std": (1.0, 1.0, 1.0, 0.0), "latents_mean": (0.0,) * 4},
        {"shift_factor": 1.0, "latents_mean": (0.0,) * 4, "latents_std": (1.0,) * 4},
    ],
)
def test_wrong_configurations_are_an_error(change):
    with pytest.raises(ValueError, match=next(iter(change))):
        replace(CONFIG, **change)


def test_transforms_of_latents_and_pictures_agree():
    z = noise(2, 4, 6, 9)
    x = z.repeat_interleave(4, 2).repeat_interleave(4, 3)  # a decoder that repeats each latent
    for turns in range(4):
        transform = kl_transforms.Transform(turns=turns, side=6)
        turned = transform(z).repeat_interleave(4, 2).repeat_interleave(4, 3)
        assert torch.equal(turned, transform(x, 4))
    smaller = kl_transforms.Transform(turns=1, side=3)
    assert smaller(z).shape == (2, 4, 4, 3)
    assert smaller(x, 4).shape == (2, 4, 16, 12)
    assert torch.allclose(smaller(torch.full_like(x, 0.5), 4), torch.tensor(0.5))


def test_transforms_follow_from_the_seed():
    draws = [kl_transforms.draw(seed, 0.5, 8) for seed in range(400)]
    assert draws == [kl_transforms.draw(seed, 0.5, 8) for seed in range(400)]
    some = [each for each in draws if each is not None]
    assert 160 < len(some) < 240
    assert {each.turns for each in some} == {0, 1, 2, 3}
    assert {each.side for each in some} == set(range(2, 9))
    assert kl_transforms.draw(3, 0.0, 8) is None
    assert kl_transforms.draw(3, 1.0, 8) is not None


def test_terms_of_the_loss():
    network = vae.AutoencoderKL.build(CONFIG, seed=5).network
    x, seeds = noise(3, 3, 16, 16).clamp(-1, 1), torch.tensor([1, 2, 3])

    def distance(seen, target):
        assert seen.shape == target.shape == x.shape
        return (seen - target).square().flatten(1).sum(1)  # [B]

    with torch.no_grad():
        terms = kl_training._terms(network, distance, x, seeds, None)
        mean, log_variance = network.encode(x).double().chunk(2, 1)
        q = torch.distributions.Normal(mean, (log_variance / 2).exp())
        prior = torch.distributions.Normal(torch.zeros_like(mean), 1.0)
        divergence = torch.distributions.kl_divergence(q, prior).flatten(1).sum(1).mean()
        assert terms.kl.item() == pytest.approx(divergence.item(), rel=1e-5)
        z = vae.DiagonalGaussian.from_moments(network.encode(x)).sample(seeds)
        error = network.decode(z) - x
        assert terms.l1.item() == pytest.approx(error.abs().mean().item(), rel=1e-5)
        squares = error.square().flatten(1).sum(1).mean()
        assert terms.perceptual.item() == pytest.approx(squares.item(), rel=1e-4)
        transform = kl_transforms.Transform(turns=1, side=4)
        moved = kl_training._terms(network, distance, x, seeds, transform)
        error = network.decode(transform(z)) - transform(x, 2)
        assert moved.l1.item() == pytest.approx(error.abs().mean().item(), rel=1e-5)
        assert moved.kl.item() == pytest.approx(terms.kl.item(), rel=1e-6)


def train(folder, options=OPTIONS, data=None, **arguments):
    settings = {"device": "cpu", "progress": False, "perceptual_weight": 0.0, **arguments}
    data = pixels() if data is None else data
    settings.setdefault("config", CONFIG)
    return vae.train_autoencoder(data, folder, options=options, **settings)


def same(a, b):
    a, b = a.network.state_dict(), b.network.state_dict()
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def test_training_resumes_to_the_bit(tmp_path):
    distance = lambda a, b: (a - b).square().mean((1, 2, 3))  # noqa: E731
    settings = {"perceptual": distance, "perceptual_weight": 0.3, "flip": True}
    shown = []
    whole = train(
        tmp_path / "a", **settings, on_sample=lambda model, step: shown.append((model, step))
    )
    assert [step for _, step in shown] == [2, 4]
    stops = iter([False, True])
    train(tmp_path / "b", **settings, progress=lambda *_: next(stops, True))
    stopped = vae.AutoencoderKL.load(tmp_path / "b")
    assert not same(stopped, whole)
    assert stopped.config.latents_std is not None
    resumed = train(tmp_path / "b", **settings)
    assert same(resumed, whole)
    assert resumed.config == whole.config == vae.AutoencoderKL.load(tmp_path / "b").config
    again = train(tmp_path / "b", **settings)  # nothing is left to do
    assert same(again, whole)
    assert again.config == whole.config
    with pytest.raises(ValueError, match="equivariance"):
        train(tmp_path / "b", **settings, equivariance=0.1)


def test_accumulated_and_sharded_steps_agree(tmp_path):
    whole = train(tmp_path / "a", precision="float32")
    parts = train(tmp_path / "b", replace(OPTIONS, accumulation=2), precision="float32")
    shards = train(tmp_path / "c", replace(OPTIONS, shards=2), precision="float32")
    for other in (parts, shards):
        for name, value in whole.network.state_dict().items():
            assert torch.allclose(other.network.state_dict()[name], value, atol=2e-4), name


def test_training_learns_latents_of_unit_scale(tmp_path):
    data = pixels(32)
    options = TrainConfig(
        steps=60, batch_size=8, learning_rate=3e-3, warmup=5, ema=0.9, save_every=60
    )
    model = train(tmp_path, options, data=data)
    x = torch.from_numpy(data) / 127.5 - 1
    error = (model.reconstruct(data) - x).square().mean()
    assert error < 0.3 * (x - x.mean()).square().mean()
    latents = model.latents(data, seed=1)
    assert torch.allclose(latents.std((0, 2, 3)), torch.ones(4), atol=0.1)
    start = train(
        tmp_path / "more", replace(options, steps=1, learning_rate=1e-6), data=data, start=model
    )
    moved = (start.reconstruct(data) - x).square().mean()
    assert moved < 2 * error
    with pytest.raises(ValueError, match="start has the configuration"):
        vae.train_autoencoder(
            data,
            tmp_path / "other",
            config=replace(CONFIG, latent_channels=3),
            options=options,
            start=model,
        )


def test_wrong_settings_of_training_are_an_error(tmp_path):
    with pytest.raises(ValueError, match=r"equivariance=1\.5"):
        train(tmp_path, equivariance=1.5)
    with pytest.raises(ValueError, match="kl_weight=-1"):
        train(tmp_path, kl_weight=-1)
    with pytest.raises(ValueError, match="floats reach 2"):
        train(tmp_path, data=np.full((4, 3, 16, 16), 2.0, np.float32))
    with pytest.raises(ValueError, match="data has shape"):
        train(tmp_path, data=pixels(shape=(3, 8, 8)))
    assert not list(tmp_path.iterdir())


def test_bfloat16_is_close():
    model = vae.AutoencoderKL.build(CONFIG, seed=1)
    x = noise(2, 3, 16, 16).clamp(-1, 1)
    with torch.no_grad():
        exact = F.normalize(model.network.encode(x).flatten(1))
        with torch.autocast("cpu", dtype=torch.bfloat16):
            rough = F.normalize(model.network.encode(x).float().flatten(1))
    assert float((exact * rough).sum(1).min()) > 0.999


def test_pictures_that_do_not_fit_are_refused_with_tiles_too():
    model = vae.AutoencoderKL.build(CONFIG)
    side = 16 * CONFIG.multiple
    odd = torch.zeros(1, CONFIG.shape[0], side + 1, side + 2)
    for tile in (None, 8 * CONFIG.multiple):
        with pytest.raises(ValueError, match="do not fit"):
            model.encode(odd, tile=tile)
    with pytest.raises(ValueError, match="floats reach 255"):
        model.latents(torch.full((1, *CONFIG.shape), 255.0))


def test_the_scale_of_another_training_is_measured_again(tmp_path):
    config = replace(CONFIG, latents_mean=(0.0,) * 4, latents_std=(9.0,) * 4)
    options = TrainConfig(steps=2, batch_size=4)
    for _ in range(2):  # the second finds a finished run
        model = train(tmp_path, options, config=config)
        assert model.config == vae.AutoencoderKL.load(tmp_path).config
        assert max(model.config.latents_std) != 9
