"""The same images in diffusers' pipelines, at toy size, from random weights."""

import json

import numpy as np
import pytest

torch = pytest.importorskip("torch")
diffusers = pytest.importorskip("diffusers")
transformers = pytest.importorskip("transformers")

import unsup_fast  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

TEXT = {
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "steps_offset": 1,
}
SCHEDULERS = [
    ("DDPM", {"clip_sample": False}),
    ("DDIM", {"clip_sample": False, "set_alpha_to_one": False}),
    ("EulerDiscrete", {"use_karras_sigmas": True}),
    ("EulerAncestralDiscrete", {}),
    ("DPMSolverMultistep", {}),
    ("DPMSolverMultistep", {"algorithm_type": "sde-dpmsolver++", "use_karras_sigmas": True}),
    ("UniPCMultistep", {}),
    ("LCM", {}),
    ("TCD", {}),
]
IDS = [f"{name}-{len(config)}" for name, config in SCHEDULERS]


def quiet(pipeline):
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def images(pipeline, **options):
    generator = torch.Generator().manual_seed(7)
    return pipeline(generator=generator, output_type="pt", **options).images.float().numpy()


def closeness(dtype):
    """Return the tolerance of images in [0, 1] that are computed in a type."""
    return 2e-4 if dtype == torch.float32 else 0.06


@pytest.fixture(scope="module", autouse=True)
def _one_thread():
    """Networks this small are slower on more."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def unet():
    torch.manual_seed(0)
    return diffusers.UNet2DModel(
        sample_size=8,
        block_out_channels=(8, 16),
        layers_per_block=1,
        norm_num_groups=4,
        down_block_types=("DownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "UpBlock2D"),
        add_attention=False,
    ).eval()


@pytest.fixture(scope="module")
def tokenizer():
    """Return a CLIP tokenizer whose vocabulary is the letters."""
    letters = [chr(c) for c in range(ord("a"), ord("z") + 1)]
    words = ["<|startoftext|>", "<|endoftext|>", *letters, *(c + "</w>" for c in letters)]
    tokenizer = transformers.CLIPTokenizer(
        vocab={word: i for i, word in enumerate(words)}, merges=[], model_max_length=10
    )
    assert tokenizer("a cat").input_ids[0] == 0
    return tokenizer


@pytest.fixture(scope="module")
def parts(tokenizer):
    torch.manual_seed(1)
    unet = diffusers.UNet2DConditionModel(
        sample_size=8,
        in_channels=4,
        out_channels=4,
        block_out_channels=(8, 16),
        layers_per_block=1,
        norm_num_groups=4,
        cross_attention_dim=8,
        attention_head_dim=4,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
    )
    vae = diffusers.AutoencoderKL(
        block_out_channels=(8, 8),
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        latent_channels=4,
        norm_num_groups=4,
        sample_size=16,
    )
    text = transformers.CLIPTextModel(
        transformers.CLIPTextConfig(
            vocab_size=len(tokenizer),
            hidden_size=8,
            intermediate_size=16,
            num_hidden_layers=1,
            num_attention_heads=2,
            max_position_embeddings=10,
            bos_token_id=0,
            eos_token_id=1,
        )
    )
    return {
        "unet": unet.eval(),
        "vae": vae.eval(),
        "text_encoder": text.eval(),
        "tokenizer": tokenizer,
        "safety_checker": None,
        "feature_extractor": None,
    }


def pipelines(kind, parts, name, config, dtype):
    """Return the pipeline with diffusers' scheduler and with ours."""
    both = []
    for ours in (False, True):
        scheduler = getattr(diffusers, f"{name}Scheduler")(**TEXT, **config)
        pipeline = kind(**parts, scheduler=scheduler, requires_safety_checker=False).to(dtype=dtype)
        if ours:
            fused = getattr(unsup_fast, f"Fused{name}")
            pipeline.scheduler = fused.from_config(pipeline.scheduler.config)
        both.append(quiet(pipeline))
    return both


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_unconditional(unet, dtype):
    unet = unet.to(dtype)
    pipeline = quiet(diffusers.DDPMPipeline(unet, diffusers.DDPMScheduler()))
    expected = images(pipeline, batch_size=2, num_inference_steps=6)
    pipeline.scheduler = unsup_fast.FusedDDPM.from_config(pipeline.scheduler.config)
    actual = images(pipeline, batch_size=2, num_inference_steps=6)
    assert actual.shape == (2, 3, 8, 8)
    np.testing.assert_allclose(actual, expected, atol=closeness(dtype))


