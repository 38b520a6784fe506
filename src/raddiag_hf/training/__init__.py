"""Training RadDiag with the Trainer of transformers."""
