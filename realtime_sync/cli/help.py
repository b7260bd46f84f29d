"""What ``--help`` looks like: filled to the terminal's width, but for the commands to copy."""

from __future__ import annotations

import argparse
import textwrap


class HelpFormatter(argparse.RawDescriptionHelpFormatter):
    """Fills the paragraphs of descriptions; examples are indented, and keep their lines."""

    def add_argument(self, action: argparse.Action) -> None:
        """See ``argparse``; before 3.13 it forgot that names of commands are indented, and broke the longest's line."""
        super().add_argument(action)
        if isinstance(action, argparse._SubParsersAction):
            self._action_max_length += self._indent_increment

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        paragraphs = text.strip().split("\n\n")
        filled = (
            "\n".join(_example(line, width) for line in paragraph.splitlines())
            if "\n  " in paragraph
            else textwrap.fill(paragraph, width, break_long_words=False, break_on_hyphens=False)
            for paragraph in paragraphs
        )
        return textwrap.indent("\n\n".join(filled), indent)


def _example(line: str, width: int) -> str:
    """A command to copy; its comment stands above it if both are too long for a line."""
    command, mark, comment = line.partition("  # ")
    return f"  # {comment.strip()}\n{command.rstrip()}" if mark and len(line) > width else line
