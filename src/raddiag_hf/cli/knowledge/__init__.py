"""`raddiag knowledge`: one verb per file."""
