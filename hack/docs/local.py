"""Generate the tables of options in docs/local.md from the local command."""

from pathlib import Path

from transcription_worker.local.flags import Flag
from transcription_worker.local.options import GROUPS

LOCAL = Path(__file__).parents[2] / "docs/local.md"
BEGIN = "<!-- The tables are generated from the command by `make docs`. -->\n"
END = "\n<!-- End of the generated tables. -->"


def render_local(page: str) -> str:
    """Return the page with tables of the command's present options.

    Raises:
        ValueError: the page lacks one of the comments that the tables stand between.
    """
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{LOCAL.name}: got a page without its comments, expected {BEGIN!r} and {END!r}")
    return before + begin + "".join(_table(title, flags) for title, flags in GROUPS.items()) + end + after


def _table(title: str, flags: tuple[Flag, ...]) -> str:
    rows = "\n".join(_row(flag) for flag in flags)
    return f"\n### {title.capitalize()}\n\n| Option | Default | Meaning |\n| --- | --- | --- |\n{rows}\n"


def _row(flag: Flag) -> str:
    names = f"`--{flag.name}`" + (f", `{flag.short}`" if flag.short else "")
    default = "" if flag.default is None or flag.switch else f"`{flag.default}`"
    one_of = " One of " + ", ".join(f"`{choice}`" for choice in flag.choices) + "." if flag.choices else ""
    return f"| {names} | {default} | {flag.help}{one_of} |"
