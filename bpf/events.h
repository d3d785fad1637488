/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/*
 * What the kernel program tells user space. The compiled core includes this file too, so that both sides
 * read one definition. Addresses are in network order (IPv4 in the first four bytes), ports and sequence
 * numbers in host order, times in nanoseconds of CLOCK_BOOTTIME unless a name says otherwise; 0 is «not known».
 */
#ifndef WHYRESET_EVENTS_H
#define WHYRESET_EVENTS_H

#ifndef __VMLINUX_H__
#ifndef WHYRESET_KERNEL_H
#include <linux/types.h>
#endif
#endif

enum reset_direction { RESET_SENT = 1, RESET_RECEIVED = 2 };

/* how much the kernel tells; on a kernel that tells more a lesser one can be asked for, to see what it would give */
enum tier { TIER_REASONS, TIER_PASSIVE_REASONS, TIER_FUNCTIONS, TIER_DROPS };

/* reset_event.flags, and close_event.flags where «closed too» is said */
enum reset_flags {
	HAS_SOCKET = 1 << 0,		/* the kernel gave a socket: full, TIME-WAIT or listener */
	HAS_TRIGGER = 1 << 1,		/* a segment provoked it */
	IN_CLOSER = 1 << 2,		/* active resets: the current task holds the socket's lock, so it made this one */
	EXITING = 1 << 3,		/* who closed the connection was exiting (PF_EXITING); closed too */
	HAS_FILE = 1 << 4,		/* the socket hangs on an open file */
	RELEASED = 1 << 5,		/* that file's last reference is gone: close(), not a call on an open socket */
	ORPHANED = 1 << 6,		/* SOCK_DEAD: nobody can use the socket any more */
	LINGER_ZERO = 1 << 7,		/* SO_LINGER with timeout 0 */
	LINGER2_NEGATIVE = 1 << 8,	/* TCP_LINGER2 below 0 */
	KERNEL_SOCKET = 1 << 9,		/* made by the kernel for itself */
	ACTIVE_OPEN = 1 << 10,		/* this host sent the SYN; closed too */
	ACCEPT_QUEUE_FULL = 1 << 11,	/* the listener's accept queue is over its limit */
	ABORT_ON_OVERFLOW = 1 << 12,	/* net.ipv4.tcp_abort_on_overflow of its namespace */
	COOKIES_RECENT = 1 << 13,	/* the listener sent SYN cookies within two minutes */
	EMBRYOS = 1 << 14,		/* the listener holds half-open requests */
	MEMORY_EXHAUSTED = 1 << 15,	/* TCP memory is over tcp_mem's limit */
	FIN_RECEIVED = 1 << 16,		/* the peer has sent FIN; closed too */
	OOM_VICTIM = 1 << 17,		/* the exiting task was chosen by the OOM killer; closed too */
	DATA_UNACKED = 1 << 18,		/* data of ours was not acknowledged yet */
	USER_TIMEOUT = 1 << 19,		/* TCP_USER_TIMEOUT is set */
	IPV6_ONLY = 1 << 20,		/* listeners: IPV6_V6ONLY */
	RESET_RECEIVED_HERE = 1 << 21,	/* closed: it ended by the peer's reset */
	KEEPALIVE = 1 << 22,		/* SO_KEEPALIVE is on */
};

/* how the owner is known; the words are in owners/ */
enum owner_via { VIA_NOBODY, VIA_CONNECT, VIA_LISTEN, VIA_LISTENER, VIA_FILE, VIA_READ, VIA_CLOSE, VIA_ACCEPT };

/*
 * With the ring's header of 8 bytes three cache lines; what every record is judged by stands in the first, what tells
 * groups apart in the second.
 */
struct reset_event {
	__u64 time_ns;
	__u64 netns_cookie;
	__u32 flags;
	__u32 netns_inode;
	__u8 remote[16];
	__u16 local_port;
	__u16 remote_port;
	__u8 family;			/* AF_INET or AF_INET6 */
	__u8 direction;
	__u8 reason;
	__u8 state;
	__u8 state_before;		/* the state that the connection left for CLOSE */
	/*
	 * TIME-WAIT mini sockets: FIN_WAIT2 or TIME_WAIT. Listeners: NEW_SYN_RECV where the segment met a half-open request,
	 * LISTEN where it met none, 0 where that is not known.
	 */
	__u8 substate;
	__u8 owner_via;
	__u8 trigger_flags;
	__u8 trigger_options;		/* bytes of TCP options */
	__u8 trigger_ttl;
	__u16 trigger_window;

	__u8 local[16];
	__u64 socket_cookie;
	__u64 owner_start_ns;		/* without owner_pid: the cookie of the listener that it came from */
	__u64 closer_start_ns;
	__u32 owner_pid;
	__u32 closer_pid;
	__u32 exit_code;		/* EXITING */
	__u32 trigger_length;		/* payload bytes */
	__u32 trigger_seq;
	__u32 unread;

