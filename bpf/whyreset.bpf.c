// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
/*
 * The kernel side of whyreset. It observes and decides nothing: each reset becomes one reset_event with what the
 * socket, the segment and the current task were at that moment; causes are worked out in user space.
 *
 *   tcp_send_reset, tcp_receive_reset   one record each, into the ring `resets`; on request a sample of what provoked
 *                                       them, into `triggers`
 *   tcp_v4_send_reset, tcp_v6_send_reset, tcp_send_active_reset, tcp_check_req
 *                                       the same by the kernel's functions, where the tracepoint tells too little
 *   kfree_skb                           the same for segments that met no socket, where neither tells of them
 *   inet_sock_set_state                 who opened what; each connection that ends, into the ring `closes`
 *   sched_process_exec, _exit           what processes that own sockets became and how they ended, into `lives`
 *   inet_csk_accept                     who accepted a connection
 *   tcp_rcv_space_adjust (on request)   who reads from an accepted connection: its exact owner
 *   iter/task_file (at the start)       sockets that were open before
 *   walk_namespaces (test_run)          the counters of every network namespace
 *
 * User space chooses from the kernel's BTF which of them are loaded. No record wakes the reader; only a ring that fills
 * faster than it is drained does.
 */
#include "kernel.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_tracing.h>
#include "events.h"

char LICENSE[] SEC("license") = "GPL";

/* set by user space, which reads numbers that shift between kernels from BTF */
const volatile struct {
	__u32 tier;
	__u32 requests_known;			/* check_request and checked_request are loaded */
	__u32 triggers_wanted;			/* somebody reads the ring `triggers` */
	__u32 ext_wanted;
	__u32 ext_index[EXT_COUNTERS];		/* LINUX_MIB_* of the counters wanted */
} settings = {};

#define RESETS_BYTES (1 << 21)
#define CLOSES_BYTES (1 << 19)
#define LIVES_BYTES (1 << 19)
#define TRIGGERS_BYTES (1 << 18)

struct { __uint(type, BPF_MAP_TYPE_RINGBUF); __uint(max_entries, RESETS_BYTES); } resets SEC(".maps");
struct { __uint(type, BPF_MAP_TYPE_RINGBUF); __uint(max_entries, CLOSES_BYTES); } closes SEC(".maps");
struct { __uint(type, BPF_MAP_TYPE_RINGBUF); __uint(max_entries, LIVES_BYTES); } lives SEC(".maps");
struct { __uint(type, BPF_MAP_TYPE_RINGBUF); __uint(max_entries, TRIGGERS_BYTES); } triggers SEC(".maps");
struct { __uint(type, BPF_MAP_TYPE_PERCPU_HASH); __uint(max_entries, 8192); __type(key, struct tally_key); __type(value, struct tally); } tallies SEC(".maps");

/* what no tally holds: resets of namespaces beyond `tallies`, records lost by the other rings */
struct { __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY); __uint(max_entries, 4); __type(key, __u32); __type(value, __u64); } losses SEC(".maps");
enum { LOSS_TALLY, LOSS_LIVES, LOSS_CLOSES, LOSS_TRIGGERS };

/*
 * Open sockets: who opened them and when. The socket's cookie counts sockets, so that its low bits are a place of its
 * own until SOCKETS more were opened, and neighbours share cache lines: a tenth of the cost of socket storage or of an
 * LRU hash. An old connection may lose its place; it is then found again by the walk over open files.
 */
#define SOCKETS (1 << 17)
struct opened {
	__u64 cookie;
	__u64 time_ns;
	__u64 start_ns;		/* without a pid: the cookie of the listener that it came from */
	__u32 pid;
	__u16 exit_code;		/* OPENED_EXITING: as wait(2) gives it */
	__u8 via;
	__u8 state_before : 4;
	__u8 flags : 4;
};
enum { OPENED_ACTIVELY = 1, OPENED_GOT_RESET = 2, OPENED_EXITING = 4 };
struct { __uint(type, BPF_MAP_TYPE_ARRAY); __uint(max_entries, SOCKETS); __type(key, __u32); __type(value, struct opened); } sockets SEC(".maps");

/* processes that user space has been told of; of those that the walk over open files found it knows little */
#define ONLY_WALKED (~0ULL)
struct known { __u64 start_ns; __u64 exec_id; };
struct { __uint(type, BPF_MAP_TYPE_LRU_HASH); __uint(max_entries, 16384); __type(key, __u32); __type(value, struct known); } processes SEC(".maps");

static __always_inline void count_loss(__u32 kind)
{
	__u64 *n = bpf_map_lookup_elem(&losses, &kind);
	if (n)
		(*n)++;
}

/* wakes the reader once, when a ring becomes half full; at all other times the reader comes by itself */
static __always_inline void submit(void *ring, void *record, __u32 record_bytes)
{
	__u64 filled = bpf_ringbuf_query(ring, BPF_RB_AVAIL_DATA), ring_bytes = bpf_ringbuf_query(ring, BPF_RB_RING_SIZE);
	bool crossing = filled >= ring_bytes / 2 && filled < ring_bytes / 2 + 4 * record_bytes;

	bpf_ringbuf_submit(record, crossing ? BPF_RB_FORCE_WAKEUP : BPF_RB_NO_WAKEUP);
}

/* a pointer's number: the verifier lets a privileged program read a spilled pointer back as a scalar */
static __always_inline __u64 address_of(const void *pointer)
{
	const void *volatile spilled = pointer;
	__u64 address = 0;

	bpf_probe_read_kernel(&address, sizeof address, (void *)&spilled);
	return address;
}

/* ---- processes ---- */

