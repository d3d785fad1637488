# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""IPv4, IPv6 and its extension headers, and the tunnels in which a connection may travel.

The innermost connection counts; what it was wrapped in is noted from the outside in. What an ICMP error quotes is no
packet, so ICMP ends the way.
"""

from libc.stdint cimport uint8_t, uint16_t, uint32_t
from libc.string cimport memcpy, memset

from whyreset.core.dissect cimport *
from whyreset.core.fragments cimport Fragments
from whyreset.core.octets cimport *

cdef enum:
    # IP protocols
    HOP_BY_HOP = 0
    IP_IN_IP = 4
    TCP = 6
    UDP = 17
    IPV6_IN_IP = 41
    ROUTING = 43
    IPV6_FRAGMENT = 44
    GENERIC_ROUTING = 47
    SECURITY_PAYLOAD = 50
    AUTHENTICATION = 51
    DESTINATION_OPTIONS = 60
    ETHERNET_IN_IP = 97
    MOBILITY = 135
    MPLS_IN_IP = 137
    HOST_IDENTITY = 139
    SHIM6 = 140

    # EtherTypes in GRE
    ERSPAN_TYPE = 0x88BE
    ERSPAN_3 = 0x22EB
    REDIRECT = 0x883E
    PPP_TYPE = 0x880B

    # UDP ports
    L2TP_PORT = 1701
    GTP_PORT = 2152
    TEREDO_PORT = 3544
    VXLAN_PORT = 4789
    VXLAN_GPE_PORT = 4790
    GENEVE_PORT = 6081
    MPLS_PORT = 6635


cdef int enter_internet(dissection *d, Fragments fragments) noexcept nogil:
    """IPv4 or IPv6, up to the protocol within."""
    cdef octets *rest = &d.rest
    cdef uint32_t version
    if not has(rest, 1):
        return missing(d, 1)
    version = u8(rest, 0) >> 4
    d.is_part = False
    if version == 4:
        return enter_ipv4(d, fragments)
    if version == 6:
        return enter_ipv6(d, fragments)
    return MALFORMED


cdef int enter_ipv4(dissection *d, Fragments fragments) noexcept nogil:
    """RFC 791."""
    cdef octets *rest = &d.rest
    cdef uint32_t header, total, fragment
    cdef uint8_t protocol
    cdef int found
    if not has(rest, 20):
        return missing(d, 20)
    header = (u8(rest, 0) & 15) * 4
    total = be16(rest, 2)
    if total == 0:      # left to the network card, which cuts it into segments
        total = rest.reported
    if header < 20 or total < header:
        return MALFORMED
    limit(rest, total)
    if not has(rest, header):
        return missing(d, header)
    fragment = be16(rest, 6)
    protocol = u8(rest, 9)
    d.family = 4
    d.ttl = u8(rest, 8)
    d.ip_id = be16(rest, 4)
    memset(d.src, 0, 16)
    memset(d.dst, 0, 16)
    copy(rest, 12, d.src, 4)
    copy(rest, 16, d.dst, 4)
    skip(rest, header)
    if fragment & 0x3FFF:
        # as Wireshark: a piece that was cut is taken for what it is
        if rest.length >= rest.reported and rest.reported:
            found = fragments.add(d, d.ip_id, protocol, (fragment & 0x1FFF) * 8, fragment & 0x2000 != 0)
            if found != ONWARD:
                return found
        elif fragment & 0x1FFF:
            return FRAGMENT
        else:
            d.is_part = True
    return to(d, PROTOCOL, protocol)


cdef int enter_ipv6(dissection *d, Fragments fragments) noexcept nogil:
    """RFC 8200, with its extension headers."""
    cdef octets *rest = &d.rest
    cdef uint32_t payload, size
    cdef uint8_t next
    cdef int i
    if not has(rest, 40):
        return missing(d, 40)
    payload = be16(rest, 4)
    next = u8(rest, 6)
    d.family = 6
    d.ttl = u8(rest, 7)
    d.ip_id = 0
    copy(rest, 8, d.src, 16)
    copy(rest, 24, d.dst, 16)
    skip(rest, 40)
    # 0: a jumbogram (RFC 2675), or left to the network card
    if payload:
        limit(rest, payload)
    for i in range(MOST_LAYERS):
        if next == IPV6_FRAGMENT:
            return enter_ipv6_fragment(d, fragments)
        if next == HOP_BY_HOP or next == ROUTING or next == DESTINATION_OPTIONS or next == MOBILITY or next == HOST_IDENTITY or next == SHIM6:
            size = (u8(rest, 1) + 1) * 8
        elif next == AUTHENTICATION:
            size = (u8(rest, 1) + 2) * 4
        else:
            return to(d, PROTOCOL, next)
        if not has(rest, size):
            return missing(d, size)
        next = u8(rest, 0)
        skip(rest, size)
    return TOO_DEEP


cdef int enter_ipv6_fragment(dissection *d, Fragments fragments) noexcept nogil:
    """RFC 8200 section 4.5; a fragment that is all of its datagram is none (RFC 6946)."""
    cdef octets *rest = &d.rest
    cdef uint32_t place, id
    cdef uint8_t next
    cdef int found
    if not has(rest, 8):
        return missing(d, 8)
    next = u8(rest, 0)
    place = be16(rest, 2)
    id = be32(rest, 4)
    skip(rest, 8)
    if place & 0xFFF9:
        if rest.length >= rest.reported and rest.reported:
            found = fragments.add(d, id, next, place & 0xFFF8, place & 1)
            if found != ONWARD:
                return found
        elif place & 0xFFF8:
            return FRAGMENT
        else:
            d.is_part = True
    return to(d, PROTOCOL, next)


cdef inline void note(dissection *d, int kind, uint32_t id=NO_ID) noexcept nogil:
    """A tunnel begins, between the ends of the last IP header; those beyond the room are entered, but not noted."""
    cdef tunnel *into
    if d.tunnels_used < MOST_TUNNELS:
        into = &d.tunnels[d.tunnels_used]
        memcpy(into.src, d.src, 16)
        memcpy(into.dst, d.dst, 16)
        into.family = d.family
        into.kind = kind
        into.id = id
        d.tunnels_used += 1


cdef int enter_protocol(dissection *d) noexcept nogil:
    """What IP carries."""
    cdef octets *rest = &d.rest
    cdef uint32_t size, protocol = d.number
    if protocol == TCP:
        # as Wireshark, which tells the flags once it has read the window
        if not has(rest, 16):
            return missing(d, 16)
        return SEGMENT if u8(rest, 12) >> 4 >= 5 else MALFORMED
    if protocol == UDP:
        return enter_udp(d)
    if protocol == IP_IN_IP or protocol == IPV6_IN_IP:
        if protocol == IP_IN_IP:
            note(d, IPIP if d.family == 4 else FOUR_IN_SIX)
        else:
            note(d, SIX_IN_FOUR if d.family == 4 else SIX_IN_SIX)
        return to(d, INTERNET)
    if protocol == GENERIC_ROUTING:
        return enter_gre(d)
    if protocol == AUTHENTICATION:
        size = (u8(rest, 1) + 2) * 4
        if not has(rest, size):
            return missing(d, size)
        protocol = u8(rest, 0)
        skip(rest, size)
        return to(d, PROTOCOL, protocol)
    if protocol == SECURITY_PAYLOAD:
        return ENCRYPTED
    if protocol == MPLS_IN_IP:
        return to(d, MPLS)
    if protocol == ETHERNET_IN_IP:
        if not has(rest, 2):
            return missing(d, 2)
        note(d, ETHER_IP)
        skip(rest, 2)
        return to(d, ETHERNET)
    return OTHER


cdef int enter_gre(dissection *d) noexcept nogil:
    """RFC 2784 and 2890; RFC 2637 for PPP; ERSPAN as in draft-foschiano-erspan."""
    cdef octets *rest = &d.rest
    cdef uint32_t flags, kind, size = 4, key = NO_ID
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
    if flags & 0x0007 == 1 and flags & 0x0080:
        size += 4
    if flags & 0x4000:
        # source route entries to an empty one (RFC 1701)
        while has(rest, size + 4) and be32(rest, size) != 0:
            size += 4 + u8(rest, size + 3)
        size += 4
    if not has(rest, size):
        return missing(d, size)
    skip(rest, size)
    if kind == ERSPAN_TYPE:
        # type I has no header of its own, and no sequence numbers
        if not flags & 0x1000:
            note(d, ERSPAN)
            return to(d, ETHERNET)
        if not has(rest, 8):
            return missing(d, 8)
        note(d, ERSPAN, be16(rest, 2) & 0x3FF)
        skip(rest, 8)
        return to(d, ETHERNET)
    if kind == ERSPAN_3:
        if not has(rest, 12):
            return missing(d, 12)
        note(d, ERSPAN, be16(rest, 2) & 0x3FF)
        skip(rest, 12 if not u8(rest, 11) & 1 else 20)
        return to(d, ETHERNET)
    note(d, GRE, key)
    if kind == REDIRECT:
        # WCCP: an older form has no header of its own
        if u8(rest, 0) >> 4 != 4:
            skip(rest, 4)
        return to(d, INTERNET)
    return to(d, ETHERTYPE, kind)


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
    if size < 8 and (size or rest.reported <= 65535):
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
    if port == GTP_PORT:
        return enter_gtp(d)
    if port == TEREDO_PORT:
        return enter_teredo(d)
    if port == L2TP_PORT:
        return enter_l2tp(d)
    if port == MPLS_PORT:
        return to(d, MPLS)
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
    if next == 1 or next == 2:
        return to(d, INTERNET)
    if next == 3:
        return to(d, ETHERNET)
    if next == 5:
        return to(d, MPLS)
    return OTHER


cdef int enter_geneve(dissection *d) noexcept nogil:
    """RFC 8926."""
    cdef octets *rest = &d.rest
    cdef uint32_t size, kind
    if not has(rest, 8):
        return missing(d, 8)
    if u8(rest, 0) >> 6:
        return OTHER
    size = 8 + (u8(rest, 0) & 0x3F) * 4
    kind = be16(rest, 2)
    note(d, GENEVE, be32(rest, 4) >> 8)
    d.network = be32(rest, 4) >> 8
    if not has(rest, size):
        return missing(d, size)
    skip(rest, size)
    return to(d, ETHERTYPE, kind)


cdef int enter_gtp(dissection *d) noexcept nogil:
    """3GPP TS 29.281 section 5: the user plane's packets (T-PDU, message 255)."""
    cdef octets *rest = &d.rest
    cdef uint32_t flags, size = 8, more
    if not has(rest, 8):
        return missing(d, 8)
    flags = u8(rest, 0)
    if flags >> 5 != 1 or not flags & 0x10 or u8(rest, 1) != 255:
        return OTHER
    note(d, GTP_U, be32(rest, 4))
    if flags & 7:
        size = 12
        more = u8(rest, 11) if flags & 4 else 0
        while more:
            more = u8(rest, size) * 4
            if more == 0 or not has(rest, size + more):
                return missing(d, size + 4)
            size += more
            more = u8(rest, size - 1)
    if not has(rest, size):
        return missing(d, size)
    skip(rest, size)
    return to(d, INTERNET)


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
    return to(d, INTERNET)


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
    return to(d, PPP)
