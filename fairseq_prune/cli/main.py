"""Entry point of ``fairseq-prune``: finds the command's module, reads its options, runs it.

A command is a module of this package with a docstring, ``add_arguments(parser)`` and ``run(args)``;
adding the file adds the command (``sweep_rates.py`` is typed ``sweep-rates``). Only the chosen
module is imported; ``--help`` imports all of them, so they import torch inside ``run``.
"""

import argparse
import importlib
import os
import pkgutil
import sys
from collections.abc import Sequence

from .. import cli
from ..files.messages import one_line, say_which
from ..needs import OptionParser
from ..pruning.registry import closest
from ._user_dir import import_user_dir


def command_modules() -> dict[str, str]:
    """Names of all commands, as typed, with the modules they live in."""
    found = (module.name for module in pkgutil.iter_modules(cli.__path__))
    return {name.replace("_", "-"): name for name in sorted(found) if name != "main" and name[0] != "_"}


def _load(name):
    module = importlib.import_module(f"{cli.__name__}.{name}")
    return module, (module.__doc__ or "").strip().partition("\n")[0]


class _Parser(argparse.ArgumentParser):
    """Lists the commands below its help, and imports them only then."""

    def format_help(self):
        lines = [f"  {command:<12} {_load(name)[1]}" for command, name in command_modules().items()]
        return super().format_help() + "\n".join(("\ncommands:", *lines, ""))


def _parse(argv):
    """Read the command line.

    Returns:
        The command's ``run`` of its arguments, and their values by option as typed.

    Raises:
        SystemExit: unknown command or option (status 2), or help was asked for (0).
    """
    parser = _Parser(prog="fairseq-prune", description="Tools for pruned fairseq models.")
    parser.add_argument("command", metavar="COMMAND", help="what to do; see COMMAND --help")
    rest = parser.add_argument("rest", nargs=argparse.REMAINDER, help="arguments of the command")
    rest.required = False  # argparse would name it beside a missing COMMAND
    chosen, commands = parser.parse_args(argv), command_modules()
    if chosen.command not in commands:
        hint = closest(chosen.command, commands)
        parser.error(f"unknown command {chosen.command!r}{hint or ';'} known: {', '.join(commands)}")
    module, _ = _load(commands[chosen.command])
    options = OptionParser(
        prog=f"fairseq-prune {chosen.command}",
        description=module.__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    module.add_arguments(options)
    args = options.parse_args(chosen.rest)
    names = {(action.option_strings or [str(action.metavar)])[0]: action.dest for action in options._actions}

    def run():
        options.refuse_empty(args)
        options.refuse_idle(args)
        import_user_dir(args)
        module.run(args)

    return run, {name: getattr(args, dest, None) for name, dest in names.items()}


def main(argv: Sequence[str] | None = None) -> None:
    """Run one command.

    Args:
        argv: arguments after the program's name; None = those of the process.

    Raises:
        SystemExit: with one line for the user (status 1) where the core refuses an input, or the system a file.
    """
    run, named = _parse(argv)
    try:
        run()
        sys.stdout.flush()
    except ValueError as error:
        raise SystemExit(one_line(error)) from error
    except ModuleNotFoundError as error:  # of what only some of fairseq's criterions and tasks need
        missing = f"the module {error.name} is missing; install the package that has it"
        raise SystemExit(f"{missing}, e.g. pip install {error.name}") from error
    except BrokenPipeError:  # the reader, e.g. `head`, has seen enough
        _print_no_more()
    except OSError as error:
        raise SystemExit(_about_file(error, named)) from error


def _about_file(error, named):
    """What the system says of a file; of none but standard output it is not known which."""
    if error.filename is None:
        _print_no_more()
        return f"standard output: {error.strerror or error}"
    return say_which(error, named) or one_line(f"{error.filename}: {error.strerror}")


def _print_no_more():
    """Flushing at exit must not fail again."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
