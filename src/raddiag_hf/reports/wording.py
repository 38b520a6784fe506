"""Wording of numbers, on paper and on the terminal alike."""

DISCLAIMER = "Research software, not a medical device."


def percent(fraction: float) -> str:
    """Return a fraction as a percentage with one decimal.

    Tiny but not nothing is ``<0.1%``, and nearly but not quite all is ``>99.9%``.
    """
    if 0 < fraction < 0.001:
        return "<0.1%"
    if 0.9995 <= fraction < 1:
        return ">99.9%"
    return f"{fraction:.1%}"


def signed(number: float) -> str:
    """Return a number with two decimals, its sign a true minus; what rounds to zero has none."""
    if round(number, 2) == 0:
        return "0.00"
    return f"{number:+.2f}".replace("-", "−")
