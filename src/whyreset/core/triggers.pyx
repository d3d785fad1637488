# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""Segments that provoked resets, as the kernel program copied a sample of them, on their way to a tape."""

from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t

from whyreset.core.events cimport TRIGGER_BYTES, trigger_event
from whyreset.core.ring cimport Ring
from whyreset.core.tape cimport Tape
from whyreset.core.taps cimport COPIED, frame

cdef enum:
    IPV4 = 228          # link types
    IPV6 = 229
    NAMES = 1024


cdef class Triggers:
    """See triggers.pyi."""

    cdef Ring ring
    cdef readonly uint64_t segments
    cdef readonly uint64_t misread
    cdef readonly dict names

    def __cinit__(self, Ring ring not None):
        self.ring, self.names = ring, {}

    def drain(self, Tape tape, uint64_t epoch_ns):
        """Takes what has come."""
        cdef uint64_t position = self.ring.position(), end = self.ring.available(), before = self.segments
        cdef uint32_t length = 0
        cdef const trigger_event *e
        cdef frame f
        while True:
            e = <const trigger_event *>self.ring.at(&position, end, &length)
            if e == NULL:
                break
            if length != sizeof(trigger_event) or not self.read(e, epoch_ns, &f):
                self.misread += 1
                continue
            self.segments += 1
            if tape is not None:
                tape.add(&f, e.netns_inode)
                self.name(e)
        self.ring.release(position)
        return self.segments - before

    cdef bint read(self, const trigger_event *e, uint64_t epoch_ns, frame *f) noexcept nogil:
        """One segment; False where what was copied cannot be one."""
        cdef uint8_t version = e.data[0] >> 4
        if e.captured < 20 or e.captured > TRIGGER_BYTES or (version != 4 and version != 6):
            return False
        f.time_ns = e.time_ns + epoch_ns
        f.at = <const uint8_t *>e.data
        f.captured = min(e.captured, e.length)
        f.length = e.length
        f.ifindex = e.ifindex
        f.link = IPV4 if version == 4 else IPV6
        f.tag = f.tag_type = 0
        f.direction = COPIED
        return True

    cdef int name(self, const trigger_event *e) except -1:
        cdef bytes name = e.interface[:16]
        key = e.netns_inode, e.ifindex
        if len(self.names) >= NAMES and key not in self.names:
            self.names.clear()
        self.names[key] = name.partition(b"\0")[0].decode("utf-8", "backslashreplace")
        return 0
