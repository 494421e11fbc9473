// SPDX-License-Identifier: MIT OR GPL-2.0-only
// What the program needs of the kernel's interface (linux/bpf.h) and of what is on the wire.
//
// Written out here, so that compiling needs no headers of any system.
#pragma once

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;
typedef long long s64;

#define SECTION(name) __attribute__((section(name), used))
#define INLINE static inline __attribute__((always_inline))
#define LIKELY(condition) __builtin_expect(!!(condition), 1)
// From here on what is needed is read from memory again. Else the compiler keeps it on the stack, and
// each word that is written there costs ten nanoseconds where the kernel guards it from being guessed at
// (without CAP_PERFMON).
#define FORGET() asm volatile("" ::: "memory")
#define NET16(value) ((u16)__builtin_bswap16(value))

// A map, as libbpf and aya read it from the type information.
#define MAP_NUMBER(name, value) int(*name)[value]
#define MAP_TYPE(name, type) type *name

enum { MAP_HASH = 1, MAP_PERCPU_ARRAY = 6, MAP_DEVMAP_HASH = 25 };
enum { XDP_ABORTED, XDP_DROP, XDP_PASS, XDP_TX, XDP_REDIRECT };
// Of a program behind the driver (TCX): on to the next one, and nowhere.
enum { TC_NEXT = -1, TC_SHOT = 2 };
enum { ROOM_BEHIND_ETHERNET = 1, RECOMPUTE_CHECKSUM = 1 };
enum { FAMILY_IPV4 = 2, FAMILY_IPV6 = 10 };
enum { FIB_SUCCESS = 0 };
// The interface number of "lo" in every network namespace.
enum { LOOPBACK = 1 };

struct xdp_md {
	u32 data;
	u32 data_end;
	u32 data_meta;
	u32 ingress_ifindex;
	u32 rx_queue_index;
	u32 egress_ifindex;
};

// `__sk_buff`, with gaps for what is not needed.
struct skb {
	u32 length;
	u32 gap_1[4];
	u32 vlan_present;
	u32 gap_2[4];
	u32 ifindex;
	u32 gap_3[8];
	u32 data;
	u32 data_end;
	u32 gap_4[23];
	u32 gso_size;
};

struct bpf_fib_lookup {
	u8 family;
	u8 l4_protocol;
	u16 sport;
	u16 dport;
	// Of the packet; afterwards what the way takes.
	u16 tot_len;
	u32 ifindex;
	u32 flowinfo;
	u32 source[4];
	u32 destination[4];
	u32 vlan;
	u16 smac[3];
	u16 dmac[3];
};

static void *(*const map_lookup)(void *map, const void *key) = (void *)1;
static u64 (*const ktime_get_ns)(void) = (void *)5;
static u32 (*const get_prandom_u32)(void) = (void *)7;
static long (*const skb_store_bytes)(struct skb *ctx, u32 at, const void *from, u32 length, u64 flags) = (void *)9;
static long (*const redirect)(u32 ifindex, u64 flags) = (void *)23;
static long (*const skb_load_bytes)(struct skb *ctx, u32 at, void *to, u32 length) = (void *)26;
static long (*const skb_change_proto)(struct skb *ctx, u16 type, u64 flags) = (void *)31;
static long (*const skb_change_tail)(struct skb *ctx, u32 length, u64 flags) = (void *)38;
static long (*const skb_pull_data)(struct skb *ctx, u32 length) = (void *)39;
static long (*const xdp_adjust_head)(struct xdp_md *ctx, int by) = (void *)44;
static long (*const skb_adjust_room)(struct skb *ctx, int by, u32 where, u64 flags) = (void *)50;
static long (*const redirect_map)(void *map, u64 key, u64 flags) = (void *)51;
static long (*const xdp_adjust_tail)(struct xdp_md *ctx, int by) = (void *)65;
static long (*const fib_lookup)(void *ctx, struct bpf_fib_lookup *fib, int size, u32 flags) = (void *)69;
static u64 (*const xdp_get_buff_len)(struct xdp_md *ctx) = (void *)188;
static long (*const xdp_load_bytes)(struct xdp_md *ctx, u32 at, void *to, u32 length) = (void *)189;

// On the wire, without gaps. Everything is in network order.

struct ethernet {
	u16 to[3];
	u16 from[3];
	u16 type;
};

struct ipv4 {
	u8 version_and_length;
	u8 tos;
	u16 length;
	u16 id;
	u16 fragment;
	u8 ttl;
	u8 protocol;
	u16 checksum;
	u32 from;
	u32 to;
};

struct ipv6 {
	u32 version_and_flow;
	u16 length;
	u8 next;
	u8 hop_limit;
	u32 from[4];
	u32 to[4];
};

struct udp {
	u16 from;
	u16 to;
	u16 length;
	u16 checksum;
};

// ChannelData (RFC 8656 §12.4).
struct channel_data {
	u16 number;
	u16 length;
};

enum { TYPE_IPV4 = 0x0800, TYPE_IPV6 = 0x86DD };
enum { PROTOCOL_UDP = 17 };
enum { DONT_FRAGMENT = 0x4000, ANY_FRAGMENT = 0x3FFF };
// A frame has at least so many octets (without its checksum); not every driver fills it up.
enum { SHORTEST_FRAME = 60 };
