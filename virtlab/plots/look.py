"""Matplotlib's settings for every figure: letters, lines, and a Japanese font beside the Latin one.

They hold only while a figure is drawn (`rc_context`), so that a student's own plots keep theirs.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import matplotlib as mpl
from cycler import cycler
from matplotlib import font_manager

from virtlab.plots.palette import VMS

__all__ = ["DPI", "PX", "RC", "SMALL", "register_fonts"]

DPI = 100  # layout resolution: 1 px of a figure is 1 px on a screen
PX = 72 / DPI  # points of one pixel
SMALL = 14 * PX  # ticks' words, points

RC: Any = {
    "font.family": ["DejaVu Sans", "IPAexGothic"],  # per-glyph fallback: Japanese has no boxes
    "font.size": 15 * PX,
    "axes.titlesize": 15 * PX,
    "axes.labelsize": 15 * PX,
    "xtick.labelsize": 14 * PX,
    "ytick.labelsize": 14 * PX,
    "legend.fontsize": 14 * PX,
    "legend.frameon": False,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#4D4D4D",
    "axes.prop_cycle": cycler(color=[mark.colour for mark in VMS]),
    "axes.axisbelow": True,
    "grid.color": "#E5E5E5",
    "grid.linewidth": 0.8,
    "lines.linewidth": 2.5,
    "lines.markersize": 8,
    "hatch.linewidth": 0.8,
    "figure.facecolor": "white",
    "text.hinting": "none",  # text keeps its place at every number of pixels
    "svg.hashsalt": "virtlab",
}


@cache
def register_fonts() -> None:
    """Make the Japanese font known, without letting its package change the global settings.

    Examples
    --------
    >>> register_fonts()
    """
    with mpl.rc_context():
        try:
            import matplotlib_fontja

            path = matplotlib_fontja.get_font_ttf_path()
            font_manager.fontManager.addfont(Path(path))
            entries = font_manager.fontManager.ttflist
            regular = next(entry for entry in entries if entry.name == "IPAexGothic")
            entries.append(replace(regular, weight=700))  # it has no bold cut: use it as it is
        except ImportError:  # Latin text still works; `virtlab doctor` says what to install
            RC["font.family"] = ["DejaVu Sans"]
            logging.getLogger(__name__).info("matplotlib-fontja is not installed")
