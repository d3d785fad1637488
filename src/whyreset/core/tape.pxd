"""A bounded ring of packets in memory."""

from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t

from whyreset.core.taps cimport Sink, frame

cdef struct entry:          # before each packet's bytes; whole entries are multiples of 8 bytes
    uint32_t size           # of the entry
    uint32_t captured       # NO_PACKET: up to the end of the ring there is none, not even the rest of this
    uint64_t time_ns
    uint64_t seen_ns
    uint32_t length
    uint32_t ifindex
    uint32_t place
    uint16_t link
    uint8_t direction

cdef class Tape:
    cdef uint8_t *ring
    cdef readonly uint64_t size
    cdef uint64_t head      # where the oldest begins, and where the next one goes: they count on without end
    cdef uint64_t tail
    cdef uint32_t snap
    cdef public uint64_t seen_ns
    cdef readonly uint64_t count
    cdef readonly uint64_t overwritten
    cdef readonly uint64_t unreadable
    cdef void add(self, const frame *f, uint32_t place) noexcept nogil
    cdef void make_room(self, uint64_t size) noexcept nogil
    cdef void forget(self) noexcept nogil
    cdef entry *at(self, uint64_t offset) noexcept nogil
    cdef object value_of(self, const entry *e)

cdef class Channel(Sink):
    cdef Tape tape
    cdef readonly uint32_t place
