"""The command line: one verb per file, one folder per group of verbs."""
