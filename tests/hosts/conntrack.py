"""Connection tracking that forgets: conntrack -F without the program."""

import errno
import os
import socket
import struct

from tests.hosts.hosts import Host

NETLINK_NETFILTER = 12  # include/uapi/linux/netlink.h
CONNTRACK_DELETE = 1 << 8 | 2  # NFNL_SUBSYS_CTNETLINK, IPCTNL_MSG_CT_DELETE; include/uapi/linux/netfilter/
REQUEST_AND_ACKNOWLEDGE = 5
MESSAGE = struct.Struct("=IHHIIBBH")  # nlmsghdr, nfgenmsg: without attributes it means all
ERROR_AT = 16  # in the answer, after its nlmsghdr


def forget_connections(host: Host) -> None:
    """Flush the table of tracked connections of a host. Raises OSError where the kernel refuses."""
    with host.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_NETFILTER) as link:
        link.send(MESSAGE.pack(MESSAGE.size, CONNTRACK_DELETE, REQUEST_AND_ACKNOWLEDGE, 1, 0, 0, 0, 0))
        error = -int(struct.unpack_from("=i", link.recv(4096), ERROR_AT)[0])
    if error:
        raise OSError(error, f"forgetting connections: {errno.errorcode[error]}, {os.strerror(error)}")
