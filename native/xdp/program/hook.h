// SPDX-License-Identifier: MIT OR GPL-2.0-only
// The two places where the kernel runs the program, and how a packet is taken hold of in each: in
// the driver or in place of it (XDP), where it is a frame, and behind the driver (TCX), where it is
// a socket buffer.
//
// `hook` is a constant wherever it is used: each program has its own half of this only.
#pragma once

#include "tables.h"

enum hook { IN_DRIVER, BEHIND_DRIVER };

#define XDP(ctx) ((struct xdp_md *)(ctx))
#define SKB(ctx) ((struct skb *)(ctx))

INLINE void *start_of(void *ctx, enum hook hook)
{
	return (void *)(long)(hook == IN_DRIVER ? XDP(ctx)->data : SKB(ctx)->data);
}

INLINE void *end_of(void *ctx, enum hook hook)
{
	return (void *)(long)(hook == IN_DRIVER ? XDP(ctx)->data_end : SKB(ctx)->data_end);
}

INLINE u32 interface_of(void *ctx, enum hook hook)
{
	return hook == IN_DRIVER ? XDP(ctx)->ingress_ifindex : SKB(ctx)->ifindex;
}

INLINE u32 frame_length(void *ctx, enum hook hook)
{
	return hook == IN_DRIVER ? xdp_get_buff_len(ctx) : SKB(ctx)->length;
}

INLINE long load(void *ctx, enum hook hook, u32 at, void *to, u32 length)
{
	return hook == IN_DRIVER ? xdp_load_bytes(ctx, at, to, length) : skb_load_bytes(ctx, at, to, length);
}

// Behind a driver: whether the packet is one packet of this link, with its headers in one piece. A
// train of them (GRO) goes to the server's sockets faster than one by one from here.
INLINE int is_plain(struct skb *skb)
{
	enum { HEADERS = sizeof(((struct packet *)0)->headers) };
	if (skb->vlan_present || skb->gso_size)
		return 0;
	u32 length = skb->length < HEADERS ? skb->length : HEADERS;
	if ((void *)((u8 *)start_of(skb, BEHIND_DRIVER) + HEADERS) <= end_of(skb, BEHIND_DRIVER))
		return 1;
	return skb_pull_data(skb, length) == 0;
}

// What became of a packet that was to be resized. BROKEN: there is no way back.
enum resized { UNTOUCHED, RESIZED, BROKEN };

// Makes the frame longer or shorter, at its beginning and at its end. Where there is no room for
// filling it up it came over a virtual link, which has no shortest frame.
INLINE enum resized resize_frame(struct xdp_md *ctx, u32 frame, int head, u32 size)
{
	if (head && xdp_adjust_head(ctx, head))
		return UNTOUCHED;
	u32 wanted = size < SHORTEST_FRAME ? SHORTEST_FRAME : size;
	int tail = (int)wanted - ((int)frame - head);
	if (tail == 0 || xdp_adjust_tail(ctx, tail) == 0 || wanted > size)
		return RESIZED;
	return xdp_adjust_head(ctx, -head) ? BROKEN : UNTOUCHED;
}

// The same of a socket buffer, which the driver fills up when it leaves. `type`: of the other family,
// or 0. After the first step nothing fails but for lack of memory.
INLINE enum resized resize_buffer(struct skb *ctx, u32 frame, int head, u32 size, u16 type)
{
	int between = type == 0 ? 0 : (int)sizeof(struct ipv6) - (int)sizeof(struct ipv4);
	if (type == NET16(TYPE_IPV6))
		between = -between;
	if (type && skb_change_proto(ctx, type, 0))
		return UNTOUCHED;
	if (head != between && skb_adjust_room(ctx, between - head, ROOM_BEHIND_ETHERNET, 0))
		return type ? BROKEN : UNTOUCHED;
	if ((u32)((int)frame - head) != size && skb_change_tail(ctx, size, 0))
		return BROKEN;
	return RESIZED;
}
