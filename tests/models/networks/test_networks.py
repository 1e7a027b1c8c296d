"""Networks against their formulas in float64, and properties of every network."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from unsup_fast.models.networks import dit, unet
from unsup_fast.models.networks.dit import DiT
from unsup_fast.models.networks.embeddings import ConditionEmbedding, timestep_embedding
from unsup_fast.models.networks.layers import attention
from unsup_fast.models.networks.unet import UNet

NETWORKS = {"unet": UNet, "dit": DiT}
PARAMETERS = {
    ("unet", "tiny"): 705_859,
    ("unet", "small"): 2_810_499,
    ("unet", "base"): 29_061_251,
    ("unet", "large"): 276_421_059,
    ("dit", "tiny"): 1_272_972,
    ("dit", "small"): 32_471_436,
    ("dit", "base"): 129_528_588,
    ("dit", "large"): 456_791_052,
}


def draw(*shape, seed=0, dtype=torch.float64):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def build(name, *, n_classes=3, patch=2, moved=True, **options):
    """Return a tiny network; with `moved` its weights are perturbed, so its output is not zero."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        network = NETWORKS[name](1, "tiny", patch, n_classes, **options)
        if moved:
            for parameter in network.parameters():
                parameter.data.add_(0.05 * torch.randn_like(parameter))
    return network


def batch(n=4, side=8, dtype=torch.float32):
    times = torch.tensor([0.0, 3.0, 700.5, 999.0], dtype=dtype)[:n]
    return draw(n, 1, side, side, dtype=dtype), times, torch.tensor([0, 1, 2, 3])[:n]


@pytest.fixture(params=NETWORKS)
def name(request):
    return request.param


def softmax_attention(q, k, v):
    scores = np.einsum("bhid,bhjd->bhij", q, k) / math.sqrt(q.shape[3])
    shares = np.exp(scores - scores.max(-1, keepdims=True))
    return np.einsum("bhij,bhjd->bhid", shares / shares.sum(-1, keepdims=True), v)


@pytest.mark.parametrize("tokens", [1, 7, 49, 600])
@pytest.mark.parametrize(
    ("dtype", "error"), [(torch.float64, 1e-12), (torch.float32, 1e-5), (torch.bfloat16, 0.03)]
)
def test_attention_is_a_softmax_over_tokens(tokens, dtype, error):
    q, k, v = (draw(2, 3, tokens, 5, seed=i).to(dtype) for i in range(3))
    output = attention(q, k, v)
    assert output.dtype == dtype
    wanted = softmax_attention(*(part.double().numpy() for part in (q, k, v)))
    np.testing.assert_allclose(output.double(), wanted, atol=error)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_the_unet_has_forward_gradients_and_those_of_functions():
    network = build("unet").double()
    x, time, label = batch(dtype=torch.float64)
    along = draw(*x.shape, seed=1)

    def run(x):
        return network(x, time, label)

    tangent = torch.func.jvp(run, (x,), (along,))[1]
    with torch.no_grad():
        truth = (run(x + 1e-5 * along) - run(x - 1e-5 * along)) / 2e-5
    torch.testing.assert_close(tangent, truth, rtol=0, atol=1e-7)
    leaf = x.clone().requires_grad_()
    run(leaf).square().sum().backward()
    gradient = torch.func.grad(lambda x: run(x).square().sum())(x)
    torch.testing.assert_close(gradient, leaf.grad, rtol=0, atol=1e-12)


def group_norm(x, layer):
    """Return the norm of images [B, C, H, W] from its definition."""
    grouped = x.reshape(len(x), layer.num_groups, -1)
    mean, var = grouped.mean(2, keepdims=True), grouped.var(2, keepdims=True)
    normal = ((grouped - mean) / np.sqrt(var + 1e-5)).reshape(x.shape)
    weight, bias = (part.detach().numpy()[:, None, None] for part in (layer.weight, layer.bias))
    return normal * weight + bias


def silu(x):
    return x / (1 + np.exp(-x))


