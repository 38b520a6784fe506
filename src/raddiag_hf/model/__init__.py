"""The network and its image processor; imports nothing else of this package."""
