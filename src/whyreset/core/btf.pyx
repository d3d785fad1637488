# cython: language_level=3, boundscheck=False, wraparound=False
"""Enumerators of the running kernel, from its BTF (Documentation/bpf/btf.rst): reasons, states, counters by name."""

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


def enums(bytes blob, names):
    """The enumerations that hold one of `names`: {enumerator: value} of each, by that name. Absent ones are left out.

    Args:
        blob: contents of /sys/kernel/btf/vmlinux.
    Raises:
        ValueError: the bytes are not BTF.
    """
    cdef btf_header_v1 header
    cdef Py_ssize_t size = len(blob), offset, end, strings, strings_end, i, vlen
    cdef const unsigned char *data = blob
    cdef uint32_t words[3]
    cdef uint32_t member[2]
    cdef int kind
    if size < <Py_ssize_t>sizeof(btf_header_v1):
        raise ValueError("not BTF: too short")
    memcpy(&header, data, sizeof(btf_header_v1))
    if header.magic != 0xEB9F:
        raise ValueError("not BTF: wrong magic number")
    offset = <Py_ssize_t>header.hdr_len + header.type_off
    end = offset + header.type_len
    strings = <Py_ssize_t>header.hdr_len + header.str_off
    strings_end = strings + header.str_len
    if end > size or strings_end > size:
        raise ValueError("not BTF: sections beyond the end")
    # look for the names' offsets first, so that the walk compares numbers
    table = blob[strings:strings_end]
    wanted = {}
    for name in names:
        at = table.find(b"\0" + name.encode() + b"\0")
        if at >= 0:
            wanted[at + 1] = name
    found = {}
    while offset + 12 <= end and len(found) < len(wanted):
        memcpy(words, data + offset, 12)
        kind = (words[1] >> 24) & 0x1F
        vlen = words[1] & 0xFFFF
        if kind >= 20:
            break
        offset += 12
        if kind == ENUM and offset + vlen * 8 <= end:
            values = None
            for i in range(vlen):
                memcpy(member, data + offset + i * 8, 8)
                if member[0] in wanted:
                    values = {} if values is None else values
                    found[wanted[member[0]]] = values
            if values is not None:
                for i in range(vlen):
                    memcpy(member, data + offset + i * 8, 8)
                    if member[0] < header.str_len:
                        stop = table.find(b"\0", member[0])
                        values[table[member[0]:stop].decode()] = <int>member[1]
        offset += FIXED[kind] + EACH[kind] * vlen
    return found