/* the last path components of the current task's control group: v2, or v1's memory controller where v2 says nothing */
static __always_inline void copy_cgroup(struct process_event *e, struct task_struct *task)
{
	struct kernfs_node *node = task->cgroups->dfl_cgrp->kn, *parent;

	e->cgroup_id = node->id;
	parent = bpf_core_field_exists(node->__parent) ? BPF_CORE_READ(node, __parent)
						       : BPF_CORE_READ((struct kernfs_node___before_6_15 *)node, parent);
	if (!parent && bpf_core_enum_value_exists(enum cgroup_subsys_id, memory_cgrp_id)) {
		__u64 memory = bpf_core_enum_value(enum cgroup_subsys_id, memory_cgrp_id);
		struct css_set *set = task->cgroups;
		struct cgroup_subsys_state *css = 0;

		bpf_probe_read_kernel(&css, sizeof css, (void *)set + bpf_core_field_offset(struct css_set, subsys) + memory * sizeof css);
		node = BPF_CORE_READ(css, cgroup, kn);
	}
	for (int i = 0; i < CGROUP_LEVELS && node; i++) {
		bpf_probe_read_kernel_str(e->cgroup[i], NAME_BYTES, BPF_CORE_READ(node, name));
		node = bpf_core_field_exists(node->__parent) ? BPF_CORE_READ(node, __parent)
							     : BPF_CORE_READ((struct kernfs_node___before_6_15 *)node, parent);
	}
}

static __noinline void tell_process(struct task_struct *task, __u32 pid, __u64 start_ns)
{
	struct process_event *e = bpf_ringbuf_reserve(&lives, sizeof *e, 0);
	struct task_struct *parent = task->real_parent;
	struct mm_struct *mm = task->mm;
	unsigned long start, bytes;

	if (!e) {
		count_loss(LOSS_LIVES);
		return;
	}
	__builtin_memset(e, 0, sizeof *e);
	e->kind = LIFE_PROCESS;
	e->time_ns = bpf_ktime_get_boot_ns();
	e->start_ns = start_ns;
	e->pid = pid;
	e->parent_pid = parent->tgid;
	if (task->self_exec_id == task->parent_exec_id && parent->self_exec_id == task->parent_exec_id)
		e->parent_start_ns = parent->group_leader->start_boottime;
	e->uid = task->cred->euid.val;
	e->netns_inode = task->nsproxy->net_ns->ns.inum;
	bpf_probe_read_kernel(e->comm, sizeof e->comm, task->group_leader->comm);
	copy_cgroup(e, task);
	if (mm) {
		bpf_probe_read_kernel_str(e->exe, sizeof e->exe, BPF_CORE_READ((struct file___exe *)mm->exe_file, f_path.dentry, d_name.name));
		start = mm->arg_start;
		bytes = mm->arg_end - start;
		if (bytes > COMMAND_BYTES - 1)
			bytes = COMMAND_BYTES - 1;
		if (!bpf_probe_read_user(e->command, bytes & (COMMAND_BYTES - 1), (void *)start))
			e->command_bytes = bytes;
	}
	submit(&lives, e, sizeof *e);
}

/* tells user space of the current process unless it knows it; at exec a process becomes another program under one pid */
static __noinline void know(struct task_struct *task, __u32 pid, __u64 start_ns)
{
	struct known *have = bpf_map_lookup_elem(&processes, &pid);
	struct known now = { start_ns, task->self_exec_id };

	if (have && have->start_ns == now.start_ns && have->exec_id == now.exec_id)
		return;
	bpf_map_update_elem(&processes, &pid, &now, BPF_ANY);
	tell_process(task, pid, start_ns);
}

/* a signal or exit status as wait(2) gives it, while the task is still exiting */
static __always_inline __u32 exit_code_of(struct task_struct *task)
{
	__u32 group = task->signal->group_exit_code;
	return group ? group : task->exit_code;
}

/* a process that has sockets becomes another program, which inherits them: a shell, inetd */
SEC("tp_btf/sched_process_exec")
int BPF_PROG(process_exec, struct task_struct *task)
{
	__u32 pid = task->tgid;

	if (bpf_map_lookup_elem(&processes, &pid))
		know(task, pid, task->group_leader->start_boottime);
	return 0;
}

SEC("tp_btf/sched_process_exit")
int BPF_PROG(process_exit, struct task_struct *task)
{
	__u32 pid = task->tgid, parent = task->real_parent->tgid;
	__u64 start_ns = task->group_leader->start_boottime;
	struct known *have;
	struct exit_event *e;

	if (task->signal->live.counter)		/* other threads go on */
		return 0;
	have = bpf_map_lookup_elem(&processes, &pid);
	if (have && have->start_ns == start_ns)
		know(task, pid, start_ns);	/* the last chance for what was only walked */
	else if (!bpf_map_lookup_elem(&processes, &parent))
		return 0;	/* a pre-forked child shares its parent's listener without ever opening a socket itself */
	e = bpf_ringbuf_reserve(&lives, sizeof *e, 0);
	if (!e) {
		count_loss(LOSS_LIVES);
		return 0;
	}
	e->kind = LIFE_EXIT;
	e->time_ns = bpf_ktime_get_boot_ns();
	e->start_ns = start_ns;
	e->pid = pid;
	e->exit_code = exit_code_of(task);
	e->flags = task->signal->oom_mm ? OOM_VICTIM : 0;
	submit(&lives, e, sizeof *e);
	return 0;
}

/* ---- sockets ---- */

/* the current task's hold on a socket; in softirq context the lock is free and the task is whoever happened to run */
static __always_inline bool is_locked_by_current(const struct sock *sk)
{
	return sk->sk_lock.owned;
}

static __always_inline bool is_released(const struct sock *sk)
{
	struct file *file = sk->sk_socket->file;

	if (!file)
		return false;
	if (bpf_core_field_exists(file->f_ref))
		return (__s64)file->f_ref.refcnt.counter < 0;
	return BPF_CORE_READ((struct file___before_6_13 *)file, f_count.counter) == 0;
}

static __always_inline void copy_ipv4(__u8 *to, __be32 address)
{
	__builtin_memset(to, 0, 16);
	__builtin_memcpy(to, &address, 4);
}

