# The kernel program's records: bpf/events.h, read by both sides.
from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t

cdef extern from "events.h" nogil:
    enum:
        RESET_SENT, RESET_RECEIVED
        HAS_SOCKET, HAS_TRIGGER, IN_CLOSER, EXITING, HAS_FILE, RELEASED, ORPHANED, LINGER_ZERO, LINGER2_NEGATIVE
        KERNEL_SOCKET, ACTIVE_OPEN, ACCEPT_QUEUE_FULL, ABORT_ON_OVERFLOW, COOKIES_RECENT, EMBRYOS, MEMORY_EXHAUSTED
        FIN_RECEIVED, OOM_VICTIM, DATA_UNACKED, USER_TIMEOUT, IPV6_ONLY, RESET_RECEIVED_HERE, KEEPALIVE
        VIA_NOBODY, VIA_CONNECT, VIA_LISTEN, VIA_LISTENER, VIA_FILE, VIA_READ, VIA_CLOSE, VIA_ACCEPT
        LIFE_PROCESS, LIFE_EXIT, LIFE_LISTEN, LIFE_UNLISTEN
        NAME_BYTES, CGROUP_LEVELS, COMMAND_BYTES
        TCP_COUNTERS, EXT_COUNTERS, NETNS_MAX, TRIGGER_BYTES

    struct reset_event:
        uint64_t time_ns, netns_cookie, socket_cookie, opened_ns, owner_start_ns, closer_start_ns, bytes_in, bytes_out
        uint32_t netns_inode, flags, owner_pid, closer_pid, trigger_seq, trigger_ack, trigger_length
        uint32_t snd_nxt, rcv_nxt, unread, idle_jiffies, srtt_us, exit_code
        uint16_t local_port, remote_port, trigger_window
        uint8_t trigger_flags, trigger_ttl
        uint8_t local[16]
        uint8_t remote[16]
        uint8_t family, direction, reason, state, state_before, substate, owner_via, trigger_options
        char interface[16]

    struct close_event:
        uint64_t time_ns, netns_cookie, socket_cookie, opened_ns, owner_start_ns, bytes_in, bytes_out
        uint32_t owner_pid, flags, snd_nxt, rcv_nxt, srtt_us, idle_jiffies, exit_code
        uint16_t local_port, remote_port
        uint8_t local[16]
        uint8_t remote[16]
        uint8_t family, state_before, owner_via

    struct process_event:
        uint64_t time_ns, start_ns, cgroup_id, parent_start_ns
        uint32_t kind, pid, parent_pid, uid, netns_inode, command_bytes
        char comm[16]
        char exe[64]
        char cgroup[3][96]
        char command[256]

    struct exit_event:
        uint64_t time_ns, start_ns
        uint32_t kind, pid, exit_code, flags

    struct listen_event:
        uint64_t time_ns, netns_cookie, socket_cookie, start_ns
        uint32_t kind, pid, uid, netns_inode, flags, exit_code, backlog
        uint16_t port
        uint8_t family
        uint8_t address[16]

    struct held_socket:
        uint64_t socket_cookie, netns_cookie, start_ns
        uint32_t pid, uid, netns_inode, backlog
        uint16_t local_port, remote_port
        uint8_t family, state, flags
        uint8_t local[16]
        uint8_t remote[16]
        char comm[16]

    struct trigger_event:
        uint64_t time_ns
        uint32_t netns_inode, ifindex, length, captured
        char interface[16]
        uint8_t data[128]

    struct netns_counters:
        uint64_t cookie
        uint32_t inode, complete
        uint64_t tcp[16]
        uint64_t ext[48]

    struct walk:
        uint64_t jiffies, monotonic_ns
        uint32_t namespaces, written
