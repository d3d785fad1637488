# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""The outermost header, by the link type (tcpdump.org's registry). Where a standard leaves room, the choice is Wireshark's."""

from libc.stdint cimport uint8_t, uint32_t

from whyreset.core.dissect cimport *
from whyreset.core.octets cimport *
from whyreset.core.wifi cimport enter_radiotap, enter_wifi

cdef enum:
    NULL_LOOPBACK = 0
    EN10MB = 1
    PPP_BARE = 9
    FDDI = 10
    ATM_LLC = 11
    RAW_BSD = 12
    ENC_OLD = 13
    RAW_OPENBSD = 14
    PPP_HDLC = 50
    PPP_ETHER = 51
    ATM_RFC1483 = 100
    RAW = 101
    CISCO_HDLC = 104
    IEEE802_11 = 105
    ATM_CLIP = 106
    FRELAY = 107
    LOOP = 108
    ENC = 109
    LINUX_SLL = 113
    PFLOG = 117
    PRISM = 119
    RADIOTAP = 127
    AVS = 163
    PPI = 192
    IPV4 = 228
    IPV6 = 229
    NFLOG = 239
    LINUX_SLL2 = 276

    PPPOE_SESSION = 0x8864
    MOST_LENGTH = 1500

    ARPHRD_RADIOTAP = 803
    ARPHRD_NETLINK = 824


cdef int enter_link(dissection *d) noexcept nogil:
    """Those in common use."""
    cdef uint32_t kind = d.number
    if kind == EN10MB:
        return to(d, ETHERNET)
    if kind == LINUX_SLL:
        return enter_sll(d)
    if kind == LINUX_SLL2:
        return enter_sll2(d)
    if kind == RAW or kind == RAW_BSD or kind == RAW_OPENBSD:
        return enter_raw(d)
    if kind == IPV4:
        return to(d, INTERNET)
    if kind == IPV6:
        return to(d, INTERNET, 6)
    if kind == NULL_LOOPBACK or kind == LOOP:
        return enter_null(d, kind == LOOP)
    if kind == RADIOTAP:
        return enter_radiotap(d)
    if kind == IEEE802_11:
        return enter_wifi(d, False, False)
    return enter_rare(d)


cdef int enter_rare(dissection *d) noexcept nogil:
    cdef octets *rest = &d.rest
    cdef uint32_t size, kind = d.number
    if kind == FDDI:
        if not has(rest, 13):
            return missing(d, 13)
        # asynchronous LLC frames (ANSI X3.139)
        if u8(rest, 0) & 0xF0 != 0x50:
            return OTHER
        skip(rest, 13)
        return to(d, LLC)
    if kind == PPP_BARE or kind == PPP_HDLC:
        return to(d, PPP, SERIAL)
    if kind == PPP_ETHER:
        return to(d, ETHERTYPE, PPPOE_SESSION)
    if kind == ATM_LLC or kind == ATM_RFC1483:
        return to(d, LLC)
    if kind == FRELAY:
        return to(d, FRAME_RELAY)
    if kind == ATM_CLIP:
        return to(d, INTERNET)
    if kind == CISCO_HDLC:
        if not has(rest, 4):
            return missing(d, 4)
        kind = be16(rest, 2)
        skip(rest, 4)
        return to(d, ETHERTYPE, kind)
    if kind == ENC or kind == ENC_OLD:      # OpenBSD's enc(4)
        return enter_behind(d, 12)
    if kind == PFLOG:                       # pflog(4): its length, padded to four bytes
        return enter_behind(d, (u8(rest, 0) + 3) & <uint32_t>~3)
    if kind == NFLOG:
        return enter_nflog(d)
    if kind == PRISM or kind == AVS:
        # AVS writes in network order; Prism in the writer's, and its header is short
        size = be32(rest, 4) if be32(rest, 0) >> 12 == 0x80211 else min(le32(rest, 4), be32(rest, 4))
        if size < 8 or not has(rest, size):
            return missing(d, max(size, <uint32_t>8))
        skip(rest, size)
        return enter_wifi(d, False, False)
    if kind == PPI:
        size = le16(rest, 2)
        kind = le32(rest, 4)
        if size < 8 or not has(rest, size):
            return missing(d, max(size, <uint32_t>8))
        skip(rest, size)
        return to(d, LINK, kind)
    return UNKNOWN_LINK


