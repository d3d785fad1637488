# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""Between the link and IP: Ethernet with its tags, LLC, MPLS, PPP. Where a standard leaves room, the choice is Wireshark's."""

from libc.stdint cimport uint8_t, uint32_t

from whyreset.core.dissect cimport *
from whyreset.core.octets cimport *

cdef enum:
    # EtherTypes
    IP_4 = 0x0800
    TRILL = 0x22F3
    BRIDGED = 0x6558
    VLAN = 0x8100
    IP_6 = 0x86DD
    MPLS_UNICAST = 0x8847
    MPLS_MULTICAST = 0x8848
    PPPOE_SESSION = 0x8864
    JUMBO_LLC = 0x8870
    QINQ = 0x88A8
    MACSEC = 0x88E5
    PBB = 0x88E7
    FABRIC_PATH = 0x8903
    CISCO_METADATA = 0x8909
    VN_TAG = 0x8926
    E_TAG = 0x893F
    NSH = 0x894F
    QINQ_OLD = 0x9100
    # what is less is a length (IEEE 802.3 section 3.2.6)
    MOST_LENGTH = 1500


cdef int enter_frame(dissection *d) noexcept nogil:
    """One layer between the link and IP."""
    cdef octets *rest = &d.rest
    cdef uint32_t kind
    if d.layer == ETHERNET:
        if not has(rest, 14):
            return missing(d, 14)
        kind = be16(rest, 12)
        if be32(rest, 0) & 0xFDFFFFFFU == 0x01000C00 and be16(rest, 4) >> 4 == 0:
            # Cisco's ISL puts a whole frame behind a header of its own
            if not has(rest, 26):
                return missing(d, 26)
            skip(rest, 26)
            return ONWARD
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
    return enter_frame_relay(d)


cdef int enter_length(dissection *d, uint32_t length) noexcept nogil:
    """An 802.3 frame, which says how long it is instead of what it holds; its padding is cut off."""
    limit(&d.rest, length)
    return to(d, LLC)


cdef int enter_ethertype(dissection *d) noexcept nogil:
    cdef octets *rest = &d.rest
    cdef uint32_t kind = d.number
    if kind == IP_4:
        return to(d, INTERNET)
    if kind == IP_6:
        return to(d, INTERNET, 6)
    if kind == VLAN or kind == QINQ or kind == QINQ_OLD:
        if not has(rest, 4):
            return missing(d, 4)
        d.vlan = be16(rest, 0) & 0xFFF
        kind = be16(rest, 2)
        skip(rest, 4)
        return to(d, ETHERTYPE, kind) if kind > MOST_LENGTH else enter_length(d, kind)
    if kind == MPLS_UNICAST or kind == MPLS_MULTICAST:
        return to(d, MPLS)
    if kind == PPPOE_SESSION:       # RFC 2516 section 4
        if not has(rest, 6):
            return missing(d, 6)
        kind = be16(rest, 4)
        skip(rest, 6)
        limit(rest, kind)
        return to(d, PPP)
    if kind == BRIDGED:
        return to(d, ETHERNET)
    if kind == JUMBO_LLC:
        return to(d, LLC)
    return enter_tag(d, kind)


cdef int enter_tag(dissection *d, uint32_t kind) noexcept nogil:
    """What carriers and data centres put between Ethernet and what it carries."""
    cdef octets *rest = &d.rest
    cdef uint32_t size, next = 0
    if kind == CISCO_METADATA:
        size = 8
    elif kind == VN_TAG:
        size = 6
    elif kind == E_TAG:             # IEEE 802.1BR section 11.2
        size = 8
    elif kind == PBB:               # IEEE 802.1ah: the I-TAG, then the customer's whole frame
        size = 4
        next = BRIDGED
    elif kind == FABRIC_PATH:
        size = 2
        next = BRIDGED
    elif kind == TRILL:             # RFC 6325 section 3.2; options in units of four bytes
        size = 6 + (be16(rest, 0) >> 6 & 0x1F) * 4
        next = BRIDGED
    elif kind == NSH:
        return enter_nsh(d)
    elif kind == MACSEC:
        return enter_macsec(d)
    else:
        return OTHER
    if not has(rest, size):
        return missing(d, size)
    if next == 0:
        # the EtherType of what follows stands at the end
        next = be16(rest, size - 2)
    skip(rest, size)
    return to(d, ETHERTYPE, next)


cdef int enter_nsh(dissection *d) noexcept nogil:
    """RFC 8300 section 2."""
    cdef octets *rest = &d.rest
    cdef uint32_t size = (be16(rest, 0) & 0x3F) * 4, next = u8(rest, 3)
    if not has(rest, 8):
        return missing(d, 8)
    if u8(rest, 2) & 0xF == 1:      # metadata of fixed length
        size = 24
    if size < 8 or not has(rest, size):
        return missing(d, size)
    skip(rest, size)
    if next == 1:
        return to(d, INTERNET)
    if next == 2:
        return to(d, INTERNET, 6)
    if next == 3:
        return to(d, ETHERNET)
    return to(d, MPLS) if next == 5 else OTHER


