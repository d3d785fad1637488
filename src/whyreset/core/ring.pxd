from libc.stdint cimport uint32_t, uint64_t

cdef class Ring:
    cdef unsigned char *pages
    cdef unsigned char *data
    cdef uint64_t *consumer
    cdef uint64_t *producer
    cdef uint64_t mask
    cdef size_t mapped
    cdef uint64_t position(self) noexcept nogil
    cdef uint64_t available(self) noexcept nogil
    cdef void *at(self, uint64_t *position, uint64_t end, uint32_t *length) noexcept nogil
    cdef void release(self, uint64_t position) noexcept nogil
    cdef void prefetch(self, uint64_t position) noexcept nogil
