"""`jaxphys completion SHELL`: a script with which a shell completes commands and names.

Names are those at the time of printing; print it anew after an update.
"""

import dataclasses

from jaxphys import experiments, systems
from jaxphys.commands.checking import CheckOptions
from jaxphys.commands.exporting import ExportOptions
from jaxphys.commands.fitting import AUTO, MODELS, FitOptions
from jaxphys.commands.identifying import IdentifyOptions
from jaxphys.commands.predicting import PredictOptions
from jaxphys.commands.simulation import SimulateOptions
from jaxphys.experiments import RunOptions
from jaxphys.names import check_known

__all__ = ["SHELLS", "completion"]

SHELLS = ("bash", "zsh")

_SCRIPT = """\
_jaxphys() {{
  local word=${{COMP_WORDS[COMP_CWORD]}} names="" options=""
  case ${{COMP_WORDS[1]}} in
{cases}
  esac
  if [ "$COMP_CWORD" -eq 1 ]; then
    COMPREPLY=($(compgen -W "{commands}" -- "$word"))
  elif [ "$COMP_CWORD" -eq 2 ] && [ -n "$names" ]; then
    COMPREPLY=($(compgen -W "$names" -- "$word"))
  elif [ "${{word:0:2}}" = "--" ]; then
    COMPREPLY=($(compgen -W "$options --help" -- "$word"))
  else
    COMPREPLY=($(compgen -f -- "$word"))
  fi
}}
complete -o filenames -F _jaxphys jaxphys"""


def completion(shell: str) -> str:
    """The script of a shell, to be read by it when it starts.

    Args:
      shell: one of `SHELLS`.

    Raises:
      ValueError: for another shell.

    Example:
      >>> completion("zsh").splitlines()[0]
      'autoload -Uz compinit bashcompinit && compinit && bashcompinit'
    """
    check_known("shell", shell, SHELLS)
    kinds = {
        "list": (experiments.names(), ()),
        "run": (experiments.names(), _options(RunOptions, "--show")),
        "fit": ((AUTO, *MODELS), _options(FitOptions, "--show")),
        "identify": (systems.names(), _options(IdentifyOptions, "--show")),
        "predict": ((), _options(PredictOptions, "--show")),
        "export": ((), _options(ExportOptions)),
        "simulate": (systems.names(), _options(SimulateOptions, "--show")),
        "plot": ((), ("--out", "--show")),
        "check": ((), _options(CheckOptions)),
        "completion": (SHELLS, ()),
    }
    cases = "\n".join(
        f'    {command}) names="{" ".join(names)}" options="{" ".join(options)}" ;;'
        for command, (names, options) in kinds.items()
    )
    script = _SCRIPT.format(cases=cases, commands=" ".join(kinds))
    if shell == "zsh":
        first = "autoload -Uz compinit bashcompinit && compinit && bashcompinit"
        return f"{first}\n{script}"
    return script


def _options(kind: type, *more: str) -> tuple[str, ...]:
    """The options of a dataclass as a command line has them."""
    names = [field.name.replace("_", "-") for field in dataclasses.fields(kind)]
    return (*(f"--{name}" for name in names), *more)
