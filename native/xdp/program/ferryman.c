// SPDX-License-Identifier: MIT OR GPL-2.0-only
// Forwards the packets of known channels between the interfaces' ends (RFC 8656 §12), before the
// network stack sees them, in the driver or right behind it: from a client the ChannelData header is taken away, to a client it is
// put in front.
//
// Whatever it is not sure of it passes on untouched, to the stack and to the server's sockets: it
// never drops a packet. It decides nothing: `flows` says where a packet goes and until when.
#include "hook.h"
#include "read.h"

char licence[] SECTION("license") = "Dual MIT/GPL";

// What the system puts into packets of its own; the loader writes them.
const volatile u32 ipv4_ttl = 64;
const volatile u32 ipv6_hop_limit = 64;

// The one place in `packets`.
const u32 only = 0;
const u32 forwarded = FORWARDED;

INLINE void tally(const u32 *verdict)
{
	u64 *count = map_lookup(&verdicts, verdict);
	if (count)
		*count += 1;
}

INLINE int pass(enum hook hook, u32 verdict)
{
	tally(&verdict);
	return hook == IN_DRIVER ? XDP_PASS : TC_NEXT;
}

// The flow of a packet: a client's by its channel, else a peer's.
INLINE struct flow *find(struct packet *packet)
{
	packet->key.channel = read_channel(packet);
	if (packet->key.channel) {
		struct flow *flow = map_lookup(&flows, &packet->key);
		if (flow)
			return flow;
	}
	// A peer's payload may look like ChannelData.
	packet->key.channel = 0;
	packet->padding = 0;
	return map_lookup(&flows, &packet->key);
}

INLINE u32 header_of(const struct flow *flow)
{
	return flow->family == FAMILY_IPV4 ? sizeof(struct ipv4) : sizeof(struct ipv6);
}

// Octets of a ChannelData header that come in front of the payload, and those that are taken away.
INLINE u32 in_front_of(const struct flow *flow)
{
	return flow->channel ? sizeof(struct channel_data) : 0;
}

INLINE u32 behind_of(const struct flow *flow)
{
	return flow->channel ? 0 : sizeof(struct channel_data);
}

INLINE u32 without(u16 word)
{
	return (u16)~word;
}

// What the padding adds to the checksum is taken out of it; `sum` as in `checksum_of`.
INLINE u32 without_padding(void *ctx, enum hook hook, const struct packet *packet, u32 sum)
{
	u32 count = packet->padding & 3;
	u32 at = packet->payload - packet->padding;
	if (LIKELY(count == 0))
		return sum;
	u8 octets[4] = {};
	if (load(ctx, hook, sizeof(struct ethernet) + packet->header + at, octets, count))
		return sum;
	// Words begin at even octets, and the first of a word is its low octet here.
#pragma unroll
	for (u32 i = 0; i < 3; i++)
		sum += without((at + i) & 1 ? octets[i] << 8 : octets[i]);
	return sum;
}

// The UDP checksum of what leaves, from that of what came (RFC 1624): what was wrong stays wrong.
INLINE u16 checksum_of(void *ctx, enum hook hook, const struct packet *packet, const struct flow *flow)
{
	u32 sum = without(packet->checksum) + flow->sum;
	// Once in the header, once in the pseudo-header.
	sum += 2 * without(packet->udp_length) + 2 * (u32)NET16(packet->leaving);
	if (flow->channel)
		sum += NET16(packet->body);
	else
		sum = without_padding(ctx, hook, packet, sum + without(packet->length));
	u16 checksum = ~fold(sum);
	return checksum ? checksum : 0xFFFF;
}

INLINE void copy_ip(u32 *to, const u32 *from)
{
#pragma unroll
	for (int i = 0; i < 4; i++)
		to[i] = from[i];
}

// Whether the checksum is the sender's half of one: what is sent over a virtual link is often left for
// a network card to complete. (So looks one whole checksum in 65,535 as well.)
INLINE int is_partial(const struct packet *packet, const struct flow *flow)
{
	return packet->checksum == fold(flow->partial + packet->udp_length);
}

// How long an answer about a way holds, ns. A link, a route or a neighbour that changes is followed
// so late at most.
enum { WAY_HOLDS = 100000000 };

