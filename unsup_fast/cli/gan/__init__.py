"""`unsup-fast gan`: generative adversarial networks of pictures."""
