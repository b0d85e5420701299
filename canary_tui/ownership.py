"""Who else on this machine could change a file: told by owner and mode, its own and each folder's above it.

The rule is that of Debian's OpenSSH (``secure_permissions``): it belongs to this user or to root, not every
user may write it, and a group may only where that has no other member. Folders with the sticky bit
(``/tmp``) pass: there nobody can replace what is not theirs (unlink(2)).
"""

from __future__ import annotations

import grp
import os
import pwd
import shlex
import stat
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

ACCESS_LIST = "system.posix_acl_access"
"""Where Linux keeps an access list (acl(5)); with one, the group's bits are the most that it allows."""
LINKS = 40
"""Symbolic links that a path may go through (path_resolution(7))."""


def others_may_change(path: Path) -> str:
    """Say who, besides this user and root, could change what ``path`` names, and what to do about it.

    Empty when nobody could. Looks at the file, at each folder above it and at the links on the way, as far as
    they exist.
    """
    for place in _places(path):
        try:
            status = place.lstat()
        except OSError:
            continue
        if reason := _reason(place, status):
            return reason
    return ""


def _reason(place: Path, status: os.stat_result) -> str:
    own = os.geteuid()
    shown = shlex.quote(str(place))
    if status.st_uid not in {own, 0}:
        owner = _name_of(status.st_uid)
        return f"{place} belongs to {owner}, neither you nor root; change its owner, or use another"
    if stat.S_ISLNK(status.st_mode) or (stat.S_ISDIR(status.st_mode) and status.st_mode & stat.S_ISVTX):
        return ""
    if status.st_mode & stat.S_IWOTH:
        return f"every user may write {place}; chmod o-w {shown}"
    if status.st_mode & stat.S_IWGRP:
        if _has_access_list(place):
            return f"an access list lets others write {place}; setfacl -b {shown} && chmod g-w {shown}"
        if others := _other_members(status.st_gid, own):
            return f"{others} may write {place}; chmod g-w {shown}"
    return ""


def _places(path: Path) -> Iterator[Path]:
    """Go through the folders, the links and the file that the kernel passes when it opens ``path``."""
    ahead, here, links = list(reversed(path.absolute().parts)), Path("/"), 0
    while ahead:
        part = ahead.pop()
        if part == "..":
            here = here.parent
            continue
        here /= part
        yield here
        try:
            target = here.readlink()
        except OSError:  # no link
            continue
        links += 1
        if links > LINKS:  # nothing can be opened there either
            return
        ahead += reversed(target.parts)
        here = here.parent


def _has_access_list(place: Path) -> bool:
    try:
        return bool(os.getxattr(place, ACCESS_LIST))
    except (OSError, AttributeError):  # none, a file system without them, or not Linux
        return False


def _other_members(group: int, own: int) -> str:
    """Name who shares a group with this user: root does not count. Empty when nobody does."""
    try:
        entry = grp.getgrgid(group)
    except KeyError:
        return f"the group {group}, whose members the system does not tell,"
    try:
        harmless = {pwd.getpwuid(own).pw_name, "root"}
    except KeyError:
        harmless = {"root"}
    members = {name for name in entry.gr_mem if name not in harmless}
    members |= {
        user.pw_name for user in pwd.getpwall() if user.pw_gid == group and user.pw_uid not in {own, 0}
    }
    if not members:
        return ""
    return f"the group {entry.gr_name} ({', '.join(sorted(members)[:3])}{', …' if len(members) > 3 else ''})"


def _name_of(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"the user {uid}"
