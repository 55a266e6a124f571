"""The parts of a workflow that belong to its user: what stands between two marks, which an update keeps."""

import re
from collections.abc import Mapping

from ..errors import Refused

MARK = re.compile(r"^[ \t]*# staging: yours (begin|end) (\S+)[ \t]*\r?$")
LIKE_A_MARK = re.compile(r"#\s*staging\s*:\s*yours\b", re.IGNORECASE)


def of(text: str, where: str) -> dict[str, str]:
    """The parts by their names; none for a file without marks. Raises `Refused` for marks that are not in pairs."""
    found: dict[str, str] = {}
    name, inside = "", []
    for number, line in enumerate(text.split("\n"), 1):
        mark = MARK.match(line)
        if not mark and LIKE_A_MARK.search(line):
            raise Refused(
                f"{where} line {number} is no whole mark. Write `# staging: yours begin NAME`, or `end NAME`."
            )
        if not mark:
            inside.append(line)
        elif mark[1] == "begin":
            if name:
                raise Refused(
                    f"{where} line {number} begins the part {mark[2]}, and {name} has no end. {_correct(name)}"
                )
            if mark[2] in found:
                raise Refused(f"{where} line {number} begins the part {mark[2]} again. Each part may be there once.")
            name, inside = mark[2], []
        elif mark[2] != name:
            raise Refused(
                f"{where} line {number} ends the part {mark[2]}, which has not begun there. Correct the marks."
            )
        else:
            found[name], name = "".join(f"{kept}\n" for kept in inside), ""
    if name:
        raise Refused(f"{where} begins the part {name}, which has no end. {_correct(name)}")
    return found


def into(text: str, kept: Mapping[str, str]) -> str:
    """The text with the parts of these names as they are given."""
    lines, name = [], ""
    for line in text.split("\n"):
        mark = MARK.match(line)
        if mark and mark[1] == "end" and name in kept:
            lines += kept[name].split("\n")[:-1]
        if not name or name not in kept or mark:
            lines.append(line)
        if mark:
            name = mark[2] if mark[1] == "begin" else ""
    return "\n".join(lines)


def _correct(name: str) -> str:
    return f"Write `# staging: yours end {name}` after its last line."
