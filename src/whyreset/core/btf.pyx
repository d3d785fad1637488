# cython: language_level=3, boundscheck=False, wraparound=False
"""Names of the running kernel, from its BTF (Documentation/bpf/btf.rst): reasons, states and counters, functions."""

from libc.stdint cimport uint8_t, uint16_t, uint32_t
from libc.string cimport memcpy, strlen, memchr

cdef extern from *:
    """
    struct btf_header_v1 { uint16_t magic; uint8_t version; uint8_t flags; uint32_t hdr_len, type_off, type_len, str_off, str_len; };
    """
    struct btf_header_v1:
        uint16_t magic
        uint32_t hdr_len, type_off, type_len, str_off, str_len

# bytes that follow each kind's type: a fixed part, and one for each of its vlen members
cdef Py_ssize_t FIXED[20]
cdef Py_ssize_t EACH[20]
FIXED[:] = [0, 4, 0, 12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 0, 0, 4, 0, 0]
EACH[:] = [0, 0, 0, 0, 12, 12, 8, 0, 0, 0, 0, 0, 0, 8, 0, 12, 0, 0, 0, 12]
cdef int ENUM = 6
cdef int FUNC = 12


cdef struct sections:
    Py_ssize_t types, types_end, strings, strings_end


cdef sections sections_of(bytes blob) except *:
    cdef btf_header_v1 header
    cdef Py_ssize_t size = len(blob)
    cdef const unsigned char *data = blob
    cdef sections s
    if size < <Py_ssize_t>sizeof(btf_header_v1):
        raise ValueError("not BTF: too short")
    memcpy(&header, data, sizeof(btf_header_v1))
    if header.magic != 0xEB9F:
        raise ValueError("not BTF: wrong magic number")
    s.types = <Py_ssize_t>header.hdr_len + header.type_off
    s.types_end = s.types + header.type_len
    s.strings = <Py_ssize_t>header.hdr_len + header.str_off
    s.strings_end = s.strings + header.str_len
    if s.types_end > size or s.strings_end > size:
        raise ValueError("not BTF: sections beyond the end")
    return s


cdef dict offsets_of(bytes table, names):
    """The names by their offset among the strings, so that a walk compares numbers."""
    cdef dict wanted = {}
    for name in names:
        at = table.find(b"\0" + name.encode() + b"\0")
        if at >= 0:
            wanted[at + 1] = name
    return wanted


def enums(bytes blob, names):
    """The enumerations that hold one of `names`: {enumerator: value} of each, by that name. Absent ones are left out.

    Args:
        blob: contents of /sys/kernel/btf/vmlinux.
    Raises:
        ValueError: the bytes are not BTF.
    """
    cdef sections s = sections_of(blob)
    cdef Py_ssize_t offset = s.types, i, vlen
    cdef const unsigned char *data = blob
    cdef uint32_t words[3]
    cdef uint32_t member[2]
    cdef int kind
    cdef bytes table = blob[s.strings:s.strings_end]
    cdef dict wanted = offsets_of(table, names)
    cdef dict found = {}
    while offset + 12 <= s.types_end and len(found) < len(wanted):
        memcpy(words, data + offset, 12)
        kind = (words[1] >> 24) & 0x1F
        vlen = words[1] & 0xFFFF
        if kind >= 20:
            break
        offset += 12
        if kind == ENUM and offset + vlen * 8 <= s.types_end:
            values = None
            for i in range(vlen):
                memcpy(member, data + offset + i * 8, 8)
                if member[0] in wanted:
                    values = {} if values is None else values
                    found[wanted[member[0]]] = values
            if values is not None:
                for i in range(vlen):
                    memcpy(member, data + offset + i * 8, 8)
                    if member[0] < len(table):
                        stop = table.find(b"\0", member[0])
                        values[table[member[0]:stop].decode()] = <int>member[1]
        offset += FIXED[kind] + EACH[kind] * vlen
    return found


def functions(bytes blob, names):
    """The types' numbers of those of `names` that are functions which the kernel lets be traced. Absent ones are left out.

    Args, Raises: as for `enums`.
    """
    cdef sections s = sections_of(blob)
    cdef Py_ssize_t offset = s.types, vlen
    cdef const unsigned char *data = blob
    cdef uint32_t words[3]
    cdef uint32_t number = 1
    cdef int kind
    cdef dict wanted = offsets_of(blob[s.strings:s.strings_end], names)
    cdef dict found = {}
    while offset + 12 <= s.types_end and len(found) < len(wanted):
        memcpy(words, data + offset, 12)
        kind = (words[1] >> 24) & 0x1F
        vlen = words[1] & 0xFFFF
        if kind >= 20:
            break
        if kind == FUNC and words[0] in wanted:
            found.setdefault(wanted[words[0]], number)
        offset += 12 + FIXED[kind] + EACH[kind] * vlen
        number += 1
    return found
