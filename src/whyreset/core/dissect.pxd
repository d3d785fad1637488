"""A packet on its way from the outermost header to the TCP segment in it."""

from libc.stdint cimport uint8_t, uint16_t, uint32_t
from libc.string cimport memcpy

from whyreset.core.octets cimport octets

cdef enum layer:
    # what the rest begins with
    LINK            # `number` is a link type of tcpdump.org's registry
    ETHERNET
    ETHERTYPE       # the payload of `number`
    LLC
    MPLS
    PPP             # behind address and control where `number` is SERIAL
    FRAME_RELAY
    INTERNET        # IPv4 or IPv6, by its first four bits; nothing but IPv6 where `number` is 6
    PROTOCOL        # the payload of IP protocol `number`

cdef enum outcome:
    ONWARD          # there is another layer
    SEGMENT         # it begins with a TCP header, all of whose fixed fields up to the window are there
    OTHER           # no TCP
    # there may have been TCP, but it cannot be read
    CUT             # the snap length cut the headers
    MALFORMED
    FRAGMENT        # the rest of its datagram has not come (yet)
    UNKNOWN_LINK
    ENCRYPTED
    TOO_DEEP
    OUTCOMES

cdef enum tunnel_kind:
    GRE
    ERSPAN
    IPIP
    SIX_IN_FOUR
    FOUR_IN_SIX
    SIX_IN_SIX
    VXLAN
    GENEVE
    GTP_U
    TEREDO
    L2TP
    ETHER_IP
    LISP
    TZSP

cdef enum:
    MOST_TUNNELS = 4
    MOST_LAYERS = 512
    SERIAL = 1

cdef extern from *:
    uint32_t NO_ID "0xFFFFFFFFU"

cdef struct tunnel:
    uint8_t src[16]
    uint8_t dst[16]
    uint32_t id
    uint8_t family
    uint8_t kind

cdef struct dissection:
    octets rest
    octets others           # frames that came in the same packet and are still to be looked at
    int layer
    uint32_t number
    uint32_t interface      # by the link layer's own word; 0 where it says none
    uint32_t network        # the virtual network (VNI) of the innermost tunnel that has one
    uint16_t ip_id
    uint16_t vlan           # the innermost tag's
    uint8_t family
    uint8_t ttl
    uint8_t tunnels_used
    bint is_part            # the first fragment, of which the rest is not here
    bint was_in_pieces      # `rest` lies in the memory of fragments
    uint8_t src[16]
    uint8_t dst[16]
    tunnel tunnels[MOST_TUNNELS]


cdef inline int missing(const dissection *d, uint32_t size) noexcept nogil:
    """Why so many bytes are not there."""
    return CUT if d.rest.reported >= size else MALFORMED


cdef inline int to(dissection *d, int layer, uint32_t number=0) noexcept nogil:
    d.layer = layer
    d.number = number
    return ONWARD


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
