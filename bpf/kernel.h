/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/*
 * The kernel's structures, cut down to the fields that are read. CO-RE finds each field's real place in the
 * running kernel's BTF when the program is loaded, so order and size here mean nothing. Names with ___ are
 * other kernels' shapes of the same structure.
 */
#ifndef WHYRESET_KERNEL_H
#define WHYRESET_KERNEL_H

typedef unsigned char __u8;
typedef unsigned short __u16;
typedef unsigned int __u32;
typedef unsigned long long __u64;
typedef signed char __s8;
typedef short __s16;
typedef int __s32;
typedef long long __s64;
typedef __u16 __be16;
typedef __u32 __be32;
typedef __u64 __be64;
typedef __u16 __sum16;
typedef __u32 __wsum;
typedef _Bool bool;

enum { false, true };

/* uapi/linux/bpf.h: numbers of the stable interface */
enum bpf_map_type {
	BPF_MAP_TYPE_HASH = 1,
	BPF_MAP_TYPE_ARRAY = 2,
	BPF_MAP_TYPE_PERCPU_HASH = 5,
	BPF_MAP_TYPE_PERCPU_ARRAY = 6,
	BPF_MAP_TYPE_LRU_HASH = 9,
	
	BPF_MAP_TYPE_RINGBUF = 27,
};
enum { BPF_ANY = 0, BPF_NOEXIST = 1, BPF_EXIST = 2 };
enum { BPF_F_MMAPABLE = 1 << 10 };

enum { BPF_RB_NO_WAKEUP = 1, BPF_RB_FORCE_WAKEUP = 2, BPF_RB_AVAIL_DATA = 0, BPF_RB_RING_SIZE = 1 };

enum { AF_INET = 2, AF_INET6 = 10, IPPROTO_TCP = 6 };
enum { PF_EXITING = 4, PF_KTHREAD = 0x200000 };
enum { RCV_SHUTDOWN = 1 };
enum {
	TCP_ESTABLISHED = 1, TCP_SYN_SENT, TCP_SYN_RECV, TCP_FIN_WAIT1, TCP_FIN_WAIT2, TCP_TIME_WAIT, TCP_CLOSE,
	TCP_CLOSE_WAIT, TCP_LAST_ACK, TCP_LISTEN, TCP_CLOSING, TCP_NEW_SYN_RECV,
};
enum { TCP_FLAG_FIN = 1, TCP_FLAG_SYN = 2, TCP_FLAG_RST = 4, TCP_FLAG_PSH = 8, TCP_FLAG_ACK = 16, TCP_FLAG_URG = 32 };

/* the type's presence tells whether the tracepoint has a reason; its values are read by user space */
enum sk_rst_reason { SK_RST_REASON_INVALID_SYN = 10 };
enum skb_drop_reason { SKB_DROP_REASON_NO_SOCKET = 3 };
enum { RTN_LOCAL = 2, RTF_LOCAL = 1U << 31 };
enum sock_flags { SOCK_DEAD, SOCK_DONE, SOCK_KEEPOPEN = 3, SOCK_LINGER = 4 };
enum cgroup_subsys_id { memory_cgrp_id = 4 };

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

typedef struct { int counter; } atomic_t;
typedef struct { __s64 counter; } atomic64_t;
typedef struct { long counter; } atomic_long_t;
typedef struct { __u32 val; } kuid_t;
struct list_head { struct list_head *next; };
struct proc_ns_operations;
struct ns_common { const struct proc_ns_operations *ops; unsigned int inum; };
struct tcp_mib { unsigned long mibs[1]; };
struct linux_mib { unsigned long mibs[1]; };
struct netns_mib { struct tcp_mib *tcp_statistics; struct linux_mib *net_statistics; };
struct netns_ipv4 { __u8 sysctl_tcp_abort_on_overflow; };
struct net { struct list_head list; struct ns_common ns; struct netns_mib mib; struct netns_ipv4 ipv4; __u64 net_cookie; };
typedef struct { struct net *net; } possible_net_t;
struct net_device { char name[16]; int ifindex; possible_net_t nd_net; };
struct dst_entry { struct net_device *dev; };
struct rtable { struct dst_entry dst; __u16 rt_type; };
struct rt6_info { struct dst_entry dst; __u32 rt6i_flags; };
struct sk_buff {
	struct net_device *dev;
	unsigned long _skb_refdst;
	unsigned char *head;
	unsigned char *data;
	unsigned int len;
	unsigned int tail;	/* an offset, as on all 64-bit machines (NET_SKBUFF_DATA_USES_OFFSET) */
	__u16 network_header;
	__u16 transport_header;
};