	__u64 opened_ns;
	__u64 bytes_in;
	__u64 bytes_out;
	__u32 trigger_ack;
	__u32 snd_nxt;			/* listeners: connections waiting in the accept queue */
	__u32 rcv_nxt;			/* listeners: the queue's limit */
	__u32 idle_jiffies;		/* since data last came or went */
	__u32 srtt_us;
	char interface[16];
	__u32 pad;
};

enum life_kind { LIFE_PROCESS = 1, LIFE_EXIT = 2, LIFE_LISTEN = 3, LIFE_UNLISTEN = 4 };

#define NAME_BYTES 96
#define CGROUP_LEVELS 3
#define COMMAND_BYTES 256

/* a process seen for the first time, or again after exec */
struct process_event {
	__u64 time_ns;
	__u64 start_ns;			/* its group leader's start: with the pid it names one process for ever */
	__u64 cgroup_id;		/* cgroup v2 */
	__u64 parent_start_ns;		/* its parent's, while it runs the same program by fork alone */
	__u32 kind;
	__u32 pid;
	__u32 parent_pid;
	__u32 uid;			/* the effective one */
	__u32 netns_inode;
	__u32 command_bytes;
	char comm[16];
	char exe[64];			/* the executable's last path component */
	char cgroup[CGROUP_LEVELS][NAME_BYTES];	/* the leaf first */
	char command[COMMAND_BYTES];	/* arguments, each ended by NUL */
};

struct exit_event {
	__u64 time_ns;
	__u64 start_ns;
	__u32 kind;
	__u32 pid;
	__u32 exit_code;		/* as wait(2) gives it */
	__u32 flags;			/* OOM_VICTIM */
};

struct listen_event {
	__u64 time_ns;
	__u64 netns_cookie;
	__u64 socket_cookie;
	__u64 start_ns;			/* of the process: the owner, or who closed it */
	__u32 kind;
	__u32 pid;
	__u32 uid;
	__u32 netns_inode;
	__u32 flags;			/* EXITING, IPV6_ONLY, KERNEL_SOCKET */
	__u32 exit_code;
	__u32 backlog;
	__u16 port;
	__u8 family;
	__u8 pad;
	__u8 address[16];
};

/* one open TCP socket and one process that holds it, from the walk over open files */
struct held_socket {
	__u64 socket_cookie;
	__u64 netns_cookie;
	__u64 start_ns;
	__u32 pid;
	__u32 uid;
	__u32 netns_inode;
	__u32 backlog;
	__u16 local_port;
	__u16 remote_port;
	__u8 family;
	__u8 state;
	__u8 flags;			/* 1: IPV6_V6ONLY */
	__u8 pad;
	__u8 local[16];
	__u8 remote[16];
	char comm[16];
};

/* how often the program saw a reset, by namespace, direction and reason: exact also when the ring is full */
struct tally_key {
	__u64 netns_cookie;
	__u32 direction;
	__u32 reason;
};
struct tally {
	__u64 seen;
	__u64 lost;
};

/* a connection that is gone */
struct close_event {
	__u64 time_ns;
	__u64 netns_cookie;
	__u64 socket_cookie;
	__u64 opened_ns;
	__u64 owner_start_ns;		/* as in reset_event */
	__u64 bytes_in;
	__u64 bytes_out;
	__u32 owner_pid;
	__u32 flags;
	__u32 snd_nxt;
	__u32 rcv_nxt;
	__u32 srtt_us;
	__u32 idle_jiffies;
	__u32 exit_code;
	__u16 local_port;
	__u16 remote_port;
	__u8 local[16];
	__u8 remote[16];
	__u8 family;
	__u8 state_before;
	__u8 owner_via;
	__u8 pad[5];
};

/* a segment that provoked a reset, as it came; a sample of each kind of reset, for evidence */
#define TRIGGER_BYTES 128
struct trigger_event {
	__u64 time_ns;
	__u32 netns_inode;
	__u32 ifindex;
	__u32 length;			/* bytes that it had from its IP header on */
	__u32 captured;			/* bytes of data[] */
	char interface[16];
	__u8 data[TRIGGER_BYTES];	/* from its IP header on */
};

/* the kernel's counters of one namespace */
#define TCP_COUNTERS 16
#define EXT_COUNTERS 48
#define NETNS_MAX 4096
struct netns_counters {
	__u64 cookie;
	__u32 inode;
	__u32 complete;			/* ext[] was read too */
	__u64 tcp[TCP_COUNTERS];	/* by TCP_MIB_* */
	__u64 ext[EXT_COUNTERS];	/* by the order of the program's ext_index */
};
struct walk {
	__u64 jiffies;
	__u64 monotonic_ns;
	__u32 namespaces;		/* found */
	__u32 written;
};

#endif