// Asks where a packet of this flow leaves, as for one of the machine's own. Not inlined, for it is
// seldom done.
static __attribute__((noinline)) int ask_way(void *ctx, const struct flow *flow, struct track *track, u32 total)
{
	struct bpf_fib_lookup fib = {
		.family = flow->family,
		.l4_protocol = PROTOCOL_UDP,
		.sport = flow->from_port,
		.dport = flow->to_port,
		.tot_len = total,
		.ifindex = LOOPBACK,
	};
	copy_ip(fib.source, flow->from_ip);
	copy_ip(fib.destination, flow->to_ip);
	track->known_until = 0;
	if (fib_lookup(ctx, &fib, sizeof(fib), 0) != FIB_SUCCESS)
		return NO_ROUTE;
	if (!map_lookup(&interfaces, &fib.ifindex))
		return NO_INTERFACE;
	track->number = flow->number;
	track->interface = fib.ifindex;
	track->longest = fib.tot_len;
#pragma unroll
	for (int i = 0; i < 3; i++) {
		track->to[i] = fib.dmac[i];
		track->from[i] = fib.smac[i];
	}
	return FORWARDED;
}

// FORWARDED when `track` tells the way of a packet, whose IP packet has `total` octets; or why not.
INLINE int find_way(void *ctx, const struct packet *packet, const struct flow *flow, struct track *track, u32 total)
{
	if (LIKELY(track->known_until > packet->now && track->number == flow->number))
		return total <= track->longest ? FORWARDED : NO_ROUTE;
	int verdict = ask_way(ctx, flow, track, total);
	if (verdict == FORWARDED)
		track->known_until = packet->now + WAY_HOLDS;
	return verdict;
}

// Whether writing until there would leave the packet. (Behind a driver it is not the packet yet, and
// the place has room for any.)
INLINE int is_outside(enum hook hook, const void *address, const void *end)
{
	return hook == IN_DRIVER && address > end;
}

INLINE int write_udp(enum hook hook, struct udp *udp, void *end, const struct flow *flow, const struct packet *packet)
{
	struct channel_data *message = (void *)(udp + 1);
	if (is_outside(hook, udp + 1, end))
		return 0;
	udp->from = flow->from_port;
	udp->to = flow->to_port;
	udp->length = NET16(packet->leaving);
	udp->checksum = packet->leaving_checksum;
	if (!flow->channel)
		return 1;
	if (is_outside(hook, message + 1, end))
		return 0;
	message->number = flow->channel;
	message->length = NET16(packet->body);
	return 1;
}

INLINE int write_ipv4(enum hook hook, struct ipv4 *ip, void *end, const struct flow *flow, const struct packet *packet)
{
	if (is_outside(hook, ip + 1, end))
		return 0;
	ip->version_and_length = 0x45;
	ip->tos = 0;
	ip->length = NET16(sizeof(*ip) + packet->leaving);
	ip->id = get_prandom_u32();
	ip->fragment = 0;
	ip->ttl = ipv4_ttl;
	ip->protocol = PROTOCOL_UDP;
	ip->checksum = 0;
	ip->from = flow->from_ip[0];
	ip->to = flow->to_ip[0];
	ip->checksum = ~header_sum(ip);
	return write_udp(hook, behind_ip(ip + 1), end, flow, packet);
}

INLINE int write_ipv6(enum hook hook, struct ipv6 *ip, void *end, const struct flow *flow, const struct packet *packet)
{
	if (is_outside(hook, ip + 1, end))
		return 0;
	ip->version_and_flow = 0x60;
	ip->length = NET16(packet->leaving);
	ip->next = PROTOCOL_UDP;
	ip->hop_limit = ipv6_hop_limit;
	copy_ip(ip->from, flow->from_ip);
	copy_ip(ip->to, flow->to_ip);
	return write_udp(hook, behind_ip(ip + 1), end, flow, packet);
}

INLINE int write_headers(enum hook hook, struct ethernet *ethernet, void *end, const struct track *track, const struct flow *flow,
			 const struct packet *packet)
{
	if (is_outside(hook, ethernet + 1, end))
		return 0;
#pragma unroll
	for (int i = 0; i < 3; i++) {
		ethernet->to[i] = track->to[i];
		ethernet->from[i] = track->from[i];
	}
	if (flow->family == FAMILY_IPV4) {
		ethernet->type = NET16(TYPE_IPV4);
		return write_ipv4(hook, (void *)(ethernet + 1), end, flow, packet);
	}
	ethernet->type = NET16(TYPE_IPV6);
	return write_ipv6(hook, (void *)(ethernet + 1), end, flow, packet);
}

// Into a socket buffer: so that what the driver has summed up stays the sum of it.
INLINE int store_headers(struct skb *ctx, struct packet *packet, u32 length)
{
	enum { ETHERNET = sizeof(struct ethernet), LONGEST_OTHERS = sizeof(packet->headers) - ETHERNET };
	if (length == 0 || length > LONGEST_OTHERS)
		return 0;
	return skb_store_bytes(ctx, 0, packet->headers, ETHERNET, 0) == 0 &&
	       skb_store_bytes(ctx, ETHERNET, packet->headers + ETHERNET, length, RECOMPUTE_CHECKSUM) == 0;
}

