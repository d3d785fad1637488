/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/*
 * Reads the counters of every network namespace from the kernel's own memory: also of those without a name or a
 * process, which nothing in /proc leads to. Run through BPF_PROG_TEST_RUN, under RCU, so no namespace is freed
 * under it. Arguments: number of CPUs, whether to read the extended counters too.
 */
#define MIB_LONGS 256

struct { __uint(type, BPF_MAP_TYPE_ARRAY); __uint(map_flags, BPF_F_MMAPABLE); __uint(max_entries, NETNS_MAX); __type(key, __u32); __type(value, struct netns_counters); } namespaces SEC(".maps");
struct { __uint(type, BPF_MAP_TYPE_ARRAY); __uint(map_flags, BPF_F_MMAPABLE); __uint(max_entries, 1); __type(key, __u32); __type(value, struct walk); } walked SEC(".maps");
struct { __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY); __uint(max_entries, 1); __type(key, __u32); __type(value, __u64[MIB_LONGS]); } scratch SEC(".maps");

struct walker {
	__u64 net;		/* struct net *, as a number: every read of it is checked */
	__u64 ops;		/* what a real namespace's ns.ops is: the list's head has none */
	__u64 percpu_base;
	__u32 cpus;
	__u32 extended;
	__u32 index;
	__u32 found;
};

static long add_cpu(__u32 cpu, struct walker *w)
{
	__u32 zero = 0, index = w->index, i;
	struct netns_counters *row = bpf_map_lookup_elem(&namespaces, &index);
	__u64 *mib = bpf_map_lookup_elem(&scratch, &zero), offset;
	void *there = bpf_map_lookup_percpu_elem(&scratch, &zero, cpu);
	struct net *net = (struct net *)w->net;

	if (!row || !mib || !there)
		return 1;
	/* our own per-CPU map tells where a CPU's copies lie: __per_cpu_offset[] has no address without KALLSYMS_ALL */
	offset = address_of(there) - w->percpu_base;
	if (bpf_probe_read_kernel(mib, TCP_COUNTERS * 8, (void *)((__u64)BPF_CORE_READ(net, mib.tcp_statistics) + offset)))
		return 1;
	for (i = 0; i < TCP_COUNTERS; i++)
		row->tcp[i] += mib[i];
	if (!w->extended)
		return 0;
	if (bpf_probe_read_kernel(mib, bpf_core_type_size(struct linux_mib) & (MIB_LONGS * 8 - 1), (void *)((__u64)BPF_CORE_READ(net, mib.net_statistics) + offset)))
		return 1;
	for (i = 0; i < EXT_COUNTERS && i < settings.ext_wanted; i++)
		row->ext[i] += mib[settings.ext_index[i] & (MIB_LONGS - 1)];
	return 0;
}

static long next_namespace(__u32 step, struct walker *w)
{
	struct net *net = (struct net *)w->net;
	struct netns_counters *row;
	__u32 index = w->found;

	if ((__u64)BPF_CORE_READ(net, ns.ops) == w->ops) {
		w->found++;
		row = bpf_map_lookup_elem(&namespaces, &index);
		if (row) {
			__builtin_memset(row, 0, sizeof *row);
			row->cookie = BPF_CORE_READ(net, net_cookie);
			row->inode = BPF_CORE_READ(net, ns.inum);
			row->complete = w->extended;
			w->index = index;
			bpf_loop(w->cpus, add_cpu, w, 0);
		}
	}
	w->net = (__u64)BPF_CORE_READ(net, list.next) - bpf_core_field_offset(struct net, list);
	return (struct net *)w->net == bpf_get_current_task_btf()->nsproxy->net_ns;
}

SEC("?raw_tp")
int walk_namespaces(__u64 *ctx)
{
	struct net *first = bpf_get_current_task_btf()->nsproxy->net_ns;
	struct walker w = { .net = (__u64)first, .ops = (__u64)first->ns.ops, .cpus = ctx[0], .extended = ctx[1] };
	__u64 map = address_of(&scratch);
	struct walk *result;
	__u32 zero = 0;

	result = bpf_map_lookup_elem(&walked, &zero);
	if (!result || bpf_probe_read_kernel(&w.percpu_base, sizeof w.percpu_base, (void *)(map + bpf_core_field_offset(struct bpf_array, pptrs))))
		return 1;
	bpf_loop(4 * NETNS_MAX, next_namespace, &w, 0);
	result->jiffies = bpf_jiffies64();
	result->monotonic_ns = bpf_ktime_get_ns();
	result->namespaces = w.found;
	result->written = w.found < NETNS_MAX ? w.found : NETNS_MAX;
	return 0;
}
