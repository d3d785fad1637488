# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""A bounded account of many addresses: the most frequent exactly or nearly so, and how many there were.

Most frequent: Metwally, Agrawal, El Abbadi, «Efficient computation of frequent and top-k elements» (space saving).
How many: Flajolet and others, «HyperLogLog» (2007); 256 registers, standard error 1.04 / 16 = 6.5 %.
"""

from libc.math cimport log, ldexp
from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.string cimport memcmp, memcpy

from whyreset.core.hashing cimport hash_address

cdef extern from * nogil:
    int __builtin_clzll(unsigned long long)


cdef void remotes_add(remotes *r, uint64_t seed, uint8_t family, const uint8_t *address) noexcept nogil:
    cdef uint64_t h = hash_address(address, seed)
    cdef uint8_t rank
    rank = <uint8_t>(__builtin_clzll((h << 8) | 0x80) + 1)
    if rank > r.registers[h >> 56]:
        r.registers[h >> 56] = rank
    frequent_add(&r.top, family, address)


cdef void frequent_add(frequent *r, uint8_t family, const uint8_t *address) noexcept nogil:
    cdef uint32_t i, least = 0
    for i in range(r.used):
        if memcmp(r.addresses[i], address, 16) == 0 and r.families[i] == family:
            r.counts[i] += 1
            return
        if r.counts[i] < r.counts[least]:
            least = i
    if r.used < TOP:
        least = r.used
        r.used += 1
        r.counts[least] = 0
    else:
        r.overflowed = 1
    memcpy(r.addresses[least], address, 16)
    r.families[least] = family
    r.counts[least] += 1


cdef double remotes_distinct(const remotes *r) noexcept nogil:
    cdef double total = 0, estimate
    cdef int i, zeros = 0
    if not r.top.overflowed:
        return r.top.used
    for i in range(REGISTERS):
        total += ldexp(1.0, -<int>r.registers[i])
        zeros += r.registers[i] == 0
    estimate = 0.7213 / (1 + 1.079 / REGISTERS) * REGISTERS * REGISTERS / total
    if estimate <= 2.5 * REGISTERS and zeros:
        estimate = REGISTERS * log(<double>REGISTERS / zeros)
    # one more than is listed was seen for certain
    return max(estimate, TOP + 1)
