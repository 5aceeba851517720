"""A group of commands that is a command itself: ``network SCENARIO_DIR`` beside ``network set ...``."""

from __future__ import annotations

from typing import Any

import click
from typer.core import TyperGroup

DEFAULT = "-"
"""Name under which the default command is registered; nobody can type it."""


class DefaultCommandGroup(TyperGroup):
    """Its command :data:`DEFAULT` is meant unless the first word names another one.

    Help, usage and completion are those of the default command, with a list of the others below.
    """

    @property
    def default(self) -> click.Command:
        """The command that is meant when no other is named."""
        return self.commands[DEFAULT]

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The commands that have a name."""
        return [name for name in super().list_commands(ctx) if name != DEFAULT]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """A command by its name."""
        return None if cmd_name == DEFAULT else super().get_command(ctx, cmd_name)

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: Any
    ) -> click.Context:
        """The context of the command that the arguments mean."""
        if args and args[0] != DEFAULT and args[0] in self.commands:
            return super().make_context(info_name, args, parent, **extra)
        if parent is not None and {*parent.help_option_names} & {*_before_separator(args)}:
            return super().make_context(info_name, parent.help_option_names[:1], parent, **extra)
        return self.default.make_context(info_name, args, parent, **extra)

    def format_help(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write how the default command is used, and what others there are."""
        usage = " ".join(self.default.collect_usage_pieces(ctx))
        formatter.write_usage(ctx.command_path, usage)
        for name in self.list_commands(ctx):
            pieces = " ".join(self.commands[name].collect_usage_pieces(ctx))
            formatter.write_usage(f"{ctx.command_path} {name}", pieces, prefix=" " * len("Usage: "))
        self.default.format_help_text(ctx, formatter)
        self.default.format_options(ctx, formatter)
        self.format_commands(ctx, formatter)


def _before_separator(args: list[str]) -> list[str]:
    return args[: args.index("--")] if "--" in args else args
