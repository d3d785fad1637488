# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""From the link layer up to IP: link types, Ethernet with its tags, LLC, MPLS, PPP, 802.11.

Link types by tcpdump.org's registry. Where a standard leaves room, the choice is Wireshark's.
"""

from libc.stdint cimport uint8_t, uint16_t, uint32_t

from whyreset.core.dissect cimport *
from whyreset.core.octets cimport *

cdef enum:
    # link types
    NULL_LOOPBACK = 0
    EN10MB = 1
    PPP_BARE = 9
    FDDI = 10
    RAW_BSD = 12
    RAW_OPENBSD = 14
    PPP_HDLC = 50
    PPP_ETHER = 51
    RFC1483 = 100
    RAW = 101
    CISCO_HDLC = 104
    IEEE802_11 = 105
    LOOP = 108
    LINUX_SLL = 113
    PRISM = 119
    RADIOTAP = 127
    AVS = 163
    PPI = 192
    IPV4 = 228
    IPV6 = 229
    NFLOG = 239
    LINUX_SLL2 = 276

    # EtherTypes
    IP_4 = 0x0800
    IP_6 = 0x86DD
    VLAN = 0x8100
    QINQ = 0x88A8
    QINQ_OLD = 0x9100
    QINQ_OLDER = 0x9200
    BRIDGED = 0x6558
    PPP_TYPE = 0x880B
    MPLS_UNICAST = 0x8847
    MPLS_MULTICAST = 0x8848
    PPPOE_SESSION = 0x8864
    JUMBO_LLC = 0x8870
    CISCO_METADATA = 0x8909
    VN_TAG = 0x8926
    E_TAG = 0x893F
    PBB = 0x88E7
    MOST_LENGTH = 1500

    ARPHRD_RADIOTAP = 803
    ARPHRD_NETLINK = 824


cdef int enter_link(dissection *d) noexcept nogil:
    """The outermost header, by link type."""
    cdef uint32_t size, kind = d.number
    cdef octets *rest = &d.rest
    if kind == EN10MB:
        return to(d, ETHERNET)
    if kind == LINUX_SLL:
        return enter_sll(d)
    if kind == LINUX_SLL2:
        return enter_sll2(d)
    if kind == RAW or kind == RAW_BSD or kind == RAW_OPENBSD or kind == IPV4 or kind == IPV6:
        return to(d, INTERNET)
    if kind == NULL_LOOPBACK or kind == LOOP:
        return enter_null(d)
    if kind == RADIOTAP:
        return enter_radiotap(d)
    if kind == IEEE802_11:
        return enter_wifi(d, False, False)
    if kind == FDDI:
        if not has(rest, 13):
            return missing(d, 13)
        # LLC frames only (ANSI X3.139)
        if u8(rest, 0) & 0x70 != 0x50:
            return OTHER
        skip(rest, 13)
        return to(d, LLC)
    if kind == PPP_BARE or kind == PPP_HDLC:
        return to(d, PPP)
    if kind == PPP_ETHER:
        return to(d, ETHERTYPE, PPPOE_SESSION)
    if kind == RFC1483:
        return to(d, LLC)
    if kind == CISCO_HDLC:
        if not has(rest, 4):
            return missing(d, 4)
        size = be16(rest, 2)
        skip(rest, 4)
        return to(d, ETHERTYPE, size)
    if kind == NFLOG:
        return enter_nflog(d)
    if kind == PRISM or kind == AVS:
        if not has(rest, 8):
            return missing(d, 8)
        # AVS writes in network order; Prism's length is the writer's, 144 in practice
        size = be32(rest, 4) if be32(rest, 0) >> 12 == 0x80211 else min(le32(rest, 4), be32(rest, 4))
        skip(rest, size)
        return enter_wifi(d, False, False)
    if kind == PPI:
        if not has(rest, 8):
            return missing(d, 8)
        size = le16(rest, 2)
        kind = le32(rest, 4)
        if size < 8 or kind == PPI:
            return MALFORMED
        skip(rest, size)
        return to(d, LINK, kind)
    return UNKNOWN_LINK


cdef int enter_frame(dissection *d) noexcept nogil:
    """One layer between the link and IP."""
    cdef octets *rest = &d.rest
    cdef uint32_t kind
    if d.layer == ETHERNET:
        if not has(rest, 14):
            return missing(d, 14)
        kind = be16(rest, 12)
        skip(rest, 14)
        return to(d, ETHERTYPE, kind) if kind > MOST_LENGTH else enter_length(d, kind)
    if d.layer == ETHERTYPE:
        return enter_ethertype(d)
    if d.layer == LLC:
        return enter_llc(d)
    if d.layer == MPLS:
        return enter_mpls(d)
    if d.layer == PPP:
        return enter_ppp(d)
    return OTHER


cdef int enter_length(dissection *d, uint32_t length) noexcept nogil:
    """An 802.3 frame, which says how long it is instead of what it holds; its padding is cut off."""
    limit(&d.rest, length)
    return to(d, LLC)


cdef int enter_ethertype(dissection *d) noexcept nogil:
    cdef octets *rest = &d.rest
    cdef uint32_t kind = d.number
    cdef uint32_t header
    if kind == IP_4 or kind == IP_6:
        return to(d, INTERNET)
    if kind == VLAN or kind == QINQ or kind == QINQ_OLD or kind == QINQ_OLDER:
        if not has(rest, 4):
            return missing(d, 4)
        kind = be16(rest, 2)
        skip(rest, 4)
        return to(d, ETHERTYPE, kind) if kind > MOST_LENGTH else enter_length(d, kind)
    if kind == MPLS_UNICAST or kind == MPLS_MULTICAST:
        return to(d, MPLS)
    if kind == PPPOE_SESSION:
        if not has(rest, 6):
            return missing(d, 6)
        if u8(rest, 1) != 0:
            return OTHER
        header = be16(rest, 4)
        skip(rest, 6)
        limit(rest, header)
        return to(d, PPP)
    if kind == BRIDGED:
        return to(d, ETHERNET)
    if kind == PPP_TYPE:
        return to(d, PPP)
    if kind == JUMBO_LLC:
        return to(d, LLC)
    if kind == CISCO_METADATA or kind == VN_TAG or kind == E_TAG:
        # tags with the EtherType of what follows at their end (E-TAG: IEEE 802.1BR section 11.2)
        header = 6 if kind != E_TAG else 8
        if not has(rest, header):
            return missing(d, header)
        kind = be16(rest, header - 2)
        skip(rest, header)
        return to(d, ETHERTYPE, kind)
    if kind == PBB:
        # IEEE 802.1ah: the I-TAG, then the customer's whole frame
        if not has(rest, 4):
            return missing(d, 4)
        skip(rest, 4)
        return to(d, ETHERNET)
    return OTHER


cdef int enter_llc(dissection *d) noexcept nogil:
    """IEEE 802.2, and the SNAP header that names an EtherType (RFC 1042)."""
    cdef octets *rest = &d.rest
    cdef uint32_t organisation, kind
    if not has(rest, 3):
        return missing(d, 3)
    if u8(rest, 0) == 0xAA and u8(rest, 1) == 0xAA:
        if not has(rest, 8):
            return missing(d, 8)
        organisation = be32(rest, 2) & 0xFFFFFF
        kind = be16(rest, 6)
        skip(rest, 8)
        if organisation == 0 or organisation == 0x0000F8:
            return to(d, ETHERTYPE, kind)
        if organisation == 0x0080C2 and (kind == 1 or kind == 7):
            # RFC 2684: an Ethernet frame with or without its checksum, after two bytes of padding
            skip(rest, 2)
            return to(d, ETHERNET)
        return OTHER
    if u8(rest, 0) == 0x06 and u8(rest, 2) == 0x03:
        skip(rest, 3)
        return to(d, INTERNET)
    return OTHER


cdef int enter_mpls(dissection *d) noexcept nogil:
    """RFC 3032: labels to the bottom of the stack; what follows is told by its first four bits, as routers do."""
    cdef octets *rest = &d.rest
    cdef uint32_t label
    while True:
        if not has(rest, 5):
            return missing(d, 5)
        label = be32(rest, 0)
        skip(rest, 4)
        if label & 0x100:
            break
    if u8(rest, 0) >> 4 == 4 or u8(rest, 0) >> 4 == 6:
        return to(d, INTERNET)
    return OTHER


cdef int enter_ppp(dissection *d) noexcept nogil:
    """RFC 1661 and 1662: perhaps address and control, then a protocol of one byte or two."""
    cdef octets *rest = &d.rest
    cdef uint32_t protocol
    if u8(rest, 0) == 0xFF and u8(rest, 1) == 0x03:
        skip(rest, 2)
    if not has(rest, 2):
        return missing(d, 2)
    protocol = u8(rest, 0)
    if protocol & 1:
        skip(rest, 1)
    else:
        protocol = be16(rest, 0)
        skip(rest, 2)
    if protocol == 0x21 or protocol == 0x57:
        return to(d, INTERNET)
    if protocol == 0x281 or protocol == 0x283:
        return to(d, MPLS)
    return OTHER


cdef int enter_null(dissection *d) noexcept nogil:
    """The address family of the system that wrote it, in that system's byte order or in network order."""
    cdef octets *rest = &d.rest
    cdef uint32_t family
    if not has(rest, 4):
        return missing(d, 4)
    family = le32(rest, 0)
    if family & 0xFFFF0000U:
        family = be32(rest, 0)
        if family & 0xFFFF0000U:
            # PPP's address and control in a file that says NULL
            if u8(rest, 0) == 0xFF and u8(rest, 1) == 0x03:
                return to(d, PPP)
            return OTHER
    skip(rest, 4)
    if family > MOST_LENGTH:
        return to(d, ETHERTYPE, family)
    # 2 everywhere; 24 NetBSD, OpenBSD; 28 FreeBSD; 30 Darwin
    if family == 2 or family == 24 or family == 28 or family == 30:
        return to(d, INTERNET)
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
    if hardware == ARPHRD_RADIOTAP:
        return enter_radiotap(d)
    if protocol == 4:
        return to(d, LLC)
    return to(d, ETHERTYPE, protocol)