/* the four-tuple of a full or TIME-WAIT socket; IPv4 over an IPv6 socket counts as IPv4 */
static __always_inline __u8 copy_addresses(__u8 *local, __u8 *remote, const struct sock_common *c)
{
	const __be32 *words = c->skc_v6_daddr.in6_u.u6_addr32;

	if (c->skc_family == AF_INET6 && !(words[2] == bpf_htonl(0xffff) && !words[0] && !words[1])) {
		__builtin_memcpy(local, &c->skc_v6_rcv_saddr, 16);
		__builtin_memcpy(remote, &c->skc_v6_daddr, 16);
		return AF_INET6;
	}
	copy_ipv4(local, c->skc_rcv_saddr);
	copy_ipv4(remote, c->skc_daddr);
	return AF_INET;
}

static __always_inline __u32 idle_jiffies(const struct tcp_sock *tp)
{
	__u32 now = bpf_jiffies64(), sent = now - tp->lsndtime, received = now - tp->inet_conn.icsk_ack.lrcvtime;
	return sent < received ? sent : received;
}

static __noinline void own(struct opened *o, struct task_struct *task, __u8 via)
{
	o->pid = task->tgid;
	o->start_ns = task->group_leader->start_boottime;
	o->via = via;
	know(task, o->pid, o->start_ns);
}

/* whoever closes an accepted connection is who used it; kernel threads only clear away what others left behind */
static __always_inline void own_as_closer(struct opened *o)
{
	struct task_struct *task = bpf_get_current_task_btf();

	if (!(task->flags & PF_KTHREAD))
		own(o, task, VIA_CLOSE);
}

/*
 * The listener of a connection that is just born (inet_csk_clone_lock). It is a copy of the listener, and a list that is
 * empty points to its own head: the copy's, not initialized yet, still to the listener's. 0 where that is not so.
 */
static __noinline __u64 cookie_of_listener(const struct sock *sk)
{
	const struct tcp_sock *tp = bpf_skc_to_tcp_sock((void *)sk);
	struct sock *listener;

	if (!tp)
		return 0;
	listener = (void *)tp->tsorted_sent_queue.next - bpf_core_field_offset(struct tcp_sock, tsorted_sent_queue);
	if (BPF_CORE_READ(listener, __sk_common.skc_state) != TCP_LISTEN || BPF_CORE_READ(listener, __sk_common.skc_num) != sk->__sk_common.skc_num)
		return 0;
	return BPF_CORE_READ(listener, __sk_common.skc_cookie.counter);
}

/* this socket's place, and whether it still is this socket's */
static __always_inline struct opened *place_of(__u64 cookie)
{
	__u32 index = cookie & (SOCKETS - 1);
	return bpf_map_lookup_elem(&sockets, &index);
}

static __always_inline struct opened *find_opened(__u64 cookie)
{
	struct opened *o = place_of(cookie);
	return o && o->cookie == cookie ? o : 0;
}

static __always_inline struct opened *take_place(__u64 cookie)
{
	struct opened *o = place_of(cookie);

	if (o && o->cookie != cookie) {
		__builtin_memset(o, 0, sizeof *o);
		o->cookie = cookie;
	}
	return o;
}

/* a further subflow of Multipath TCP is opened by a kernel thread, on behalf of who opened the first */
static __always_inline struct opened *find_first_subflow(const struct sock *sk)
{
	const struct tcp_sock *tp = bpf_skc_to_tcp_sock((void *)sk);
	struct mptcp_sock *whole;
	struct sock *first;

	if (!tp || !bpf_core_field_exists(tp->is_mptcp) || !tp->is_mptcp)
		return 0;
	whole = (void *)BPF_CORE_READ((struct mptcp_subflow_context *)tp->inet_conn.icsk_ulp_data, conn);
	first = BPF_CORE_READ(whole, first);
	return find_opened(BPF_CORE_READ(first, __sk_common.skc_cookie.counter));
}

static __noinline void own_as_opener(struct opened *o, const struct sock *sk)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct opened *first = task->flags & PF_KTHREAD ? find_first_subflow(sk) : 0;

	if (first && first->pid) {
		o->pid = first->pid;
		o->start_ns = first->start_ns;
		o->via = first->via;
		return;
	}
	own(o, task, VIA_CONNECT);
}

static __noinline void tell_listener(const struct sock *sk, struct task_struct *task, __u32 kind)
{
	const struct tcp_sock *tp = bpf_skc_to_tcp_sock((void *)sk);
	struct listen_event *e;

	if (!tp)
		return;
	e = bpf_ringbuf_reserve(&lives, sizeof *e, 0);
	if (!e) {
		count_loss(LOSS_LIVES);
		return;
	}
	__builtin_memset(e, 0, sizeof *e);
	e->kind = kind;
	e->time_ns = bpf_ktime_get_boot_ns();
	e->netns_cookie = sk->__sk_common.skc_net.net->net_cookie;
	e->netns_inode = sk->__sk_common.skc_net.net->ns.inum;
	e->socket_cookie = bpf_get_socket_cookie((void *)sk);
	e->pid = task->tgid;
	e->start_ns = task->group_leader->start_boottime;
	e->uid = task->cred->euid.val;
	e->backlog = sk->sk_max_ack_backlog;
	e->port = bpf_ntohs(tp->inet_conn.icsk_inet.inet_sport);
	e->family = sk->__sk_common.skc_family;
	if (e->family == AF_INET6)
		__builtin_memcpy(e->address, &sk->__sk_common.skc_v6_rcv_saddr, 16);
	else
		copy_ipv4(e->address, sk->__sk_common.skc_rcv_saddr);
	if (BPF_CORE_READ_BITFIELD(&sk->__sk_common, skc_ipv6only))
		e->flags |= IPV6_ONLY;
	if (BPF_CORE_READ_BITFIELD(sk, sk_kern_sock))
		e->flags |= KERNEL_SOCKET;
	if (task->flags & PF_EXITING) {
		e->flags |= EXITING;
		e->exit_code = exit_code_of(task);
		if (task->signal->oom_mm)
			e->flags |= OOM_VICTIM;
	}
	submit(&lives, e, sizeof *e);
}

