"""From scans to a diagnosis, its record and its report."""