cdef int enter_nflog(dissection *d) noexcept nogil:
    """Linux netfilter's log: a family, then pieces, each with length and kind in the writer's order; piece 9 is the packet."""
    cdef octets *rest = &d.rest
    cdef uint32_t size, kind
    if not has(rest, 4):
        return missing(d, 4)
    skip(rest, 4)
    while has(rest, 4):
        size = le16(rest, 0)
        kind = le16(rest, 2) & 0x7FFF
        if size < 4:
            return MALFORMED
        if kind == 9:
            limit(rest, size)
            skip(rest, 4)
            return to(d, INTERNET)
        skip(rest, (size + 3) & 0x1FFFC)
    return OTHER


cdef int enter_radiotap(dissection *d) noexcept nogil:
    """radiotap.org: skipped, but for the flags that tell how the frame is padded and whether its checksum follows."""
    cdef octets *rest = &d.rest
    cdef uint32_t size, present, at = 8
    cdef uint8_t flags = 0
    if not has(rest, 8):
        return missing(d, 8)
    size = le16(rest, 2)
    present = le32(rest, 4)
    if size < 8:
        return MALFORMED
    while le32(rest, at - 4) & 0x80000000U and at + 4 <= size:
        at += 4
    if present & 1:     # TSFT, aligned to its size
        at = ((at + 7) & <uint32_t>~7) + 8
    if present & 2 and at < size:
        flags = u8(rest, at)
    if not has(rest, size):
        return missing(d, size)
    skip(rest, size)
    return enter_wifi(d, flags & 0x20 != 0, flags & 0x10 != 0)


