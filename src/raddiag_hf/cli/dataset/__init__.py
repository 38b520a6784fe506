"""`raddiag dataset`: one verb per file."""
