"""Diffusion: schedules, paths, samplers as tables."""