def convolved(x, layer):
    output = F.conv2d(torch.from_numpy(x), layer.weight, layer.bias, padding="same")
    return output.detach().numpy()


@pytest.mark.parametrize("outputs", [16, 24])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_a_block_scales_and_shifts_its_second_norm(outputs, layout):
    block = unet.Block(16, outputs, 5, 0.0).double()
    for i, parameter in enumerate(block.parameters()):
        parameter.data.copy_(draw(*parameter.shape, seed=i))
    x, condition = 3 + draw(2, 16, 3, 5), draw(2, 5, seed=1)
    output = block(x.contiguous(memory_format=layout), condition).detach()
    modulation = condition.numpy() @ block.condition.weight.detach().numpy().T
    modulation = modulation + block.condition.bias.detach().numpy()
    scale, shift = modulation[:, :outputs, None, None], modulation[:, outputs:, None, None]
    h = convolved(silu(group_norm(x.numpy(), block.norm1)), block.conv1)
    h = convolved(silu((1 + scale) * group_norm(h, block.norm2) + shift), block.conv2)
    skipped = x.numpy() if outputs == 16 else convolved(x.numpy(), block.skip)
    np.testing.assert_allclose(output, skipped + h, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(("channels", "groups"), [(32, 4), (96, 12), (320, 32), (384, 32)])
def test_norms_have_at_most_32_groups_of_at_least_8(channels, groups):
    assert unet.norm(channels).num_groups == groups


def test_timestep_embeddings_are_cosines_and_sines():
    embedding = timestep_embedding(torch.tensor([0.0, 2.5], dtype=torch.float64), 6)
    rates = 10_000.0 ** (-np.arange(3) / 3)
    wanted = [[*np.cos(t * rates), *np.sin(t * rates)] for t in (0, 2.5)]
    np.testing.assert_allclose(embedding, wanted, atol=1e-14)


def test_condition_is_the_sum_of_time_and_class():
    condition = ConditionEmbedding(8, 5, 2).double()
    times, label = torch.tensor([1.0, 7.0], dtype=torch.float64), torch.tensor([1, 2])
    first, _, second = condition.time
    embedding = second(F.silu(first(timestep_embedding(times, 8)))) + condition.label.weight[label]
    torch.testing.assert_close(condition(times, label, 2), embedding * torch.sigmoid(embedding))


@pytest.mark.parametrize(("network", "size"), PARAMETERS)
def test_sizes_have_their_parameters(network, size):
    with torch.device("meta"):
        built = NETWORKS[network](3, size)
    assert sum(p.numel() for p in built.parameters()) == PARAMETERS[network, size]


@pytest.mark.parametrize(("network", "sizes"), [("unet", unet.SIZES), ("dit", dit.SIZES)])
def test_every_size_is_counted(network, sizes):
    assert [size for name, size in PARAMETERS if name == network] == list(sizes)


def test_classes_cost_an_embedding_each_and_one_for_any(name):
    with_classes, without = build(name, n_classes=3), build(name, n_classes=0)
    counts = [sum(p.numel() for p in network.parameters()) for network in (with_classes, without)]
    assert counts[0] - counts[1] == 4 * with_classes.condition.label.weight.shape[1]


def test_output_is_zero_at_the_start(name):
    output = build(name, moved=False)(*batch())
    assert output.shape == (4, 1, 8, 8)
    assert torch.count_nonzero(output) == 0


@pytest.mark.parametrize("patch", [1, 2, 4])
def test_every_parameter_learns(name, patch):
    network = build(name, moved=False, patch=patch, n_classes=4)
    optimizer = torch.optim.SGD(network.parameters(), 0.1)
    x, times, label = batch()
    learns = dict.fromkeys(dict(network.named_parameters()), False)
    for _ in range(4):  # layers that start at zero block gradients of earlier ones
        ((network(x, times, label) - x) ** 2).mean().backward()
        for key, parameter in network.named_parameters():
            learns[key] |= bool(parameter.grad.any())
        optimizer.step()
        optimizer.zero_grad()
    ((network(x, times) - x) ** 2).mean().backward()
    assert network.condition.label.weight.grad[4].any()
    assert all(learns.values()), [key for key, learned in learns.items() if not learned]


def test_no_label_is_label_n_classes(name):
    network = build(name)
    x, times, _ = batch()
    torch.testing.assert_close(network(x, times), network(x, times, torch.full((4,), 3)))
    torch.testing.assert_close(network(x, times), network(x, times, torch.tensor(3)))


def test_one_time_applies_to_all_images(name):
    network = build(name)
    x, _, label = batch()
    each = network(x, torch.full((4,), 12.5), label)
    torch.testing.assert_close(network(x, torch.tensor(12.5), label), each)


@pytest.mark.parametrize("which", ["time", "label"])
def test_time_and_label_matter(name, which):
    network = build(name)
    x, times, label = batch(2)
    one = network(x, times, label)
    other = (
        network(x, times.flip(0), label) if which == "time" else network(x, times, label.flip(0))
    )
    assert (one - other).abs().amax((1, 2, 3)).min() > 1e-4


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_an_image_does_not_depend_on_its_batch(name, layout):
    network = build(name).double().to(memory_format=layout)
    x, times, label = batch(dtype=torch.float64)
    whole = network(x.contiguous(memory_format=layout), times, label)
    for i in range(4):
        alone = network(x[i : i + 1], times[i : i + 1], label[i : i + 1])
        torch.testing.assert_close(whole[i : i + 1], alone, rtol=1e-10, atol=1e-10)


def test_no_images_are_no_images(name):
    x, times, labels = (part[:0] for part in batch())
    assert build(name)(x, times, labels).shape == x.shape


def test_a_transformer_without_position_embeddings_permutes_with_its_patches(monkeypatch):
    network = build("dit").double()
    x, times, label = batch(2, dtype=torch.float64)
    moved = x.roll((2, 4), (2, 3))
    difference = network(moved, times, label) - network(x, times, label).roll((2, 4), (2, 3))
    assert difference.abs().max() > 1e-3
    monkeypatch.setattr(
        dit, "sincos_pos_embed", lambda h, w, channels, device: torch.zeros(h * w, channels)
    )
    torch.testing.assert_close(
        network(moved, times, label), network(x, times, label).roll((2, 4), (2, 3))
    )


def test_position_embeddings_are_distinct():
    embeddings = dit.sincos_pos_embed(5, 7, 16, "cpu")
    assert embeddings.shape == (35, 16)
    wanted = torch.cat([timestep_embedding(torch.tensor(index), 8) for index in (2, 3)])
    np.testing.assert_allclose(embeddings[7 * 2 + 3], wanted)
    assert torch.cdist(embeddings, embeddings).fill_diagonal_(1).min() > 0.1


def test_every_pixel_of_a_u_net_depends_on_every_other():
    network = build("unet", n_classes=0).double()
    x = draw(1, 1, 16, 16).requires_grad_()
    network(x, torch.tensor(5.0))[0, 0, 0, 0].backward()
    assert bool((x.grad != 0).all())


def test_bfloat16_and_float32_are_near_float64(name):
    network = build(name).to(memory_format=torch.channels_last)
    x, times, label = batch(side=16)
    single = network(x, times, label)
    with torch.autocast("cpu", torch.bfloat16):
        half = network(x.contiguous(memory_format=torch.channels_last), times, label)
    assert half.dtype == torch.bfloat16
    wanted = network.double()(x.double(), times.double(), label)
    size = float(wanted.detach().std())
    torch.testing.assert_close(single.double(), wanted, rtol=0, atol=2e-5 * size)
    torch.testing.assert_close(half.double(), wanted, rtol=0, atol=0.15 * size)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA GPU")
def test_a_gpu_returns_the_same(name):
    network, arguments = build(name).double(), batch(side=16, dtype=torch.float64)
    wanted = network(*arguments)
    output = network.cuda()(*(value.cuda() for value in arguments))
    torch.testing.assert_close(output.cpu(), wanted)
    with torch.autocast("cuda", torch.bfloat16):
        half = network.float()(
            *(value.float().cuda() for value in arguments[:2]), arguments[2].cuda()
        )
    torch.testing.assert_close(half.cpu().double(), wanted, rtol=0, atol=0.15 * wanted.std().item())


def test_a_step_is_the_same_twice(name):
    steps = []
    for _ in range(2):
        network = build(name, dropout=0.2).to(memory_format=torch.channels_last)
        torch.manual_seed(3)
        x, times, label = batch()
        with torch.autocast("cpu", torch.bfloat16):
            output = network(x, times, label)
        output.square().mean().backward()
        steps.append([output, *(p.grad for p in network.parameters())])
    for one, other in zip(*steps, strict=True):
        assert torch.equal(one, other)


def test_dropout_acts_in_training_alone(name):
    network = build(name, dropout=0.5)
    arguments = batch()
    torch.manual_seed(0)
    assert not torch.equal(network(*arguments), network(*arguments))
    network.eval()
    torch.testing.assert_close(network(*arguments), build(name)(*arguments))


@pytest.mark.parametrize("half", [False, True])
def test_it_is_one_graph(name, half):
    network = build(name).to(memory_format=torch.channels_last)
    with torch.autocast("cpu", torch.bfloat16, enabled=half), torch.no_grad():
        traced = torch.compile(network, backend="eager", fullgraph=True)
        torch.testing.assert_close(traced(*batch()), network(*batch()), rtol=0.02, atol=0.02)


@settings(max_examples=15, deadline=None)
@given(
    st.sampled_from(sorted(NETWORKS)),
    st.integers(1, 3),
    st.integers(1, 3),
    st.integers(1, 3),
    st.integers(1, 2),
)
def test_any_fitting_image_comes_back_in_its_shape(name, patch, high, wide, n):
    network = build(name, patch=patch)
    x = draw(n, 1, high * network.multiple, wide * network.multiple, dtype=torch.float32)
    output = network(x, torch.tensor(1.0), torch.zeros(n, dtype=torch.int64))
    assert output.shape == x.shape
    assert output.isfinite().all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"size": "huge"}, r"size='huge' is unknown; pass one of \['tiny', 'small'"),
        ({"channels": 0}, "channels=0 must be at least 1"),
        ({"patch": 0}, "patch=0 must be at least 1"),
        ({"n_classes": -1}, "n_classes=-1 must be at least 0"),
        ({"dropout": 1.0}, r"dropout=1\.0 must be at least 0 and below 1"),
    ],
)
def test_what_cannot_be_built_is_refused(name, options, message):
    with pytest.raises(ValueError, match=message):
        NETWORKS[name](**{"channels": 1, "size": "tiny", **options})


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"x": torch.zeros(4, 1, 8, 6)}, "multiples of 4"),
        ({"x": torch.zeros(4, 3, 8, 8)}, r"x has shape \(4, 3, 8, 8\); .* \(B, 1, H, W\)"),
        ({"x": torch.zeros(4, 64)}, r"x has shape \(4, 64\)"),
        ({"time": torch.zeros(3)}, r"time has shape \(3,\); .* each of 4"),
        ({"time": torch.zeros(4, 1)}, r"time has shape \(4, 1\)"),
        ({"label": torch.zeros(1, dtype=torch.int64)}, r"label has shape \(1,\)"),
        ({"label": torch.tensor([0, 1, 2, 4])}, "labels lie between 0 and 4; .* 3 means any"),
        ({"label": torch.tensor(-1)}, "labels lie between -1 and -1"),
    ],
)
def test_what_does_not_fit_is_refused(name, changed, message):
    network = build(name, patch=2 if name == "unet" else 4)
    x, times, label = batch()
    with pytest.raises(ValueError, match=message):
        network(**{"x": x, "time": times, "label": label, **changed})


def test_labels_without_classes_are_refused(name):
    with pytest.raises(ValueError, match="network without classes"):
        build(name, n_classes=0)(*batch())