/* a connection ends; its reset, if it ends by one, is traced after this */
static __noinline void tell_close(const struct sock *sk, struct opened *o, __u64 cookie, int state_before)
{
	const struct tcp_sock *tp = bpf_skc_to_tcp_sock((void *)sk);
	struct close_event *e;

	if (!tp || !sk->__sk_common.skc_dport || !tp->inet_conn.icsk_inet.inet_sport)
		return;
	e = bpf_ringbuf_reserve(&closes, sizeof *e, 0);
	if (!e) {
		count_loss(LOSS_CLOSES);
		return;
	}
	__builtin_memset(e, 0, sizeof *e);
	e->time_ns = bpf_ktime_get_boot_ns();
	e->netns_cookie = sk->__sk_common.skc_net.net->net_cookie;
	e->socket_cookie = cookie;
	e->local_port = bpf_ntohs(tp->inet_conn.icsk_inet.inet_sport);
	e->remote_port = bpf_ntohs(sk->__sk_common.skc_dport);
	e->family = copy_addresses(e->local, e->remote, &sk->__sk_common);
	e->bytes_in = tp->bytes_received;
	e->bytes_out = tp->bytes_sent - tp->bytes_retrans;
	e->snd_nxt = tp->snd_nxt;
	e->rcv_nxt = tp->rcv_nxt;
	e->srtt_us = tp->srtt_us >> 3;
	e->idle_jiffies = idle_jiffies(tp);
	e->state_before = state_before;
	if (sk->__sk_common.skc_flags & (1 << SOCK_DONE)) {
		e->flags |= FIN_RECEIVED;
		e->bytes_in -= !!e->bytes_in;	/* FIN was counted */
	}
	if (o) {
		e->opened_ns = o->time_ns;
		e->owner_start_ns = o->start_ns;
		e->owner_pid = o->pid;
		e->owner_via = o->via;
		e->flags |= (o->flags & OPENED_ACTIVELY ? ACTIVE_OPEN : 0) | (o->flags & OPENED_GOT_RESET ? RESET_RECEIVED_HERE : 0);
		if (o->flags & OPENED_EXITING) {
			e->flags |= EXITING;
			e->exit_code = o->exit_code;
		}
	}
	if (is_locked_by_current(sk)) {
		struct task_struct *task = bpf_get_current_task_btf();

		if (task->flags & PF_EXITING) {
			e->flags |= EXITING | (task->signal->oom_mm ? OOM_VICTIM : 0);
			e->exit_code = exit_code_of(task);
		}
	}
	submit(&closes, e, sizeof *e);
}

/*
 * The connection that is being born on this CPU, and the listener's cookie. Its own cookie is not final yet: older kernels
 * put the request's in its place afterwards. It is established a moment later on the same CPU, tcp_child_process().
 */
struct birth { __u64 child; __u64 listener_cookie; };
struct { __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY); __uint(max_entries, 1); __type(key, __u32); __type(value, struct birth); } births SEC(".maps");

static __always_inline struct birth *birth_here(void)
{
	__u32 zero = 0;
	return bpf_map_lookup_elem(&births, &zero);
}

/* whoever accepted a connection may have passed it on: who closes it is who used it */
static __always_inline bool is_owner_open(const struct opened *o)
{
	return !o->pid || o->via == VIA_ACCEPT;
}

SEC("tp_btf/inet_sock_set_state")
int BPF_PROG(set_state, const struct sock *sk, int before, int after)
{
	struct task_struct *task;
	struct birth *birth;
	struct opened *o;
	__u64 cookie;

	if (sk->sk_protocol != IPPROTO_TCP || after == TCP_FIN_WAIT2 || after == TCP_CLOSE_WAIT || after == TCP_CLOSING)
		return 0;
	if (after == TCP_SYN_RECV) {
		birth = before == TCP_LISTEN ? birth_here() : 0;
		if (birth) {
			birth->child = (__u64)sk;
			birth->listener_cookie = cookie_of_listener(sk);
		}
		return 0;
	}
	cookie = bpf_get_socket_cookie((void *)sk);
	if (after == TCP_LISTEN) {
		task = bpf_get_current_task_btf();
		o = take_place(cookie);
		if (o) {
			o->time_ns = bpf_ktime_get_boot_ns();
			own(o, task, VIA_LISTEN);
		}
		tell_listener(sk, task, LIFE_LISTEN);
	} else if (after == TCP_SYN_SENT) {
		o = take_place(cookie);
		if (o) {
			o->time_ns = bpf_ktime_get_boot_ns();
			o->flags = OPENED_ACTIVELY;
			own_as_opener(o, sk);
		}
	} else if (after == TCP_ESTABLISHED) {
		o = take_place(cookie);
		if (o && !o->time_ns) {
			o->time_ns = bpf_ktime_get_boot_ns();
			o->via = VIA_LISTENER;
			birth = birth_here();
			if (birth && birth->child == (__u64)sk)
				o->start_ns = birth->listener_cookie;
		}
	} else if (after == TCP_FIN_WAIT1 || after == TCP_LAST_ACK) {
		o = find_opened(cookie);
		if (o && is_locked_by_current(sk)) {
			task = bpf_get_current_task_btf();
			if (task->flags & PF_EXITING) {
				o->flags |= OPENED_EXITING;
				o->exit_code = exit_code_of(task);
			}
			if (is_owner_open(o))
				own_as_closer(o);
		}
	} else if (after == TCP_CLOSE && before == TCP_LISTEN) {
		task = bpf_get_current_task_btf();
		know(task, task->tgid, task->group_leader->start_boottime);
		tell_listener(sk, task, LIFE_UNLISTEN);
	} else if (after == TCP_CLOSE) {
		o = find_opened(cookie);
		if (o) {
			o->state_before = before;
			if (is_owner_open(o) && is_locked_by_current(sk) && is_released(sk))
				own_as_closer(o);
		}
		tell_close(sk, o, cookie, before);
	}
	return 0;
}

