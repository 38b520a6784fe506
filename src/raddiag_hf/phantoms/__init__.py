"""Synthetic anatomy for the demo, benchmarks and tests."""
