"""The text encoder: contrastive training, embedding, retrieval."""
