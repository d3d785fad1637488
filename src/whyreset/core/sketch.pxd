"""How many different values there were, by their hashes: Flajolet and others, «HyperLogLog: the analysis of a near-optimal
cardinality estimation algorithm» (2007). 2 ** bits registers, all 0 at first; the standard error is 1.04 / 2 ** (bits / 2).
"""

from libc.math cimport ldexp, log
from libc.stdint cimport uint8_t, uint64_t

cdef extern from * nogil:
    int __builtin_clzll(unsigned long long)


cdef inline void sketch_add(uint8_t *registers, int bits, uint64_t h) noexcept nogil:
    """The upper bits of a hash choose a register, which keeps the longest run of zeros of the others."""
    cdef uint8_t rank = <uint8_t>(__builtin_clzll((h << bits) | (<uint64_t>1 << (bits - 1))) + 1)
    cdef uint64_t which = h >> (64 - bits)
    if rank > registers[which]:
        registers[which] = rank


cdef inline double sketch_count(const uint8_t *registers, int bits) noexcept nogil:
    cdef double total = 0, number = 1 << bits, estimate
    cdef int i, zeros = 0
    for i in range(1 << bits):
        total += ldexp(1.0, -<int>registers[i])
        zeros += registers[i] == 0
    estimate = 0.7213 / (1 + 1.079 / number) * number * number / total
    # few are counted by the registers that stayed empty (linear counting)
    return number * log(number / zeros) if estimate <= 2.5 * number and zeros else estimate
