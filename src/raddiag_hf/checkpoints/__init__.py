"""The authors' weights: where they are published, and how they become a RadDiag model."""
