from whyreset.core.dissect cimport dissection
from whyreset.core.fragments cimport Fragments

cdef int enter_internet(dissection *d, Fragments fragments) noexcept nogil
cdef int enter_protocol(dissection *d, Fragments fragments) noexcept nogil
