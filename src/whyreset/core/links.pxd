from whyreset.core.dissect cimport dissection

cdef int enter_link(dissection *d) noexcept nogil
