"""Cases to packed batches: augmentation, sampling, streaming."""
