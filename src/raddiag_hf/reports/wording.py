"""How a diagnosis is put into words and figures, on paper and on the terminal alike."""

from raddiag_hf.inference.diagnosis import Diagnosis, ScanContribution

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


def threshold_statement(diagnosis: Diagnosis) -> str:
    """Say what the probabilities are to be compared with."""
    if diagnosis.predicted_count is None:
        return (
            "This model carries no thresholds: probabilities rank the findings, and no value of "
            "theirs, 0.5 included, tells present from absent."
        )
    number = diagnosis.predicted_count or "None"
    verb = "reaches its" if diagnosis.predicted_count == 1 else "reach their"
    if diagnosis.predicted_count == 0:
        verb = "reaches its"
    return f"{number} of {diagnosis.label_count:,} labels {verb} threshold."


def effect_statement(scan: ScanContribution) -> str:
    """Say what a scan did to the logit of the leading finding."""
    if scan.effect is None:
        return "the only scan"
    if round(scan.effect, 2) == 0:
        return "hardly any effect on the logit"
    direction = "for" if scan.effect > 0 else "against"
    return f"{signed(scan.effect)} logit, speaks {direction} it"


def slice_statement(scan: ScanContribution) -> str:
    """Say how many slices the model saw, and which of them it looked at most."""
    if scan.source_slices == 1:
        return "one picture"
    text = f"{scan.source_slices} slices"
    if scan.encoded_slices < scan.source_slices:
        text = f"{scan.encoded_slices} of {text}"
    if scan.key_slice is not None and scan.encoded_slices > 1:
        text += f", most attention on {scan.key_slice + 1}"
    return text
