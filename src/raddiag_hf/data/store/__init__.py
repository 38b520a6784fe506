"""Cases as they are stored: records, pixels, Parquet shards."""
