"""What a device does for the stack: cutting segments (TSO) and joining them (GRO), as `ethtool -K` sets it."""

import fcntl
import socket
import struct
from array import array

from tests.hosts.hosts import INTERFACE, Host

SIOCETHTOOL, STSO, SGRO = 0x8946, 0x1F, 0x2C  # include/uapi/linux/sockios.h, ethtool.h


def offload(host: Host, *, tso: bool | None = None, gro: bool | None = None) -> None:
    """Switch it on or off at the host's wire; what is not named stays. Without TSO the stack cuts (GSO)."""
    with host.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        for command, on in ((STSO, tso), (SGRO, gro)):
            if on is not None:
                value = array("I", (command, on))  # struct ethtool_value, to which a struct ifreq points
                fcntl.ioctl(asking, SIOCETHTOOL, struct.pack("16sP16x", INTERFACE.encode(), value.buffer_info()[0]))
