"""A figure of matplotlib as SVG that stands within a page: in the page's font and colours, light or dark, and without
ids that another figure has, too."""

import html
import io
import re

# What matplotlib is told, and what the page's style sheet calls it. The palette is that of Okabe and Ito, which people
# see apart however they see colours; the page has lighter ones of the same hues where it is dark.
INK, SOFT, LINE, FAINT = "#010101", "#020202", "#030303", "#040404"
BLUE, GREEN, VERMILION, SKY, GREY = "#0072b2", "#009e73", "#d55e00", "#56b4e9", "#7a858d"
_NAMES = {INK: "ink", SOFT: "soft", LINE: "line", FAINT: "faint", BLUE: "blue", GREEN: "green", VERMILION: "vermilion",
          SKY: "sky", GREY: "grey"}
# Pixels an inch at full width, so that words have the same size in all plots.
_PIXELS = 100


def settings() -> dict:
    """rcParams of every figure."""
    return {"svg.fonttype": "none", "svg.hashsalt": "assay", "font.family": "DejaVu Sans", "font.size": 9,
            "text.color": INK, "axes.labelcolor": SOFT, "axes.edgecolor": LINE, "xtick.color": LINE,
            "ytick.color": LINE, "xtick.labelcolor": SOFT, "ytick.labelcolor": SOFT, "xtick.labelsize": 8.5,
            "ytick.labelsize": 8.5,
            "axes.labelsize": 8.5, "axes.titlesize": 9.5, "axes.titlelocation": "left", "axes.titleweight": "bold",
            "axes.spines.top": False, "axes.spines.right": False, "axes.grid": True, "grid.color": LINE,
            "grid.linewidth": 0.6, "axes.axisbelow": True, "legend.frameon": False, "lines.linewidth": 1.8,
            "figure.facecolor": "none", "axes.facecolor": "none", "savefig.facecolor": "none"}


def _own_ids(text: str, prefix: str) -> str:
    """Ids that something refers to get a prefix of their own; the others, which all figures share, go."""
    referred = set(re.findall(r'(?:href="|url\()#([^")]+)', text))
    text = re.sub(r' id="([^"]+)"', lambda match: f' id="{prefix}-{match[1]}"' if match[1] in referred else "", text)
    return re.sub(r'((?:href="|url\()#)', rf"\1{prefix}-", text)


def inline(figure, prefix: str, description: str) -> str:
    """The figure as an <svg> element. `description` is what it shows, for those who do not see it."""
    written = io.StringIO()
    figure.savefig(written, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    text = written.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>|<!--.*?-->", "", text, flags=re.DOTALL)
    text = _own_ids(text, prefix)
    for colour, name in _NAMES.items():
        text = text.replace(colour, f"var(--{name})")
    text = text.replace("'DejaVu Sans'", "var(--sans)")
    width, height = figure.get_size_inches()
    head = (f'<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" role="img" '
            f'aria-label="{html.escape(description)}" viewBox="0 0 {width * 72:g} {height * 72:g}" '
            f'style="width: {width * _PIXELS:.0f}px">')
    body = text[text.index(">", text.index("<svg")) + 1 :]
    return head + re.sub(r"\n\s*", "\n", body).strip()
