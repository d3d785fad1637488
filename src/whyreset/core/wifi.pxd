from whyreset.core.dissect cimport dissection

cdef int enter_radiotap(dissection *d) noexcept nogil
cdef int enter_wifi(dissection *d, bint padded, bint checked) noexcept nogil
cdef int enter_aggregated(dissection *d) noexcept nogil
