from whyreset.core.dissect cimport dissection

cdef int enter_frame(dissection *d) noexcept nogil