// Room has been made for all of it; the verifier does not know.
INLINE int write(void *ctx, enum hook hook, struct packet *packet, const struct track *track, const struct flow *flow)
{
	if (hook == IN_DRIVER)
		return write_headers(hook, start_of(ctx, hook), end_of(ctx, hook), track, flow, packet);
	return write_headers(hook, (void *)packet->headers, 0, track, flow, packet) &&
	       store_headers(ctx, packet, header_of(flow) + sizeof(struct udp) + in_front_of(flow));
}

INLINE enum resized resize(void *ctx, enum hook hook, const struct packet *packet, const struct flow *flow)
{
	u32 header = header_of(flow);
	int head = (int)(packet->header + behind_of(flow)) - (int)(header + in_front_of(flow));
	u32 size = sizeof(struct ethernet) + header + packet->leaving;
	if (hook == IN_DRIVER)
		return resize_frame(ctx, packet->frame, head, size);
	u16 type = flow->family == FAMILY_IPV4 ? NET16(TYPE_IPV4) : NET16(TYPE_IPV6);
	return resize_buffer(ctx, packet->frame, head, size, flow->family == packet->key.family ? 0 : type);
}

INLINE int send(void *ctx, enum hook hook, u32 interface)
{
	if (hook == BEHIND_DRIVER)
		return redirect(interface, 0);
	return interface == interface_of(ctx, hook) ? XDP_TX : redirect_map(&interfaces, interface, 0);
}

// FORWARDED when what leaves is known, and its checksum; or why it does not.
INLINE int prepare(void *ctx, enum hook hook, struct packet *packet, const struct flow *flow)
{
	packet->leaving = packet->payload - behind_of(flow) - packet->padding + in_front_of(flow);
	packet->leaving_checksum = 0;
	if (packet->checksum)
		packet->leaving_checksum = checksum_of(ctx, hook, packet, flow);
	else if (flow->family != FAMILY_IPV4)
		// UDP over IPv6 must have one; the stack makes it.
		return NO_CHECKSUM;
	return is_partial(packet, flow) ? PARTIAL_CHECKSUM : FORWARDED;
}

// Puts the packet where its flow says; it has been untouched until here.
INLINE int forward(void *ctx, enum hook hook, struct packet *packet, const struct flow *flow)
{
	int verdict = prepare(ctx, hook, packet, flow);
	FORGET();
	if (verdict != FORWARDED)
		return pass(hook, verdict);
	struct track *track = map_lookup(&tracks, &flow->track);
	if (!track)
		return pass(hook, NO_FLOW);
	verdict = find_way(ctx, packet, flow, track, header_of(flow) + packet->leaving);
	FORGET();
	if (verdict != FORWARDED)
		return pass(hook, verdict);
	enum resized resized = resize(ctx, hook, packet, flow);
	FORGET();
	if (resized == UNTOUCHED)
		return pass(hook, NO_ROOM);
	if (resized == BROKEN || !write(ctx, hook, packet, track, flow))
		return hook == IN_DRIVER ? XDP_ABORTED : TC_SHOT;
	FORGET();
	track->packets += 1;
	track->bytes += packet->leaving - sizeof(struct udp) - in_front_of(flow);
	tally(&forwarded);
	return send(ctx, hook, track->interface);
}

INLINE int look_at(void *ctx, enum hook hook)
{
	struct packet *packet = map_lookup(&packets, &only);
	void *end = end_of(ctx, hook);
	struct ethernet *ethernet = start_of(ctx, hook);
	int verdict = NOT_UDP;

	if ((void *)(ethernet + 1) > end || !packet)
		return pass(hook, ODD);
	packet->frame = frame_length(ctx, hook);
	if (ethernet->type == NET16(TYPE_IPV4))
		verdict = read_ipv4(packet, (void *)(ethernet + 1), end);
	else if (ethernet->type == NET16(TYPE_IPV6))
		verdict = read_ipv6(packet, (void *)(ethernet + 1), end);
	if (verdict != FORWARDED)
		return pass(hook, verdict);
	// Not sent to this machine alone.
	if (*(u8 *)ethernet & 1)
		return pass(hook, ODD);
	FORGET();

	struct flow *flow = find(packet);
	if (!flow)
		return pass(hook, NO_FLOW);
	packet->now = ktime_get_ns();
	if (flow->expires_at <= packet->now)
		return pass(hook, EXPIRED);
	return forward(ctx, hook, packet, flow);
}

SECTION("xdp")
int in_driver(struct xdp_md *ctx)
{
	return look_at(ctx, IN_DRIVER);
}

SECTION("classifier")
int behind_driver(struct skb *ctx)
{
	if (!is_plain(ctx))
		return pass(BEHIND_DRIVER, ODD);
	return look_at(ctx, BEHIND_DRIVER);
}
