"""A folder that only its user may write, because the code in it is run."""

from __future__ import annotations

import os
import stat
from errno import EPERM
from pathlib import Path


def make(folder: Path) -> bool:
    """Make a folder that only this user may enter, unless it exists; True if it was made.

    Raises OSError, also for a folder that others may write.
    """
    _check(folder)
    if folder.is_dir():
        return False
    missing = [place for place in (folder, *folder.parents) if not place.exists()]
    for place in reversed(missing):
        place.mkdir(0o700, exist_ok=True)
    _check(folder)  # another user may have made one of its parents first
    return True


def _check(folder: Path) -> None:
    """Raises PermissionError if another user could put code there, which would then run as this user.

    A folder that does not exist yet is as safe as the one in which it will be made.
    """
    if os.name == "nt":
        return
    nearest = True
    for place in (folder, *folder.parents):
        try:
            status = place.stat()
        except FileNotFoundError:
            continue
        if nearest and status.st_uid not in (0, os.geteuid()):
            why = f"it belongs to user {status.st_uid}, whose code would run as yours"
            raise PermissionError(EPERM, why, str(place))
        # in a sticky folder, such as /tmp, users can remove and rename only their own files
        if _others_may_write(status) and (place == folder or not status.st_mode & stat.S_ISVTX):
            why = "others may write there, and their code would run as yours (chmod go-w ends that)"
            raise PermissionError(EPERM, why, str(place))
        nearest = False


def _others_may_write(status: os.stat_result) -> bool:
    if status.st_mode & stat.S_IWOTH:
        return True
    return bool(status.st_mode & stat.S_IWGRP) and not _is_our_own_group(status.st_gid)


def _is_our_own_group(gid: int) -> bool:
    """Whether it is the group that many systems make for each user, to which nobody else belongs."""
    import grp
    import pwd

    try:
        group, name = grp.getgrgid(gid), pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return False
    return group.gr_name == name and set(group.gr_mem) <= {name}