struct in6_addr { union { __u8 u6_addr8[16]; __be32 u6_addr32[4]; } in6_u; };
struct proto { atomic_long_t *memory_allocated; long *sysctl_mem; };
struct sock_common {
	__be32 skc_daddr;
	__be32 skc_rcv_saddr;
	__be16 skc_dport;
	__u16 skc_num;
	unsigned short skc_family;
	volatile unsigned char skc_state;
	unsigned char skc_ipv6only : 1;
	struct proto *skc_prot;
	possible_net_t skc_net;
	struct in6_addr skc_v6_daddr;
	struct in6_addr skc_v6_rcv_saddr;
	atomic64_t skc_cookie;
	unsigned long skc_flags;
};
typedef struct { int owned; } socket_lock_t;
struct file;
struct socket { struct file *file; struct sock *sk; };
struct sock {
	struct sock_common __sk_common;
	struct socket *sk_socket;
	socket_lock_t sk_lock;
	kuid_t sk_uid;
	__u16 sk_protocol;
	__u8 sk_kern_sock : 1;
	__u8 sk_shutdown;
	unsigned long sk_lingertime;
	__u32 sk_ack_backlog;
	__u32 sk_max_ack_backlog;
};
struct ipv6_pinfo { int mcast_oif; };
struct inet_sock { struct sock sk; struct ipv6_pinfo *pinet6; __be16 inet_sport; int mc_index; };
struct request_sock_queue { atomic_t qlen; };
struct icsk_ack { __u32 lrcvtime; };
struct inet_connection_sock {
	struct inet_sock icsk_inet;
	struct request_sock_queue icsk_accept_queue;
	__u32 icsk_user_timeout;
	void *icsk_ulp_data;
	struct icsk_ack icsk_ack;
};
struct tcp_options_received { int ts_recent_stamp; };
struct tcp_sock {
	struct inet_connection_sock inet_conn;
	__u32 copied_seq;
	__u32 lsndtime;
	__u32 rcv_nxt;
	__u32 snd_nxt;
	__u32 snd_una;
	__u32 write_seq;
	__u32 srtt_us;
	__u64 bytes_received;
	__u64 bytes_sent;
	__u64 bytes_retrans;
	int linger2;
	bool is_mptcp;
	struct list_head tsorted_sent_queue;
	struct tcp_options_received rx_opt;
};
struct inet_timewait_sock { struct sock_common __tw_common; unsigned char tw_substate; };
struct tcp_timewait_sock { struct inet_timewait_sock tw_sk; __u32 tw_rcv_nxt; __u32 tw_snd_nxt; };

/* include/linux/file_ref.h since 6.13, a plain count before */
typedef struct { atomic_long_t refcnt; } file_ref_t;
struct file { file_ref_t f_ref; };
struct file___before_6_13 { atomic_long_t f_count; };

struct kernfs_node { struct kernfs_node *__parent; const char *name; __u64 id; };
struct kernfs_node___before_6_15 { struct kernfs_node *parent; };
struct cgroup { struct kernfs_node *kn; };
struct cgroup_subsys_state { struct cgroup *cgroup; };
struct css_set { struct cgroup_subsys_state *subsys[14]; struct cgroup *dfl_cgrp; };
struct nsproxy { struct net *net_ns; };
struct qstr { const unsigned char *name; };
struct dentry { struct qstr d_name; };
struct path { struct dentry *dentry; };
struct file___exe { struct path f_path; };
struct mm_struct { struct file *exe_file; unsigned long arg_start; unsigned long arg_end; };
struct signal_struct { atomic_t live; int group_exit_code; struct mm_struct *oom_mm; };
struct cred { kuid_t euid; };
struct mptcp_sock { struct sock *first; };
struct mptcp_subflow_context { struct sock *conn; };
struct task_struct {
	unsigned int flags;
	int exit_code;
	int tgid;
	__u64 self_exec_id;		/* one more with each exec */
	__u64 parent_exec_id;		/* what its parent's was at the fork */
	__u64 start_boottime;
	char comm[16];
	struct task_struct *group_leader;
	struct task_struct *real_parent;
	struct mm_struct *mm;
	struct signal_struct *signal;
	struct nsproxy *nsproxy;
	struct css_set *cgroups;
	const struct cred *cred;
};
struct seq_file;
struct bpf_iter_meta { struct seq_file *seq; };
struct bpf_iter__task_file { struct bpf_iter_meta *meta; struct task_struct *task; __u32 fd; struct file *file; };
struct bpf_array { void *pptrs[0]; };

#pragma clang attribute pop

struct iphdr_bytes { __u8 bytes[40]; };

#endif
