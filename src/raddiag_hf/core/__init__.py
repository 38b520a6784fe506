"""What every room needs: input errors, whole-or-absent files, locks, checkpoints, the Hub."""
