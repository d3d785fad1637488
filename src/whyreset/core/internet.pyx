# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""IPv4, IPv6 with its extension headers, and what they carry. What an ICMP error quotes is no packet: ICMP ends the way."""

from libc.stdint cimport uint8_t, uint32_t
from libc.string cimport memset

from whyreset.core.dissect cimport *
from whyreset.core.fragments cimport Fragments
from whyreset.core.octets cimport *
from whyreset.core.tunnels cimport enter_gre, enter_udp

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
    UDP_LITE = 136
    MPLS_IN_IP = 137
    SHIM6 = 140


cdef int enter_internet(dissection *d, Fragments fragments) noexcept nogil:
    """IPv4 or IPv6, up to the protocol within."""
    cdef octets *rest = &d.rest
    cdef uint32_t version
    if not has(rest, 1):
        return missing(d, 1)
    version = u8(rest, 0) >> 4
    d.is_part = False
    if version == 4 and d.number != 6:
        return enter_ipv4(d, fragments)
    if version == 6:
        return enter_ipv6(d)
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


cdef int enter_ipv6(dissection *d) noexcept nogil:
    """RFC 8200."""
    cdef octets *rest = &d.rest
    cdef uint32_t payload
    cdef uint8_t next
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
    # a jumbogram (RFC 2675), as Linux writes it: the option comes first
    if payload == 0 and next == HOP_BY_HOP and be16(rest, 2) == 0xC204 and be32(rest, 4) > 65535:
        payload = be32(rest, 4)
    limit(rest, payload)
    return to(d, PROTOCOL, next)


cdef int enter_extension(dissection *d, Fragments fragments) noexcept nogil:
    """IPv6's extension headers (RFC 8200 section 4); SHIM6's payload extension (RFC 5533 section 5.2)."""
    cdef octets *rest = &d.rest
    cdef uint32_t size = (u8(rest, 1) + 1) * 8
    cdef uint8_t next = u8(rest, 0)
    if d.number == IPV6_FRAGMENT:
        return enter_ipv6_fragment(d, fragments)
    if d.number == SHIM6 and size != 8:
        return OTHER
    if not has(rest, size):
        return missing(d, size)
    skip(rest, size)
    return to(d, PROTOCOL, next)


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


cdef int enter_protocol(dissection *d, Fragments fragments) noexcept nogil:
    """What IP carries."""
    cdef octets *rest = &d.rest
    cdef uint32_t size, protocol = d.number
    if protocol == TCP:
        # as Wireshark, which tells the flags once it has read the window
        if not has(rest, 16):
            return missing(d, 16)
        return SEGMENT if u8(rest, 12) >> 4 >= 5 else MALFORMED
    if protocol == UDP or protocol == UDP_LITE:
        return enter_udp(d)
    if protocol == IP_IN_IP:
        note(d, IPIP if d.family == 4 else FOUR_IN_SIX)
        return to(d, INTERNET)
    if protocol == IPV6_IN_IP:
        note(d, SIX_IN_FOUR if d.family == 4 else SIX_IN_SIX)
        return to(d, INTERNET, 6)
    if protocol == GENERIC_ROUTING:
        return enter_gre(d)
    if d.family == 6 and (protocol == HOP_BY_HOP or protocol == ROUTING or protocol == IPV6_FRAGMENT or protocol == DESTINATION_OPTIONS or protocol == SHIM6):
        return enter_extension(d, fragments)
    if protocol == AUTHENTICATION:      # RFC 4302 section 2.2
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
    if protocol == ETHERNET_IN_IP:      # RFC 3378
        if not has(rest, 2):
            return missing(d, 2)
        note(d, ETHER_IP)
        skip(rest, 2)
        return to(d, ETHERNET)
    return OTHER
