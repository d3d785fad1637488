from libc.stdint cimport uint8_t, uint64_t

from whyreset.core.connections cimport connection, segment

cdef bint begins_anew(const connection *row, const segment *s) noexcept nogil
cdef void open_connection(connection *row, const segment *s, uint64_t number, uint8_t kind, int before, bint lost) noexcept nogil
cdef void follow(connection *row, const segment *s) noexcept nogil
cdef void follow_reset(connection *row, const segment *s) noexcept nogil
cdef int ending_of(const connection *row) noexcept nogil
cdef uint8_t kind_of(const connection *row) noexcept nogil
cdef uint64_t silence_ns(const connection *row, uint64_t time_ns) noexcept nogil