cdef int enter_behind(dissection *d, uint32_t size) noexcept nogil:
    """IP behind a header that tells nothing of use."""
    if size == 0 or not has(&d.rest, size + 1):
        return missing(d, size + 1)
    skip(&d.rest, size)
    return to(d, INTERNET)


cdef int enter_raw(dissection *d) noexcept nogil:
    """IP alone; Linux and Irix wrote PPP, and ISDN ten zeros before it, with the same link type."""
    cdef octets *rest = &d.rest
    if be16(rest, 0) == 0xFF03:
        return to(d, PPP, SERIAL)
    if be32(rest, 0) >> 8 == 0x07FF03:
        skip(rest, 1)
        return to(d, PPP, SERIAL)
    if has(rest, 10) and raw64(rest, 0) == 0 and be16(rest, 8) == 0:
        skip(rest, 10)
        return to(d, INTERNET)
    return to(d, INTERNET, 6 if u8(rest, 0) >> 4 == 6 else 0)


cdef int enter_null(dissection *d, bint network_order) noexcept nogil:
    """The address family of the system that wrote it, in that system's byte order or in network order."""
    cdef octets *rest = &d.rest
    cdef uint32_t family
    if not has(rest, 4):
        return missing(d, 4)
    family = be32(rest, 0)
    if not network_order:
        # PPP's address and control in a file that says NULL
        if family >> 16 == 0xFF03:
            return to(d, PPP, SERIAL)
        if le32(rest, 0) < family:
            family = le32(rest, 0)
    skip(rest, 4)
    if family == 2:
        return to(d, INTERNET)
    # 24 NetBSD, OpenBSD; 28 FreeBSD; 30 Darwin
    if family == 24 or family == 28 or family == 30:
        return to(d, INTERNET, 6)
    if family > MOST_LENGTH and not network_order:
        return to(d, ETHERTYPE, family)
    return OTHER


cdef int enter_sll(dissection *d) noexcept nogil:
    cdef octets *rest = &d.rest
    cdef uint32_t hardware, protocol
    if not has(rest, 16):
        return missing(d, 16)
    hardware = be16(rest, 2)
    protocol = be16(rest, 14)
    skip(rest, 16)
    return enter_cooked(d, hardware, protocol)


cdef int enter_sll2(dissection *d) noexcept nogil:
    cdef octets *rest = &d.rest
    cdef uint32_t hardware, protocol
    if not has(rest, 20):
        return missing(d, 20)
    hardware = be16(rest, 8)
    protocol = be16(rest, 0)
    d.interface = be32(rest, 4)
    skip(rest, 20)
    return enter_cooked(d, hardware, protocol)


cdef int enter_cooked(dissection *d, uint32_t hardware, uint32_t protocol) noexcept nogil:
    if hardware == ARPHRD_NETLINK:
        return OTHER
    if protocol == 3:
        return to(d, ETHERNET)
    if protocol == 4:
        return enter_radiotap(d) if hardware == ARPHRD_RADIOTAP else to(d, LLC)
    return to(d, ETHERTYPE, protocol)


cdef int enter_nflog(dissection *d) noexcept nogil:
    """Linux netfilter's log: pieces with length and kind in the writer's order; 1 tells the EtherType, 9 is the packet."""
    cdef octets *rest = &d.rest
    cdef uint32_t size, kind, protocol = 0
    if not has(rest, 4):
        return missing(d, 4)
    skip(rest, 4)
    while has(rest, 4):
        size = le16(rest, 0)
        kind = le16(rest, 2) & 0x7FFF
        if size < 4:
            return MALFORMED
        if kind == 1 and size >= 6:
            protocol = be16(rest, 4)
        if kind == 9:
            limit(rest, size)
            skip(rest, 4)
            return to(d, ETHERTYPE, protocol) if protocol else to(d, INTERNET)
        skip(rest, (size + 3) & 0x1FFFC)
    return OTHER
