# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""The tunnels in GRE and UDP. The innermost connection counts; what it was wrapped in is noted, from the outside in."""

from libc.stdint cimport uint8_t, uint32_t

from whyreset.core.dissect cimport *
from whyreset.core.octets cimport *

cdef enum:
    # EtherTypes
    IP_4 = 0x0800
    ERSPAN_3 = 0x22EB
    BRIDGED = 0x6558
    RELAYED = 0x6559
    PPP_TYPE = 0x880B
    REDIRECT = 0x883E
    MPLS_UNICAST = 0x8847
    MPLS_MULTICAST = 0x8848
    IP_6 = 0x86DD
    ERSPAN_2 = 0x88BE
    NSH = 0x894F

    # UDP ports
    L2TP_PORT = 1701
    GTP_CONTROL_PORT = 2123
    GTP_PORT = 2152
    GTP_OLD_PORT = 3386
    TEREDO_PORT = 3544
    LISP_PORT = 4341
    VXLAN_PORT = 4789
    VXLAN_GPE_PORT = 4790
    GENEVE_PORT = 6081
    MPLS_PORT = 6635
    TZSP_PORT = 37008


cdef int enter_gre(dissection *d) noexcept nogil:
    """RFC 2784 and 2890; RFC 2637 for PPP; what it carries by Wireshark's list."""
    cdef octets *rest = &d.rest
    cdef uint32_t flags, kind, size = 4, key = NO_ID
    # WCCP: an older form has no header of its own (draft-wilson-wrec-wccp-v2 section 4.12)
    cdef bint redirected = u8(rest, 4) >> 4 != 4
    if not has(rest, 4):
        return missing(d, 4)
    flags = be16(rest, 0)
    kind = be16(rest, 2)
    if flags & 0xC000:      # checksum or routing
        size += 4
    if flags & 0x2000:
        key = be32(rest, size)
        size += 4
    if flags & 0x1000:
        size += 4
    if kind == PPP_TYPE and flags & 0x0007 and flags & 0x0080:
        size += 4
    if flags & 0x4000:
        # source route entries to an empty one (RFC 1701)
        while has(rest, size + 4) and be32(rest, size) != 0:
            size += 4 + u8(rest, size + 3)
        size += 4
    if not has(rest, size):
        return missing(d, size)
    skip(rest, size)
    if kind == ERSPAN_2 or kind == ERSPAN_3:
        return enter_erspan(d, kind == ERSPAN_3 or flags & 0x1000 != 0)
    note(d, GRE, key)
    if kind == REDIRECT:
        if redirected:
            skip(rest, 4)
        return to(d, INTERNET)
    if kind == PPP_TYPE:
        return to(d, PPP, SERIAL)
    if kind == RELAYED:
        return to(d, FRAME_RELAY)
    if kind == IP_4 or kind == IP_6 or kind == BRIDGED or kind == MPLS_UNICAST or kind == MPLS_MULTICAST or kind == NSH:
        return to(d, ETHERTYPE, kind)
    return OTHER


cdef int enter_erspan(dissection *d, bint numbered) noexcept nogil:
    """draft-foschiano-erspan; the first type has no header of its own, and no sequence numbers."""
    cdef octets *rest = &d.rest
    cdef uint32_t size
    if not numbered:
        note(d, ERSPAN)
        return to(d, ETHERNET)
    if u8(rest, 0) >> 4 == 1:
        size = 8
    elif u8(rest, 0) >> 4 == 2:
        # frames other than Ethernet; a header of the platform's own
        if u8(rest, 10) & 0x7C:
            return OTHER
        size = 20 if u8(rest, 11) & 1 else 12
    else:
        return OTHER
    if not has(rest, size):
        return missing(d, size)
    note(d, ERSPAN, be16(rest, 2) & 0x3FF)
    skip(rest, size)
    return to(d, ETHERNET)


cdef int enter_udp(dissection *d) noexcept nogil:
    """RFC 768; what it carries is told by the lower port first, then by the other, as Wireshark does."""
    cdef octets *rest = &d.rest
    cdef uint32_t low, high, size
    cdef int found
    if not has(rest, 8):
        return missing(d, 8)
    low = min(be16(rest, 0), be16(rest, 2))
    high = max(be16(rest, 0), be16(rest, 2))
    size = be16(rest, 4)
    if size < 8 and (size or d.family == 4):    # 0 in jumbograms (RFC 2675)
        return MALFORMED
    if size:
        limit(rest, size)
    skip(rest, 8)
    found = enter_port(d, low)
    return found if found != OTHER else enter_port(d, high)


cdef int enter_port(dissection *d, uint32_t port) noexcept nogil:
    cdef octets *rest = &d.rest
    if port == VXLAN_PORT or port == VXLAN_GPE_PORT:
        return enter_vxlan(d, port == VXLAN_GPE_PORT)
    if port == GENEVE_PORT:
        return enter_geneve(d)
    if port == GTP_PORT or port == GTP_CONTROL_PORT or port == GTP_OLD_PORT:
        return enter_gtp(d)
    if port == TEREDO_PORT:
        return enter_teredo(d)
    if port == L2TP_PORT:
        return enter_l2tp(d)
    if port == MPLS_PORT:
        return to(d, MPLS)
    if port == LISP_PORT:           # RFC 9300 section 5
        if not has(rest, 9):
            return missing(d, 9)
        note(d, LISP)
        skip(rest, 8)
        return to(d, INTERNET)
    if port == TZSP_PORT:
        return enter_tzsp(d)
    return OTHER


