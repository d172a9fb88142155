"""Folders on a network file system are warned of, once each."""

from __future__ import annotations

import os
import warnings

import pytest

from hmem_fast.errors import NetworkFolderWarning
from hmem_fast.store import TraceStore, network
from hmem_fast.store.network import network_type

MOUNTS = r"""
22 1 254:1 / / rw,relatime shared:1 - ext4 /dev/vda1 rw
23 22 0:21 / /proc rw,nosuid - proc proc rw
40 22 0:45 / /home rw,relatime shared:20 - nfs4 server:/home rw,vers=4.2
41 40 0:46 / /home/ann/local rw - xfs /dev/vdb rw
42 22 0:47 / /mnt/with\040space rw,relatime - cifs //server/share rw
43 22 0:48 / /mnt/ssh rw - fuse.sshfs ann@host: rw,user_id=1000
44 22 0:49 / /mnt/c rw - 9p C:\134 rw
45 22 0:50 / /mnt/fuse rw - fuse.gocryptfs /home/x rw
46 22 0:51 / /over rw - nfs server:/a rw
47 46 0:52 / /over rw - tmpfs tmpfs rw
48 22 0:53 / /under rw - tmpfs tmpfs rw
49 48 0:54 /export/dir /under rw shared:3 master:4 - nfs server:/b rw
50 22 0:55 / /mnt/back\134slash rw - smb3 //server/x rw
a line that makes no sense
51 22 - nfs
"""


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/", None),
        ("/var/lib/store", None),
        ("/home", "nfs4"),
        ("/home/ann/agent.hmem", "nfs4"),
        ("/homes/ann", None),
        ("/home/ann/local/x", None),
        ("/home/ann/locals", "nfs4"),
        ("/mnt/with space/x", "cifs"),
        ("/mnt/ssh/x", "fuse.sshfs"),
        ("/mnt/c/Users", "9p"),
        ("/mnt/fuse/x", None),
        ("/over/x", None),
        ("/under/x", "nfs"),
        ("/mnt/back\\slash/x", "smb3"),
    ],
)
def test_the_longest_mount_point_decides_and_of_two_the_later(path, kind):
    assert network_type(path, MOUNTS) == kind


def test_a_root_on_the_network_holds_everything():
    assert network_type("/a/b", "1 0 0:1 / / rw - nfs server:/ rw") == "nfs"
    assert network_type("/a/b", "") is None


@pytest.fixture
def mounted(tmp_path, monkeypatch):
    """A system whose `net` is a network file system."""
    mounts = tmp_path / "mountinfo"
    (tmp_path / "net").mkdir()
    point = os.path.realpath(tmp_path / "net").replace(" ", r"\040")
    mounts.write_text(f"1 0 0:1 / / rw - ext4 /dev/x rw\n2 1 0:2 / {point} rw - nfs4 server:/x rw\n")
    monkeypatch.setattr(network, "_MOUNTS", mounts)
    monkeypatch.setattr(network, "_warned", set())
    return tmp_path


def test_each_folder_is_warned_of_once(mounted):
    with pytest.warns(NetworkFolderWarning, match=r"nfs4.*local disk") as warned:
        TraceStore(mounted / "net" / "a").close()
    assert len(warned) == 1
    with pytest.warns(NetworkFolderWarning):
        TraceStore(mounted / "net" / "b").close()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        TraceStore(mounted / "net" / "a").close()
        TraceStore(mounted / "net" / "a", mode="r").close()
        TraceStore(mounted / "local").close()
        TraceStore(None).close()


def test_links_are_followed(mounted):
    (mounted / "link").symlink_to(mounted / "net", target_is_directory=True)
    with pytest.warns(NetworkFolderWarning):
        TraceStore(mounted / "link" / "a").close()


def test_where_the_system_does_not_say_nothing_is_said(mounted, monkeypatch):
    monkeypatch.setattr(network, "_MOUNTS", mounted / "missing")
    TraceStore(mounted / "net" / "a").close()