cdef int enter_macsec(dissection *d) noexcept nogil:
    """IEEE 802.1AE: frames may be signed without being encrypted."""
    cdef octets *rest = &d.rest
    cdef uint8_t control = u8(rest, 0)
    cdef uint32_t size = 14 if control & 0x20 else 6, kind
    if control & 0x0C:
        return ENCRYPTED
    if not has(rest, size + 2):
        return missing(d, size + 2)
    kind = be16(rest, size)
    skip(rest, size + 2)
    if rest.reported < 16:
        return MALFORMED
    limit(rest, rest.reported - 16)     # the integrity check value
    return to(d, ETHERTYPE, kind)


cdef int enter_llc(dissection *d) noexcept nogil:
    """IEEE 802.2, and the SNAP header that names an EtherType (RFC 1042)."""
    cdef octets *rest = &d.rest
    cdef uint32_t organisation, kind, size
    if not has(rest, 3):
        return missing(d, 3)
    # what carries data: unnumbered information, or information with its number
    if u8(rest, 2) == 3:
        size = 3
    elif u8(rest, 2) & 1 == 0:
        size = 4
    else:
        return OTHER
    if u8(rest, 0) == 0xAA and u8(rest, 1) == 0xAA:
        if not has(rest, size + 5):
            return missing(d, size + 5)
        organisation = be32(rest, size - 1) & 0xFFFFFF
        kind = be16(rest, size + 3)
        skip(rest, size + 5)
        if organisation == 0 or organisation == 0x0000F8:
            return to(d, ETHERTYPE, kind)
        if organisation == 0x0080C2 and (kind == 1 or kind == 7):
            # RFC 2684: an Ethernet frame with or without its checksum, after two bytes of padding
            skip(rest, 2)
            if kind == 1 and rest.reported >= 4:
                limit(rest, rest.reported - 4)
            return to(d, ETHERNET)
        return OTHER
    if u8(rest, 0) == 0x06:
        skip(rest, size)
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
    # alerts for operation and maintenance (RFC 5586, RFC 3429) carry no IP
    if label >> 12 == 13 or label >> 12 == 14:
        return OTHER
    if u8(rest, 0) >> 4 == 4:
        return to(d, INTERNET)
    return to(d, INTERNET, 6) if u8(rest, 0) >> 4 == 6 else OTHER


cdef int enter_ppp(dissection *d) noexcept nogil:
    """RFC 1661 and 1662: a protocol of one byte or two, behind address and control where the link is serial."""
    cdef octets *rest = &d.rest
    cdef uint32_t protocol
    if d.number == SERIAL:
        if u8(rest, 0) == 0xFF:
            skip(rest, 2)
        elif u8(rest, 0) == 0x0F or u8(rest, 0) == 0x8F:
            # Cisco's own way to use the same line
            if not has(rest, 4):
                return missing(d, 4)
            protocol = be16(rest, 2)
            skip(rest, 4)
            return to(d, ETHERTYPE, protocol)
    if not has(rest, 2):
        return missing(d, 2)
    protocol = u8(rest, 0)
    if protocol & 1:
        skip(rest, 1)
    else:
        protocol = be16(rest, 0)
        skip(rest, 2)
    if protocol == 0x21:
        return to(d, INTERNET)
    if protocol == 0x57:
        return to(d, INTERNET, 6)
    return to(d, MPLS) if protocol == 0x281 or protocol == 0x283 else OTHER


cdef int enter_frame_relay(dissection *d) noexcept nogil:
    """RFC 2427 section 4: an address, then what PPP's world calls an NLPID; Cisco's form has an EtherType instead."""
    cdef octets *rest = &d.rest
    cdef uint32_t size = 1, kind
    while size < 4 and has(rest, size) and not u8(rest, size - 1) & 1:
        size += 1
    if not has(rest, size + 3):
        return missing(d, size + 3)
    kind = be16(rest, 0) & 0xFCF0       # the circuit's number
    skip(rest, size)
    if u8(rest, 0) != 3:
        if size == 1 or kind == 0:
            return OTHER
        kind = be16(rest, 0)
        skip(rest, 2)
        return to(d, ETHERTYPE, kind)
    skip(rest, 2 if u8(rest, 1) == 0 else 1)
    kind = u8(rest, 0)
    skip(rest, 1)
    if kind == 0xCC:
        return to(d, INTERNET)
    if kind == 0x8E:
        return to(d, INTERNET, 6)
    if kind != 0x80 or not has(rest, 5):
        return OTHER
    kind = be16(rest, 3)
    size = be32(rest, 0) >> 8
    skip(rest, 5)
    if size == 0:
        return to(d, ETHERTYPE, kind)
    return to(d, ETHERNET) if size == 0x0080C2 and (kind == 1 or kind == 7) else OTHER