cdef int enter_vxlan(dissection *d, bint generic) noexcept nogil:
    """RFC 7348; draft-ietf-nvo3-vxlan-gpe says what follows where that is not Ethernet."""
    cdef octets *rest = &d.rest
    cdef uint32_t next
    if not has(rest, 8):
        return missing(d, 8)
    next = u8(rest, 3) if generic else 3
    note(d, VXLAN, be32(rest, 4) >> 8)
    d.network = be32(rest, 4) >> 8
    skip(rest, 8)
    if next == 1:
        return to(d, INTERNET)
    if next == 2:
        return to(d, INTERNET, 6)
    if next == 3:
        return to(d, ETHERNET)
    if next == 4:
        return to(d, ETHERTYPE, NSH)
    return to(d, MPLS) if next == 5 else OTHER


cdef int enter_geneve(dissection *d) noexcept nogil:
    """RFC 8926."""
    cdef octets *rest = &d.rest
    cdef uint32_t size, kind
    if not has(rest, 8):
        return missing(d, 8)
    size = 8 + (u8(rest, 0) & 0x3F) * 4
    kind = be16(rest, 2)
    note(d, GENEVE, be32(rest, 4) >> 8)
    d.network = be32(rest, 4) >> 8
    if not has(rest, size):
        return missing(d, size)
    skip(rest, size)
    return to(d, ETHERTYPE, kind)


cdef int enter_gtp(dissection *d) noexcept nogil:
    """3GPP TS 29.281 section 5, and TS 09.60 for version 0: the user plane's packets (T-PDU, message 255)."""
    cdef octets *rest = &d.rest
    cdef uint32_t flags, size = 8, more
    if not has(rest, 8):
        return missing(d, 8)
    flags = u8(rest, 0)
    if flags >> 5 > 1 or not flags & 0x10 or u8(rest, 1) != 255:
        return OTHER
    note(d, GTP_U, be32(rest, 4) if flags >> 5 else NO_ID)
    if flags >> 5 == 0:
        size = 20
    else:
        limit(rest, 8 + be16(rest, 2))
        if flags & 7:
            size = 12
            more = u8(rest, 11) if flags & 4 else 0
            while more:
                more = u8(rest, size) * 4
                if more == 0 or not has(rest, size + more):
                    return missing(d, size + 4)
                size += more
                more = u8(rest, size - 1)
    if not has(rest, size + 1):
        return missing(d, size + 1)
    skip(rest, size)
    if u8(rest, 0) >> 4 == 4:
        return to(d, INTERNET)
    return to(d, INTERNET, 6) if u8(rest, 0) >> 4 == 6 else to(d, ETHERNET)


cdef int enter_teredo(dissection *d) noexcept nogil:
    """RFC 4380 section 5.1.1: perhaps an authentication, perhaps an origin, then IPv6."""
    cdef octets *rest = &d.rest
    cdef uint32_t size
    if has(rest, 4) and be16(rest, 0) == 1:
        size = 13 + u8(rest, 2) + u8(rest, 3)
        if not has(rest, size):
            return missing(d, size)
        skip(rest, size)
    if has(rest, 8) and be16(rest, 0) == 0:
        skip(rest, 8)
    if u8(rest, 0) >> 4 != 6:
        return OTHER
    note(d, TEREDO)
    return to(d, INTERNET, 6)


cdef int enter_l2tp(dissection *d) noexcept nogil:
    """RFC 2661 section 3.1: data messages of version 2, which carry PPP."""
    cdef octets *rest = &d.rest
    cdef uint32_t flags, size = 6
    if not has(rest, 6):
        return missing(d, 6)
    flags = be16(rest, 0)
    if flags & 0x800F != 2:
        return OTHER
    if flags & 0x4000:
        size += 2
    note(d, L2TP, be32(rest, size - 4))
    if flags & 0x0800:
        size += 4
    if flags & 0x0200:
        size += 2 + be16(rest, size)
    if not has(rest, size):
        return missing(d, size)
    skip(rest, size)
    return to(d, PPP, SERIAL)


cdef int enter_tzsp(dissection *d) noexcept nogil:
    """TaZmen Sniffer Protocol: what a router sends of what it sees; Ethernet behind tags that end with 1."""
    cdef octets *rest = &d.rest
    cdef uint32_t at = 4
    if not has(rest, 5):
        return missing(d, 5)
    if u8(rest, 0) != 1 or u8(rest, 1) > 1 or be16(rest, 2) != 1:
        return OTHER
    while has(rest, at + 1) and u8(rest, at) != 1:
        at += 1 if u8(rest, at) == 0 else 2 + u8(rest, at + 1)
    if not has(rest, at + 1):
        return missing(d, at + 1)
    note(d, TZSP)
    skip(rest, at + 1)
    return to(d, ETHERNET)
