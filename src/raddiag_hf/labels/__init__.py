"""Label sets, their embeddings, and labels that were never trained."""