cdef int enter_wifi(dissection *d, bint padded, bint checked) noexcept nogil:
    """IEEE 802.11: data frames that are not encrypted."""
    cdef octets *rest = &d.rest
    cdef uint32_t control, header = 24
    if not has(rest, 24):
        return missing(d, 24)
    control = le16(rest, 0)
    # data frames that carry data (not null functions)
    if (control >> 2) & 3 != 2 or control & 0x40:
        return OTHER
    if control & 0x4000:
        return ENCRYPTED
    # a later fragment of a frame
    if le16(rest, 22) & 0xF:
        return FRAGMENT
    if control & 0x0300 == 0x0300:
        header += 6
    if control & 0x80:
        if u8(rest, header) & 0x80:     # several frames in one
            return enter_aggregate(d, header + 2)
        header += 2
        if control & 0x8000:
            header += 4
    if padded:
        header = (header + 3) & <uint32_t>~3
    if not has(rest, header):
        return missing(d, header)
    if checked and rest.reported >= header + 4:
        limit(rest, rest.reported - 4)
    skip(rest, header)
    return to(d, LLC)


cdef int enter_aggregate(dissection *d, uint32_t header) noexcept nogil:
    """The first of the frames in an A-MSDU (IEEE 802.11 section 9.3.2.2.2)."""
    cdef octets *rest = &d.rest
    cdef uint32_t size
    if not has(rest, header + 14):
        return missing(d, header + 14)
    skip(rest, header)
    size = be16(rest, 12)
    skip(rest, 14)
    return enter_length(d, size)
