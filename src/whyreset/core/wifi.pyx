# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""IEEE 802.11, with radiotap's header or without: down to LLC."""

from libc.stdint cimport uint8_t, uint32_t

from whyreset.core.dissect cimport *
from whyreset.core.octets cimport *


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
    """IEEE 802.11 section 9.3.2: data frames that are not encrypted."""
    cdef octets *rest = &d.rest
    cdef uint32_t control, header = 24
    cdef uint8_t mesh
    cdef uint16_t quality = 0
    if not has(rest, 24):
        return missing(d, 24)
    control = le16(rest, 0)
    # data frames that carry data (not null functions)
    if control & 3 or (control >> 2) & 3 != 2 or control & 0x40:
        return OTHER
    if control & 0x4000:
        return ENCRYPTED
    # frames in pieces, which nobody sends any more, are not put together
    if control & 0x0400 or le16(rest, 22) & 0xF:
        return FRAGMENT
    if control & 0x0300 == 0x0300:
        header += 6
    if control & 0x80:
        quality = le16(rest, header)
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
    if quality & 0x80:
        d.others = rest[0]
        return enter_aggregated(d)
    if quality & 0x100 and control & 0x0200:
        mesh = u8(rest, 0)
        skip(rest, 6 + 6 * (mesh & 3))
    return to(d, LLC)


cdef int enter_aggregated(dissection *d) noexcept nogil:
    """The next of the frames in an A-MSDU (IEEE 802.11 section 9.3.2.2.2)."""
    cdef octets *rest = &d.rest
    cdef uint32_t size
    rest[0] = d.others
    if not has(rest, 14):
        d.others.length = 0
        return missing(d, 14)
    size = be16(rest, 12)
    skip(&d.others, (14 + size + 3) & <uint32_t>~3)
    skip(rest, 14)
    limit(rest, size)
    return to(d, LLC)