/* the result's place among the arguments differs from kernel to kernel, so it is asked for */
SEC("?fexit/inet_csk_accept")
int BPF_PROG(accepted)
{
	struct opened *o;
	__u64 sk = 0;

	if (bpf_get_func_ret(ctx, &sk) || !sk)
		return 0;
	o = find_opened(BPF_CORE_READ((struct sock *)sk, __sk_common.skc_cookie.counter));
	if (o && o->via == VIA_LISTENER)
		own(o, bpf_get_current_task_btf(), VIA_ACCEPT);
	return 0;
}

/* on request only: the reader of an accepted connection is its owner, whichever process accepted it */
SEC("?tp_btf/tcp_rcv_space_adjust")
int BPF_PROG(reader, struct sock *sk)
{
	struct opened *o = find_opened(sk->__sk_common.skc_cookie.counter);

	if (o && (o->via == VIA_LISTENER || o->via == VIA_ACCEPT) && is_locked_by_current(sk))
		own(o, bpf_get_current_task_btf(), VIA_READ);
	return 0;
}

/* ---- resets ---- */

static __noinline void copy_closer(struct reset_event *e, struct task_struct *task)
{
	e->closer_pid = task->tgid;
	e->closer_start_ns = task->group_leader->start_boottime;
	if (task->flags & PF_EXITING) {
		e->flags |= EXITING | (task->signal->oom_mm ? OOM_VICTIM : 0);
		e->exit_code = exit_code_of(task);
	}
	know(task, e->closer_pid, e->closer_start_ns);
}

static __always_inline void copy_owner(struct reset_event *e, const struct opened *o)
{
	e->opened_ns = o->time_ns;
	e->owner_pid = o->pid;
	e->owner_start_ns = o->start_ns;
	e->owner_via = o->via;
	e->state_before = o->state_before;
	if (o->flags & OPENED_ACTIVELY)
		e->flags |= ACTIVE_OPEN;
	/* it was closed because its process ended; who makes an active reset says so itself */
	if (o->flags & OPENED_EXITING && e->flags & HAS_TRIGGER) {
		e->flags |= EXITING;
		e->exit_code = o->exit_code;
	}
}

/* TCP holds more memory than the third figure of net.ipv4.tcp_mem; what the kernel does about that it does to orphans */
static __noinline bool is_memory_exhausted(const struct sock *sk)
{
	struct proto *prot = sk->__sk_common.skc_prot;
	long limit = 0;

	bpf_probe_read_kernel(&limit, sizeof limit, prot->sysctl_mem + 2);
	return limit && prot->memory_allocated->counter > limit;
}

static __always_inline void copy_full_socket(struct reset_event *e, const struct sock *sk)
{
	const struct tcp_sock *tp = bpf_skc_to_tcp_sock((void *)sk);
	unsigned long flags = sk->__sk_common.skc_flags;
	struct opened *o = find_opened(e->socket_cookie);

	if (!tp)
		return;
	/* skc_num is already 0 when an active reset is traced */
	e->local_port = bpf_ntohs(tp->inet_conn.icsk_inet.inet_sport);
	if (o)
		copy_owner(e, o);
	if (e->state == TCP_LISTEN) {
		e->snd_nxt = sk->sk_ack_backlog;
		e->rcv_nxt = sk->sk_max_ack_backlog;
		if (e->snd_nxt > e->rcv_nxt)
			e->flags |= ACCEPT_QUEUE_FULL;
		if (sk->__sk_common.skc_net.net->ipv4.sysctl_tcp_abort_on_overflow)
			e->flags |= ABORT_ON_OVERFLOW;
		/* tcp_synq_overflow() stamps the listener in seconds; cookies are good for two minutes */
		if (tp->rx_opt.ts_recent_stamp && (__u64)tp->rx_opt.ts_recent_stamp + 122 > bpf_ktime_get_ns() / 1000000000)
			e->flags |= COOKIES_RECENT;
		if (tp->inet_conn.icsk_accept_queue.qlen.counter)
			e->flags |= EMBRYOS;
		return;
	}
	e->snd_nxt = tp->snd_nxt;
	e->rcv_nxt = tp->rcv_nxt;
	e->bytes_in = tp->bytes_received;
	e->bytes_out = tp->bytes_sent - tp->bytes_retrans;
	e->srtt_us = tp->srtt_us >> 3;
	e->idle_jiffies = idle_jiffies(tp);
	e->unread = tp->rcv_nxt - tp->copied_seq;
	if (flags & (1 << SOCK_DONE)) {
		e->flags |= FIN_RECEIVED;
		/* FIN takes a sequence number, and was counted as a byte */
		e->unread -= !!e->unread;
		e->bytes_in -= !!e->bytes_in;
	}
	if (tp->snd_una != tp->snd_nxt)
		e->flags |= DATA_UNACKED;
	if (tp->linger2 < 0)
		e->flags |= LINGER2_NEGATIVE;
	if (tp->inet_conn.icsk_user_timeout)
		e->flags |= USER_TIMEOUT;
	if (flags & (1 << SOCK_DEAD))
		e->flags |= ORPHANED | (is_memory_exhausted(sk) ? MEMORY_EXHAUSTED : 0);
	if (flags & (1 << SOCK_KEEPOPEN))
		e->flags |= KEEPALIVE;
	if (flags & (1 << SOCK_LINGER) && !sk->sk_lingertime)
		e->flags |= LINGER_ZERO;
	if (BPF_CORE_READ_BITFIELD(sk, sk_kern_sock))
		e->flags |= KERNEL_SOCKET;
	if (sk->sk_socket)
		e->flags |= HAS_FILE;
	if (is_released(sk))
		e->flags |= RELEASED;
	/* what comes while a process holds the lock is answered in its context too; that one did not make the reset */
	if (e->direction == RESET_SENT && !(e->flags & HAS_TRIGGER) && is_locked_by_current(sk))
		e->flags |= IN_CLOSER;
}

