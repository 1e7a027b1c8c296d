"""`unsup-fast vae`: variational autoencoders of pictures."""
