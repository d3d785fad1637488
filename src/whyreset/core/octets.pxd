"""Bytes of untrusted captures, read with every access checked: what lies beyond the end reads as 0.

Whoever must tell a 0 from an absence asks `has` first; the compiler then drops the checks that this makes needless.
"""

from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memcpy

cdef extern from * nogil:
    """
    #define whyreset_prefetch(p) __builtin_prefetch(p, 1)
    """
    uint16_t __builtin_bswap16(uint16_t)
    uint32_t __builtin_bswap32(uint32_t)
    uint64_t __builtin_bswap64(uint64_t)
    void prefetch "whyreset_prefetch"(const void *)
    bint likely "__builtin_expect"(bint, bint)

cdef struct octets:
    const uint8_t *at
    uint32_t length     # that were captured
    uint32_t reported   # that there were on the wire, by what the headers outside say; may be less than `length`


cdef inline bint has(const octets *o, uint32_t size) noexcept nogil:
    """Whether so many bytes are there, and belong to it."""
    return o.length >= size and o.reported >= size


cdef inline uint8_t u8(const octets *o, uint32_t offset) noexcept nogil:
    return o.at[offset] if offset < o.length else 0


cdef inline uint16_t raw16(const octets *o, uint32_t offset) noexcept nogil:
    cdef uint16_t value = 0
    if o.length >= 2 and offset <= o.length - 2:
        memcpy(&value, o.at + offset, 2)
    return value


cdef inline uint32_t raw32(const octets *o, uint32_t offset) noexcept nogil:
    cdef uint32_t value = 0
    if o.length >= 4 and offset <= o.length - 4:
        memcpy(&value, o.at + offset, 4)
    return value


cdef inline uint64_t raw64(const octets *o, uint32_t offset) noexcept nogil:
    cdef uint64_t value = 0
    if o.length >= 8 and offset <= o.length - 8:
        memcpy(&value, o.at + offset, 8)
    return value


# network order; the processors that this runs on (x86-64, arm64) are little-endian
cdef inline uint16_t be16(const octets *o, uint32_t offset) noexcept nogil:
    return __builtin_bswap16(raw16(o, offset))


cdef inline uint32_t be32(const octets *o, uint32_t offset) noexcept nogil:
    return __builtin_bswap32(raw32(o, offset))


cdef inline uint16_t le16(const octets *o, uint32_t offset) noexcept nogil:
    return raw16(o, offset)


cdef inline uint32_t le32(const octets *o, uint32_t offset) noexcept nogil:
    return raw32(o, offset)


cdef inline void copy(const octets *o, uint32_t offset, void *to, uint32_t size) noexcept nogil:
    """`size` bytes, or none when they are not all there."""
    if size <= o.length and offset <= o.length - size:
        memcpy(to, o.at + offset, size)


cdef inline void skip(octets *o, uint32_t size) noexcept nogil:
    """Moves on, to the end at most."""
    cdef uint32_t captured = size if size < o.length else o.length
    o.at += captured
    o.length -= captured
    o.reported -= size if size < o.reported else o.reported


cdef inline void limit(octets *o, uint32_t size) noexcept nogil:
    """Forgets what lies beyond `size`."""
    if size < o.length:
        o.length = size
    if size < o.reported:
        o.reported = size
