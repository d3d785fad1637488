"""Packets as a packet socket shows them, and those who take them."""

from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t

cdef enum:
    # sll_pkttype: include/uapi/linux/if_packet.h
    TO_US = 0
    TO_OTHERS = 3           # it came in, for another host
    OUTGOING = 4
    COPIED = 255            # no packet socket's: the kernel program copied it, where it provoked a reset

    NO_LINK = 0xFFFF        # no bytes that anybody here can read

cdef struct frame:          # one packet; its bytes are valid during the call
    uint64_t time_ns        # since the epoch
    const uint8_t *at
    uint32_t captured       # bytes that are there
    uint32_t length         # bytes that it had on the wire
    uint32_t ifindex
    uint16_t link           # by tcpdump.org's registry: Ethernet, IPv4 or IPv6 alone; NO_LINK
    uint16_t tag            # of a VLAN that the device took off; 0 where `tag_type` is
    uint16_t tag_type       # its EtherType; 0: there was none
    uint8_t direction       # sll_pkttype

cdef class Sink:
    cdef void take(self, const frame *f) noexcept nogil
    cdef void settle(self) noexcept nogil   # the bytes of all packets before stay until this returns

cdef class Tap:
    cdef uint8_t *mapped
    cdef uint64_t mapped_bytes
    cdef uint32_t block_bytes
    cdef uint32_t blocks
    cdef uint32_t next      # the block that is read next
    cdef readonly uint64_t packets
    cdef readonly uint64_t misread
    cdef int walk(self, uint8_t *block, list sinks) except -1
    cdef bint read(self, const uint8_t *block, uint32_t at, uint32_t limit, frame *f) noexcept nogil
