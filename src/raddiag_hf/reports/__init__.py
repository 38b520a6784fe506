"""Self-contained HTML reports from plain sections."""
