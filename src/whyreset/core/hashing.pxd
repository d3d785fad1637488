"""Hashes for tables and accounts: seeded, so that nobody can aim."""

from libc.stdint cimport uint8_t, uint64_t
from libc.string cimport memcpy

cdef extern from * nogil:
    """
    static inline uint64_t whyreset_fold(uint64_t a, uint64_t b) {
        unsigned __int128 product = (unsigned __int128)a * b;
        return (uint64_t)product ^ (uint64_t)(product >> 64);
    }
    """
    # the folded multiplication of wyhash; the halves of each product are secret
    uint64_t fold "whyreset_fold"(uint64_t, uint64_t)


cdef inline uint64_t hash_address(const uint8_t *address, uint64_t seed) noexcept nogil:
    """Of 16 bytes; every bit of them bears on every bit of it, so that neighbours are far from each other."""
    cdef uint64_t words[2]
    memcpy(words, address, 16)
    seed = fold(words[0] ^ seed, words[1] ^ 0x9E3779B97F4A7C15ULL ^ (seed << 1))
    return fold(seed ^ 0xD6E8FEB86659FD93ULL, 0xA0761D6478BD642FULL)