@pytest.mark.parametrize("eta", [0.0, 0.8])
def test_unconditional_ddim(unet, eta):
    pipeline = quiet(diffusers.DDIMPipeline(unet.float(), diffusers.DDIMScheduler()))
    expected = images(pipeline, eta=eta, num_inference_steps=6)
    pipeline.scheduler = unsup_fast.FusedDDIM.from_config(pipeline.scheduler.config)
    np.testing.assert_allclose(
        images(pipeline, eta=eta, num_inference_steps=6), expected, atol=2e-4
    )


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize(("name", "config"), SCHEDULERS, ids=IDS)
def test_text_to_image(parts, name, config, dtype):
    results = [
        images(pipeline, prompt=["a cat", "the dog"], height=16, width=16, num_inference_steps=5)
        for pipeline in pipelines(diffusers.StableDiffusionPipeline, parts, name, config, dtype)
    ]
    assert results[0].shape == (2, 3, 16, 16)
    np.testing.assert_allclose(results[1], results[0], atol=closeness(dtype))


@pytest.mark.parametrize(("name", "config"), SCHEDULERS, ids=IDS)
def test_image_to_image(parts, name, config):
    start = torch.rand(1, 3, 16, 16, generator=torch.Generator().manual_seed(5))
    kind = diffusers.StableDiffusionImg2ImgPipeline
    results = [
        images(pipeline, prompt="a cat", image=start, strength=0.6, num_inference_steps=9)
        for pipeline in pipelines(kind, parts, name, config, torch.float32)
    ]
    np.testing.assert_allclose(results[1], results[0], atol=2e-4)


def test_without_a_generator_torch_seed_rules(parts):
    _, pipeline = pipelines(
        diffusers.StableDiffusionPipeline, parts, "EulerAncestralDiscrete", {}, torch.float32
    )
    results = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        options = {"prompt": "cat", "height": 16, "width": 16, "num_inference_steps": 3}
        results.append(pipeline(output_type="np", **options).images)
    np.testing.assert_array_equal(results[0], results[1])
    assert np.abs(results[0] - results[2]).max() > 0.01


@pytest.mark.parametrize(("name", "config"), SCHEDULERS, ids=IDS)
def test_saved_with_the_pipeline(parts, name, config, tmp_path):
    kind = diffusers.StableDiffusionPipeline
    _, pipeline = pipelines(kind, parts, name, config, torch.float32)
    options = {"prompt": "a cat", "height": 16, "width": 16, "num_inference_steps": 3}
    expected = images(pipeline, **options)
    pipeline.save_pretrained(tmp_path)
    index = json.loads((tmp_path / "model_index.json").read_text())
    assert index["scheduler"] == ["unsup_fast", f"Fused{name}"]
    again = quiet(kind.from_pretrained(tmp_path))
    assert type(again.scheduler) is getattr(unsup_fast, f"Fused{name}")
    before, after = (
        {k: v for k, v in x.scheduler.config.items() if k[0] != "_"} for x in (pipeline, again)
    )
    assert after == before
    np.testing.assert_allclose(images(again, **options), expected, atol=1e-6)
    own = getattr(diffusers, f"{name}Scheduler").from_config(again.scheduler.config)
    assert type(own).__module__.startswith("diffusers.")