static __noinline void copy_socket(struct reset_event *e, const struct sock *sk)
{
	const struct sock_common *c = &sk->__sk_common;

	e->flags |= HAS_SOCKET;
	e->state = c->skc_state;
	e->socket_cookie = c->skc_cookie.counter;
	e->remote_port = bpf_ntohs(c->skc_dport);
	e->family = copy_addresses(e->local, e->remote, c);
	if (e->state == TCP_TIME_WAIT) {
		struct tcp_timewait_sock *tw = bpf_skc_to_tcp_timewait_sock((void *)sk);

		e->local_port = c->skc_num;
		if (tw)
			e->substate = tw->tw_sk.tw_substate;
	} else if (e->state != TCP_NEW_SYN_RECV) {
		copy_full_socket(e, sk);
	}
}

/* the segment that provoked the reset; its destination is our side */
static __always_inline void copy_trigger(struct reset_event *e, const struct sk_buff *skb)
{
	unsigned char *head = skb->head, ip[40], tcp[20];
	__u32 header;

	if (bpf_probe_read_kernel(ip, sizeof ip, head + skb->network_header) || bpf_probe_read_kernel(tcp, sizeof tcp, head + skb->transport_header))
		return;
	e->trigger_flags = tcp[13];
	e->trigger_seq = (__u32)tcp[4] << 24 | tcp[5] << 16 | tcp[6] << 8 | tcp[7];
	e->trigger_ack = (__u32)tcp[8] << 24 | tcp[9] << 16 | tcp[10] << 8 | tcp[11];
	e->trigger_window = tcp[14] << 8 | tcp[15];
	header = tcp[12] >> 4 << 2;
	e->trigger_options = header - 20;
	/* skb->len counts from skb->data, which stands at or before the TCP header */
	header += skb->transport_header - (__u32)(skb->data - head);
	e->trigger_length = skb->len > header ? skb->len - header : 0;
	e->remote_port = tcp[0] << 8 | tcp[1];
	e->local_port = tcp[2] << 8 | tcp[3];
	if (ip[0] >> 4 == 6) {
		e->family = AF_INET6;
		e->trigger_ttl = ip[7];
		__builtin_memcpy(e->remote, ip + 8, 16);
		__builtin_memcpy(e->local, ip + 24, 16);
	} else {
		e->family = AF_INET;
		e->trigger_ttl = ip[8];
		__builtin_memset(e->local, 0, 16);
		__builtin_memset(e->remote, 0, 16);
		__builtin_memcpy(e->remote, ip + 12, 4);
		__builtin_memcpy(e->local, ip + 16, 4);
	}
	bpf_probe_read_kernel(e->interface, sizeof e->interface, skb->dev->name);
}

/*
 * How many triggers were kept in this second (of 2^30 ns), by kind; the last place is for all of this CPU. Kinds that share
 * a place share what it allows.
 */
#define KINDS 1024
#define OF_A_KIND 8
#define OF_ALL 512
struct kept { __u32 second; __u32 count; };
struct { __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY); __uint(max_entries, KINDS + 1); __type(key, __u32); __type(value, struct kept); } kept SEC(".maps");

static __always_inline bool may_keep(__u32 place, __u32 second, __u32 most)
{
	struct kept *k = bpf_map_lookup_elem(&kept, &place);

	if (!k)
		return false;
	if (k->second != second) {
		k->second = second;
		k->count = 0;
	}
	if (k->count >= most)
		return false;
	k->count++;
	return true;
}

/* `from_anyone`: as in reserve(); a scan, in which each port is a kind, leaves room for the others */
static __noinline void keep_trigger(const struct reset_event *e, const struct sk_buff *skb, bool from_anyone)
{
	__u64 kind = e->netns_cookie ^ (__u64)e->local_port << 32 ^ (__u64)e->reason << 16 ^ e->trigger_flags;
	__u32 second = e->time_ns >> 30, place = kind * 0x9E3779B97F4A7C15ULL >> 54, bytes;
	struct trigger_event *t;

	if (!may_keep(place, second, OF_A_KIND) || !may_keep(KINDS, second, from_anyone ? OF_ALL / 4 * 3 : OF_ALL))
		return;
	t = bpf_ringbuf_reserve(&triggers, sizeof *t, 0);
	if (!t) {
		count_loss(LOSS_TRIGGERS);
		return;
	}
	t->time_ns = e->time_ns;
	t->netns_inode = e->netns_inode;
	t->ifindex = skb->dev->ifindex;
	t->length = skb->len + (__u32)(skb->data - skb->head) - skb->network_header;
	__builtin_memcpy(t->interface, e->interface, sizeof t->interface);
	/* what is not in one piece lies elsewhere: the headers do not */
	bytes = skb->tail - skb->network_header;
	asm volatile("" : "+r"(bytes));
	if (bytes > TRIGGER_BYTES)
		bytes = TRIGGER_BYTES;
	if (bpf_probe_read_kernel(t->data, bytes, skb->head + skb->network_header))
		bytes = 0;
	t->captured = bytes;
	bpf_ringbuf_submit(t, BPF_RB_NO_WAKEUP);
}

static __noinline void count_reset(__u64 netns_cookie, __u32 direction, __u32 reason, __u32 lost)
{
	struct tally_key key = { netns_cookie, direction, reason };
	struct tally *t = bpf_map_lookup_elem(&tallies, &key), first = { 1, lost };

	if (!t && bpf_map_update_elem(&tallies, &key, &first, BPF_NOEXIST)) {
		t = bpf_map_lookup_elem(&tallies, &key);	/* there is no room, or another CPU was first */
		if (!t)
			count_loss(LOSS_TALLY);
	}
	if (t) {
		t->seen++;
		t->lost += lost;
	}
}

