"""Many cases: their rows on disk, splits, statistics, and the batches made of them."""
