"""Ways to fit a model to cases: all weights, adapters, a linear probe."""
