"""`unsup-fast diffusion`: train, sample and judge diffusion models of pictures."""
