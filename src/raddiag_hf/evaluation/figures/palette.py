"""Colours and lines of an evaluation's figures, on a light and on a dark page."""

from dataclasses import dataclass

from raddiag_hf.core.fonts import font_families

COLUMN_INCHES = 3.6
"""Width of every figure: one column of a journal, or a phone."""

LINE_STYLES = {"head": "-", "body": (0, (5, 1.5)), "tail": (0, (1, 1.2)), "all": "-"}
"""Groups of classes differ without colour too."""


@dataclass(frozen=True)
class Palette:
    """Colours for one kind of page, distinct for every kind of colour vision.

    Attributes:
        ink: Text.
        quiet: Text of less weight.
        axis: Frame of the axes.
        grid: Lines behind the data.
        groups: Colour of each group of classes.
        metrics: Colour of each metric where several stand side by side.
        kinds: Colour of each kind of case; red, blue and grey as in the paper's Figure 4a.

    Source:
        Okabe and Ito, Color Universal Design, 2008; lightened for dark pages.
    """

    ink: str
    quiet: str
    axis: str
    grid: str
    groups: dict[str, str]
    metrics: dict[str, str]
    kinds: dict[str, str]

    def style(self) -> dict[str, object]:
        """Return matplotlib's settings, for `matplotlib.rc_context`."""
        return {
            "font.family": font_families(),
            "font.size": 8,
            "text.parse_math": False,  # labels are text, also with dollar signs
            "text.color": self.ink,
            "axes.labelcolor": self.ink,
            "axes.edgecolor": self.axis,
            "axes.facecolor": "none",
            "axes.titlesize": 8,
            "axes.titlelocation": "left",
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.axisbelow": True,
            "xtick.color": self.ink,
            "ytick.color": self.ink,
            "xtick.major.size": 0,
            "ytick.major.size": 0,
            "xtick.minor.size": 0,
            "ytick.minor.size": 0,
            "grid.color": self.grid,
            "grid.linewidth": 0.7,
            "legend.frameon": False,
            "legend.fontsize": 7.5,
            "legend.title_fontsize": 7.5,
            "legend.borderaxespad": 0.3,
            "figure.facecolor": "none",
            "pdf.fonttype": 42,
            "svg.hashsalt": "raddiag",
        }


LIGHT = Palette(
    ink="#2B3640",
    quiet="#59636B",
    axis="#AEB8C1",
    grid="#E3E7EB",
    groups={"head": "#0072B2", "body": "#D98E00", "tail": "#858C93", "all": "#1B2126"},
    metrics={"auc": "#0072B2", "ap": "#D55E00", "recall": "#009E73"},
    kinds={"positive": "#D55E00", "intra-negative": "#0072B2", "inter-negative": "#9AA3AB"},
)
DARK = Palette(
    ink="#E7EAEC",
    quiet="#9AA6AE",
    axis="#56626A",
    grid="#2B3439",
    groups={"head": "#56B4E9", "body": "#E69F00", "tail": "#9AA6AE", "all": "#F4F6F7"},
    metrics={"auc": "#56B4E9", "ap": "#F0803C", "recall": "#2FC79A"},
    kinds={"positive": "#F0803C", "intra-negative": "#56B4E9", "inter-negative": "#7F8A92"},
)
