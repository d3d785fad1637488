from libc.stdint cimport uint8_t, uint16_t, uint32_t

from whyreset.core.alike cimport Alike
from whyreset.core.connections cimport connection, seen, segment
from whyreset.core.dissect cimport tunnel
from whyreset.core.formats cimport Names
from whyreset.core.waiting cimport sighting, traits

cdef tuple tunnels_value(const tunnel *tunnels, int used)

cdef class Builder:
    cdef Names names
    cdef list bases
    cdef dict traits_known
    cdef dict extras
    cdef object observe(self, const sighting *x)
    cdef object group(self, Alike groups, int number)
    cdef object single(self, const sighting *x)
    cdef object traits_of(self, const traits *t)
    cdef tuple file_and_frame(self, uint32_t frame)
    cdef object step_of(self, const segment *s)
    cdef object segment_of(self, const seen *s)
    cdef object side_of(self, const connection *c, int which, uint8_t fin, bint outstanding)
    cdef str history_of(self, const sighting *x)
    cdef str last_letter(self, const sighting *x, uint8_t upper)
    cdef object earlier_of(self, const sighting *x)
