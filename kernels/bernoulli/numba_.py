"""The portable `bernoulli`: words drawn by Numba, log-likelihoods by torch."""

import numpy as np
import torch
from torch import Tensor

from unsup_fast.kernels import _batch, _chunks
from unsup_fast.kernels.randn import numba_normals

CHUNK = 1 << 16  # bits that a thread draws at a time


def bernoulli(
    p: Tensor, seed: int | None, seeds: Tensor | None, stream: int, n_threads: int | None
) -> Tensor:
    """Return bits, float32 [B, D]."""
    out = torch.empty(p.shape)
    keys = np.array([seed], np.int64) if seeds is None else seeds.numpy()
    if out.numel() == 0:
        return out
    rows = p.numpy().reshape(len(keys), -1)
    bits = out.numpy().reshape(rows.shape)
    parts = -(-rows.shape[1] // CHUNK)

    def work(chunk: int) -> None:
        row, begin = chunk // parts, chunk % parts * CHUNK
        part = rows[row, begin : begin + CHUNK]
        words = np.empty(len(part), np.uint32)
        key, counter = keys.view(np.uint64)[row], np.uint64(stream % (1 << 64))
        numba_normals.fill_words(key, counter, begin, words)
        if part.dtype == np.uint8:
            ones = (words < part * np.uint32(0x01010101)) | (part == 255)
        else:
            ones = (words >> np.uint32(8)).astype(np.float32) < part * np.float32(2**24)
        bits[row, begin : begin + CHUNK] = ones

    _chunks.run(work, len(rows) * parts, _batch.threads_for(p, n_threads))
    return out


def bernoulli_log_prob(logits: Tensor, x: Tensor, n_threads: int | None) -> Tensor:
    """Return log-likelihoods [K, B] in the type of x."""
    logits = logits.to(x.dtype)
    factor = torch.where(logits > 0, x - 1, x)
    product = torch.where((factor == 0) & (logits == logits), 0.0, factor * logits)
    terms = product - logits.abs().neg_().exp_().log1p_()
    return terms.sum(-1, dtype=torch.float64).to(x.dtype)


def gradient(of_log_prob: Tensor, logits: Tensor, x: Tensor, n_threads: int | None) -> Tensor:
    """Return the gradient with respect to the logits [K, B, D], in their type."""
    residual = x - torch.sigmoid(logits.to(x.dtype))
    return residual.mul_(of_log_prob[..., None]).to(logits.dtype)
