"""What shells and `man` want to know of the command, taken from its parser.

Enters: the parser.  Leaves: a script for bash, zsh or fish, or the source of a manual page.
"""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Iterator

BASH = """\
_npeg() {{
  local words
  if [ "$COMP_CWORD" = 1 ]; then
    words={commands}
  else
    case "${{COMP_WORDS[1]}}" in
{cases}
    esac
    case "${{COMP_WORDS[COMP_CWORD]}}" in -*) ;; *) return ;; esac
  fi
  COMPREPLY=($(compgen -W "$words" -- "${{COMP_WORDS[COMP_CWORD]}}"))
}}
complete -o default -F _npeg npeg
"""
ZSH = "autoload -Uz compinit bashcompinit && compinit && bashcompinit\n"


def bash(parser: argparse.ArgumentParser) -> str:
    """Return a script to be sourced by bash: commands and flags, else names of files."""
    found = _subparsers(parser)
    cases = [f"      {name}) words={shlex.quote(' '.join(_flags(p)))} ;;" for name, p in found]
    names = shlex.quote(" ".join(name for name, _ in found))
    return BASH.format(commands=names, cases="\n".join(cases))


def zsh(parser: argparse.ArgumentParser) -> str:
    """Return a script to be sourced by zsh, which understands that of bash."""
    return ZSH + bash(parser)


def fish(parser: argparse.ArgumentParser) -> str:
    """Return a script to be sourced by fish."""
    lines = []
    for name, subparser in _subparsers(parser):
        about = shlex.quote(subparser.description or "")
        lines.append(f"complete -c npeg -n __fish_use_subcommand -a {name} -d {about}")
        for action in _options(subparser):
            kinds = [("-l " if o.startswith("--") else "-s ", o) for o in action.option_strings]
            flags = " ".join(kind + option.lstrip("-") for kind, option in kinds)
            value = " -r" if action.nargs != 0 else ""
            seen = shlex.quote(f"__fish_seen_subcommand_from {name}")
            text = shlex.quote(_help(action))
            lines.append(f"complete -c npeg -n {seen} {flags}{value} -d {text}")
    return "\n".join(lines) + "\n"


def man(parser: argparse.ArgumentParser) -> str:
    """Return a manual page, the source of `man`."""
    lines = [".TH NPEG 1", ".SH NAME", _roff(f"npeg - {parser.description}")]
    lines += [".SH SYNOPSIS", _roff("npeg COMMAND [OPTION]... [IN]...")]
    for name, subparser in _subparsers(parser):
        lines += [f".SH NPEG {name.upper()}", _roff(subparser.description or "")]
        for action in subparser._actions:
            value = action.metavar or (str(action.dest).upper() if action.nargs != 0 else "")
            if action.choices:
                value = "|".join(map(str, action.choices))
            names = ", ".join(action.option_strings)
            lines += [".TP", _roff(f"{names} {value}".strip()), _roff(_help(action))]
    for part in (parser.epilog or "").split("\n\n"):
        title, _, rest = part.strip().partition("\n")
        lines += [
            f".SH {title.partition(':')[0].partition(' (')[0].upper()}",
            ".nf",
            _roff(rest),
            ".fi",
        ]
    return "\n".join(lines) + "\n"


WRITERS = {"bash": bash, "zsh": zsh, "fish": fish, "man": man}


def _subparsers(parser: argparse.ArgumentParser) -> list[tuple[str, argparse.ArgumentParser]]:
    """Return the names and parsers of the subcommands."""
    groups = [a for a in parser._actions if isinstance(a, argparse._SubParsersAction)]
    return [(name, found) for group in groups for name, found in group.choices.items()]


def _options(parser: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    yield from (action for action in parser._actions if action.option_strings)


def _flags(parser: argparse.ArgumentParser) -> list[str]:
    return [option for action in _options(parser) for option in action.option_strings]


def _help(action: argparse.Action) -> str:
    """Return a help text with its default filled in."""
    text = action.help or ""
    return text % vars(action) if "%(" in text else text.replace("%%", "%")


def _roff(text: str) -> str:
    r"""Escape what `man` would take for its own: backslashes, hyphens, dots in front."""
    lines = text.replace("\\", r"\e").replace("-", r"\-").splitlines()
    return "\n".join(rf"\&{line}" if line[:1] in (".", "'") else line for line in lines)
