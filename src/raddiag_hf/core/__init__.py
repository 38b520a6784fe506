"""What every room needs: errors of the input, whole-or-absent files, locks, checkpoints, the Hub."""