/* `from_anyone`: no socket of ours was needed to provoke it; a flood of such shall not take the last of the room */
static __always_inline struct reset_event *reserve(__u64 netns_cookie, __u32 netns_inode, __u32 direction, __u32 reason, bool from_anyone)
{
	struct reset_event *e = 0;

	if (!from_anyone || bpf_ringbuf_query(&resets, BPF_RB_AVAIL_DATA) < bpf_ringbuf_query(&resets, BPF_RB_RING_SIZE) / 4 * 3)
		e = bpf_ringbuf_reserve(&resets, sizeof *e, 0);
	if (!e) {	/* asked once: the verifier of 6.1 does not remember the answer */
		count_reset(netns_cookie, direction, reason, 1);
		return 0;
	}
	count_reset(netns_cookie, direction, reason, 0);
	__builtin_memset(e, 0, sizeof *e);
	e->time_ns = bpf_ktime_get_boot_ns();
	e->netns_cookie = netns_cookie;
	e->netns_inode = netns_inode;
	e->direction = direction;
	e->reason = reason;
	return e;
}

/* the segment that tcp_check_req() looks at on this CPU: it belongs to a half-open request */
struct { __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY); __uint(max_entries, 1); __type(key, __u32); __type(value, __u64); } checked SEC(".maps");

static __always_inline void check(__u64 segment)
{
	__u32 zero = 0;
	__u64 *now = bpf_map_lookup_elem(&checked, &zero);
	if (now)
		*now = segment;
}

SEC("?fentry/tcp_check_req")
int BPF_PROG(check_request, struct sock *sk, struct sk_buff *skb)
{
	check((__u64)skb);
	return 0;
}

SEC("?fexit/tcp_check_req")
int BPF_PROG(checked_request)
{
	check(0);
	return 0;
}

static __always_inline __u8 met_by(const struct sk_buff *skb)
{
	__u32 zero = 0;
	__u64 *now = bpf_map_lookup_elem(&checked, &zero);
	return now && *now == (__u64)skb ? TCP_NEW_SYN_RECV : TCP_LISTEN;
}

/* `sk`, `skb`: NULL where there is none; `request`: what a listener's segment met, 0 where that is not known */
static __noinline void tell_sent(const struct sock *sk, const struct sk_buff *skb, __u32 reason, __u8 request)
{
	struct net *net = 0;
	struct reset_event *e;
	bool from_anyone = !sk || sk->__sk_common.skc_state == TCP_LISTEN;
	__u32 netns_inode = 0;
	__u64 netns_cookie = 0;

	if (sk)
		net = sk->__sk_common.skc_net.net;
	else if (skb)
		net = skb->dev->nd_net.net;
	if (net) {
		netns_cookie = net->net_cookie;
		netns_inode = net->ns.inum;
	}
	e = reserve(netns_cookie, netns_inode, RESET_SENT, reason, from_anyone);
	if (!e)
		return;
	if (skb)
		e->flags |= HAS_TRIGGER;
	if (sk)
		copy_socket(e, sk);
	if (skb) {
		copy_trigger(e, skb);
		if (settings.triggers_wanted)
			keep_trigger(e, skb, from_anyone);
	}
	if (e->state == TCP_LISTEN)
		e->substate = request;
	/* the children of a closing listener are nobody's: their lock is free, but the closer is at work */
	if (e->flags & IN_CLOSER || (!skb && e->state == TCP_CLOSE && !(e->flags & HAS_FILE)))
		copy_closer(e, bpf_get_current_task_btf());
	submit(&resets, e, sizeof *e);
}

/*
 * Kernels before 6.13 have the verifier believe that a tracepoint's arguments are never NULL: it drops a check for that,
 * and a read through NULL would end the kernel. Half of a pointer is a number to the verifier, so it asks that instead.
 */
static __always_inline bool is_given(const void *argument)
{
	__u32 half;

	asm volatile("%0 = %1" : "=w"(half) : "w"((__u32)(__u64)argument));
	return half;
}

SEC("?tp_btf/tcp_send_reset")
int BPF_PROG(send_reset, const struct sock *sk, const struct sk_buff *skb)
{
	bool has_reason = bpf_core_type_exists(enum sk_rst_reason);	/* kernels without the type have no third argument */
	bool has_sk = is_given(sk), has_skb = is_given(skb);
	__u32 reason = 0;
	__u8 request = 0;

	if (has_reason)
		reason = ctx[2];
	if (settings.tier >= TIER_FUNCTIONS || (settings.tier == TIER_PASSIVE_REASONS && !has_skb)) {
		/* what the kernel functions would tell, or the tracepoint of older kernels */
		if (settings.tier == TIER_FUNCTIONS)
			request = has_reason && reason == bpf_core_enum_value(enum sk_rst_reason, SK_RST_REASON_INVALID_SYN) ? TCP_NEW_SYN_RECV : TCP_LISTEN;
		reason = 0;
	}
	if (has_sk && sk) {
		if (settings.tier == TIER_DROPS && sk->__sk_common.skc_state == TCP_TIME_WAIT)
			return 0;
		if (has_skb && skb)
			tell_sent(sk, skb, reason, request);
		else
			tell_sent(sk, 0, reason, request);
	} else if (has_skb && skb && settings.tier != TIER_DROPS) {
		tell_sent(0, skb, reason, request);
	}
	return 0;
}

/* whether the stack answers a segment that met no socket: never a reset, and only where it was for this host alone */
static __always_inline bool is_answered(const struct sk_buff *skb, bool v6)
{
	void *route = (void *)(skb->_skb_refdst & ~1UL);
	unsigned char flags = 0;

	bpf_probe_read_kernel(&flags, 1, skb->head + skb->transport_header + 13);
	if (flags & TCP_FLAG_RST)
		return false;
	return v6 ? BPF_CORE_READ((struct rt6_info *)route, rt6i_flags) & RTF_LOCAL : BPF_CORE_READ((struct rtable *)route, rt_type) == RTN_LOCAL;
}

static __noinline void tell_answer(const struct sock *sk, const struct sk_buff *skb, bool v6)
{
	unsigned char flags = 0;

	if (sk) {
		bpf_probe_read_kernel(&flags, 1, skb->head + skb->transport_header + 13);
		if (!(flags & TCP_FLAG_RST))
			tell_sent(sk, skb, 0, settings.requests_known ? met_by(skb) : 0);
	} else if (is_answered(skb, v6)) {
		tell_sent(0, skb, 0, 0);
	}
}

