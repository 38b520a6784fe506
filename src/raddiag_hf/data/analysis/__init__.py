"""A data set as a whole: splits, leakage, statistics."""
