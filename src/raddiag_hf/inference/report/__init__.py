"""One self-contained HTML page about a case, a training run, or several of them."""