SEC("?fentry/tcp_v4_send_reset")
int BPF_PROG(answer_v4, const struct sock *sk, const struct sk_buff *skb)
{
	tell_answer(sk, skb, false);
	return 0;
}

SEC("?fentry/tcp_v6_send_reset")
int BPF_PROG(answer_v6, const struct sock *sk, const struct sk_buff *skb)
{
	tell_answer(sk, skb, true);
	return 0;
}

SEC("?fentry/tcp_send_active_reset")
int BPF_PROG(abort, const struct sock *sk)
{
	tell_sent(sk, 0, 0, 0);
	return 0;
}

/* beside the tracepoint of older kernels, which tells of a reset only where there is a full socket */
SEC("?tp_btf/kfree_skb")
int BPF_PROG(drop, const struct sk_buff *skb, void *location, int why)
{
	unsigned char ip[20] = {};
	bool v6;

	if (why != bpf_core_enum_value(enum skb_drop_reason, SKB_DROP_REASON_NO_SOCKET))
		return 0;
	bpf_probe_read_kernel(ip, sizeof ip, skb->head + skb->network_header);
	v6 = ip[0] >> 4 == 6;
	if (ip[v6 ? 6 : 9] == IPPROTO_TCP && is_answered(skb, v6))
		tell_sent(0, skb, 0, 0);
	return 0;
}

SEC("tp_btf/tcp_receive_reset")
int BPF_PROG(receive_reset, struct sock *sk)
{
	struct net *net = sk->__sk_common.skc_net.net;
	struct opened *o = find_opened(sk->__sk_common.skc_cookie.counter);
	struct reset_event *e;

	if (o)
		o->flags |= OPENED_GOT_RESET;
	e = reserve(net->net_cookie, net->ns.inum, RESET_RECEIVED, 0, false);
	if (!e)
		return 0;
	copy_socket(e, sk);
	submit(&resets, e, sizeof *e);
	return 0;
}

/* ---- what was there before ---- */

/*
 * Whether a connection was accepted here, of which nobody saw the beginning. What is born of a listener is given the
 * interface that its handshake came by as that for multicast (tcp_v4_syn_recv_sock(), tcp_v6_syn_recv_sock()), which
 * nobody can set on a stream (do_ip_setsockopt(), IP_MULTICAST_IF).
 */
static __always_inline bool was_accepted(struct sock *sk)
{
	struct inet_sock *inet = (void *)sk;

	if (!bpf_core_field_exists(inet->mc_index) || !bpf_core_field_exists(struct ipv6_pinfo, mcast_oif))
		return true;	/* it cannot be told */
	if (BPF_CORE_READ(inet, mc_index))
		return true;
	return sk->__sk_common.skc_family == AF_INET6 && BPF_CORE_READ(inet, pinet6, mcast_oif);
}

SEC("iter/task_file")
int held_sockets(struct bpf_iter__task_file *ctx)
{
	struct task_struct *task = ctx->task;
	struct file *file = ctx->file;
	struct held_socket h = {};
	struct known walked = { 0, ONLY_WALKED }, *have;
	struct socket *socket;
	struct opened *o;
	struct sock *sk;

	if (!task || !file || !(socket = bpf_sock_from_file(file)) || !(sk = socket->sk) || sk->sk_protocol != IPPROTO_TCP)
		return 0;
	h.pid = task->tgid;
	h.start_ns = task->group_leader->start_boottime;
	h.uid = task->cred->euid.val;
	h.state = sk->__sk_common.skc_state;
	h.socket_cookie = bpf_get_socket_cookie(sk);
	o = place_of(h.socket_cookie);
	/* cookies count upwards: the place of a younger socket stays that one's */
	if (o && o->cookie <= h.socket_cookie) {
		o = take_place(h.socket_cookie);
		/*
		 * Of several that hold it the youngest serves what was accepted; where that is not known it is the
		 * eldest, from which the others inherited it.
		 */
		if (o && (!o->pid || (o->via == VIA_FILE && (h.start_ns > o->start_ns) == !!o->time_ns))) {
			o->pid = h.pid;
			o->start_ns = h.start_ns;
			o->via = VIA_FILE;
		}
		if (o && !o->time_ns && h.state != TCP_LISTEN && h.state != TCP_CLOSE && !was_accepted(sk))
			o->flags |= OPENED_ACTIVELY;
	}
	have = bpf_map_lookup_elem(&processes, &h.pid);
	if (!have || have->start_ns != h.start_ns) {
		walked.start_ns = h.start_ns;
		bpf_map_update_elem(&processes, &h.pid, &walked, BPF_ANY);
	}
	h.netns_cookie = sk->__sk_common.skc_net.net->net_cookie;
	h.netns_inode = sk->__sk_common.skc_net.net->ns.inum;
	h.backlog = sk->sk_max_ack_backlog;
	h.local_port = bpf_ntohs(BPF_CORE_READ((struct inet_sock *)sk, inet_sport));
	h.remote_port = bpf_ntohs(sk->__sk_common.skc_dport);
	if (h.state == TCP_LISTEN) {
		h.family = sk->__sk_common.skc_family;
		if (h.family == AF_INET6)
			__builtin_memcpy(h.local, &sk->__sk_common.skc_v6_rcv_saddr, 16);
		else
			copy_ipv4(h.local, sk->__sk_common.skc_rcv_saddr);
		h.flags = BPF_CORE_READ_BITFIELD(&sk->__sk_common, skc_ipv6only);
	} else {
		h.family = copy_addresses(h.local, h.remote, &sk->__sk_common);
	}
	bpf_probe_read_kernel(h.comm, sizeof h.comm, task->group_leader->comm);
	bpf_seq_write(ctx->meta->seq, &h, sizeof h);
	return 0;
}

#include "netns.bpf.h"
