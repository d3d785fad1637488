from whyreset.core.connections cimport connection, segment
from whyreset.core.waiting cimport sighting

cdef void judge(sighting *x, const connection *row, const segment *s) noexcept nogil
cdef void judge_later(sighting *x, const connection *row) noexcept nogil
