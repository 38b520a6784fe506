"""The card of a case data set: its README, for people, `datasets` and the Hub."""

from collections.abc import Mapping
from typing import Any

from huggingface_hub import DatasetCardData

from raddiag_hf.data.store.case_metadata import CaseMetadata

CARD_FILE = "README.md"
TAGS = ("medical", "radiology")


def render_card(
    text: str,
    front_matter: Mapping[str, Any],
    metadata: CaseMetadata,
    label_counts: Mapping[str, int],
) -> str:
    """Return the card as Markdown with front matter.

    Args:
        text: What the data set is, its licence and how to get access, in Markdown.
        front_matter: Such as ``license``; tags are added. ``configs`` is not: `datasets` finds the
            splits by the names of the shards, and where a card lists the files, its cache does not
            tell folders of one name apart. Class names stay in the Parquet schema: thousands of
            them here would make loading slow.
        metadata: Of all cases.
        label_counts: Label column -> how many labels it has.
    """
    sizes = metadata.split_sizes()
    data = DatasetCardData(**({"tags": list(TAGS)} | dict(front_matter)))
    rows = [
        f"| {split} | {' | '.join(f'{number:,}' for number in numbers.values())} |"
        for split, numbers in sizes.items()
    ]
    labels = ", ".join(f"`{column}` ({count:,})" for column, count in label_counts.items())
    parts = [
        f"---\n{data.to_yaml()}\n---",
        text.strip(),
        "## Cases",
        "\n".join(
            ["| split | cases | patients | scans | slices |", "|---|--:|--:|--:|--:|", *rows]
        ),
        f"One row is one case with all its scans. Label columns, and how many labels each has: "
        f"{labels}.",
        "For research; not a medical device.",
    ]
    return "\n\n".join(parts) + "\n"
