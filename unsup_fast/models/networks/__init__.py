"""Networks that models are built of: U-Net and transformer, their layers and embeddings."""
