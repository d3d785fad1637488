from whyreset.core.dissect cimport dissection

cdef int enter_gre(dissection *d) noexcept nogil
cdef int enter_udp(dissection *d) noexcept nogil
