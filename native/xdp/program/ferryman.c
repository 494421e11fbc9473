// SPDX-License-Identifier: MIT OR GPL-2.0-only
// Forwards the packets of known channels between the interfaces' ends (RFC 8656 §12), before the
// network stack sees them: from a client the ChannelData header is taken away, to a client it is
// put in front.
//
// Whatever it is not sure of it passes on untouched, to the stack and to the server's sockets: it
// never drops a packet. It decides nothing: `flows` says where a packet goes and until when.
#include "tables.h"

char licence[] SECTION("license") = "Dual MIT/GPL";

// What the system puts into packets of its own; the loader writes them.
const volatile u32 ipv4_ttl = 64;
const volatile u32 ipv6_hop_limit = 64;

// A UDP packet, as far as the program has understood it.
struct packet {
	struct key key;
	// Octets of the frame, of the IP header, of what follows it, and behind the UDP header.
	u32 frame;
	u32 header;
	u32 payload;
	u32 body;
	u16 udp_length;
	u16 checksum;
	// Of what may be ChannelData: its number and length fields, and the octets of padding.
	u16 number;
	u16 length;
	u32 padding;
};

// What leaves behind the IP header: its length and checksum, and the length of the payload.
struct datagram {
	u16 length;
	u16 checksum;
	u32 body;
};

INLINE void tally(u32 verdict)
{
	u64 *count = map_lookup(&verdicts, &verdict);
	if (count)
		*count += 1;
}

INLINE int pass(u32 verdict)
{
	tally(verdict);
	return XDP_PASS;
}

INLINE u16 fold(u32 sum)
{
	sum = (sum & 0xFFFF) + (sum >> 16);
	sum = (sum & 0xFFFF) + (sum >> 16);
	return sum;
}

INLINE u16 header_sum(const struct ipv4 *ip)
{
	const u16 *words = (const void *)ip;
	u32 sum = 0;
#pragma unroll
	for (int i = 0; i < 10; i++)
		sum += words[i];
	return fold(sum);
}

// What lies behind an IP header. The verifier asks for one capability more (CAP_PERFMON) of whoever
// adds anything but a constant to a packet's address, and the compiler must not make a variable
// of two constants.
INLINE void *behind_ip(const void *address)
{
	asm volatile("" : "+r"(address));
	return (void *)address;
}

// The longest frame is one of 9,000 octets; what is longer is not for this program.
enum { LONGEST = 9000 };

INLINE int read_udp(struct packet *packet, const struct udp *udp, void *end)
{
	const struct channel_data *message = (void *)(udp + 1);
	u32 payload = packet->payload;
	if ((void *)(udp + 1) > end)
		return ODD;
	if (payload < sizeof(*udp) || payload > LONGEST ||
	    sizeof(struct ethernet) + packet->header + payload > packet->frame)
		return ODD;
	packet->udp_length = udp->length;
	if (NET16(udp->length) != payload)
		return ODD;
	packet->body = payload - sizeof(*udp);
	packet->checksum = udp->checksum;
	packet->key.remote_port = udp->from;
	packet->key.local_port = udp->to;
	if (packet->body >= sizeof(*message) && (void *)(message + 1) <= end) {
		packet->number = message->number;
		packet->length = message->length;
	}
	return FORWARDED;
}

// NOT_UDP or ODD; FORWARDED when all that was read is as it should be.
INLINE int read_ipv4(struct packet *packet, const struct ipv4 *ip, void *end)
{
	if ((void *)(ip + 1) > end)
		return ODD;
	if (ip->protocol != PROTOCOL_UDP)
		return NOT_UDP;
	// Options, fragments, and what the stack would drop.
	if (ip->version_and_length != 0x45 || (ip->fragment & NET16(ANY_FRAGMENT)) ||
	    header_sum(ip) != 0xFFFF)
		return ODD;
	u16 length = NET16(ip->length);
	if (length < sizeof(*ip))
		return ODD;
	packet->header = sizeof(*ip);
	packet->payload = length - sizeof(*ip);
	packet->key.family = FAMILY_IPV4;
	packet->key.remote_ip[0] = ip->from;
	packet->key.local_ip[0] = ip->to;
	return read_udp(packet, behind_ip(ip + 1), end);
}

INLINE int read_ipv6(struct packet *packet, const struct ipv6 *ip, void *end)
{
	if ((void *)(ip + 1) > end)
		return ODD;
	// Extension headers are something else than UDP as well.
	if (ip->next != PROTOCOL_UDP)
		return NOT_UDP;
	if ((*(const u8 *)ip & 0xF0) != 0x60)
		return ODD;
	packet->header = sizeof(*ip);
	packet->payload = NET16(ip->length);
	packet->key.family = FAMILY_IPV6;
#pragma unroll
	for (int i = 0; i < 4; i++) {
		packet->key.remote_ip[i] = ip->from[i];
		packet->key.local_ip[i] = ip->to[i];
	}
	return read_udp(packet, behind_ip(ip + 1), end);
}

// The channel of what may be a ChannelData message; 0 when it is none. Up to 3 octets of padding
// are legal over UDP (RFC 8656 §12.5).
INLINE u16 read_channel(struct packet *packet)
{
	u32 room = packet->body - sizeof(struct channel_data);
	u32 length = NET16(packet->length);
	if ((packet->number & NET16(0xC000)) != NET16(0x4000))
		return 0;
	if (length > room || room - length > 3)
		return 0;
	packet->padding = room - length;
	return packet->number;
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

INLINE u32 without(u16 word)
{
	return (u16)~word;
}

// What the padding adds to the checksum is taken out of it; `sum` as in `checksum_of`.
INLINE u32 without_padding(struct xdp_md *ctx, const struct packet *packet, u32 sum)
{
	u8 octets[4] = {};
	u32 count = packet->padding & 3;
	u32 at = packet->payload - packet->padding;
	if (count == 0 || xdp_load_bytes(ctx, sizeof(struct ethernet) + packet->header + at, octets, count))
		return sum;
	// Words begin at even octets, and the first of a word is its low octet here.
#pragma unroll
	for (u32 i = 0; i < 3; i++)
		sum += without((at + i) & 1 ? octets[i] << 8 : octets[i]);
	return sum;
}

// The UDP checksum of what leaves, from that of what came (RFC 1624): what was wrong stays wrong.
INLINE u16 checksum_of(struct xdp_md *ctx, const struct packet *packet, const struct flow *flow, u16 length)
{
	u32 sum = without(packet->checksum) + flow->sum;
	// Once in the header, once in the pseudo-header.
	sum += 2 * without(packet->udp_length) + 2 * (u32)length;
	if (flow->channel)
		sum += NET16(packet->body);
	else
		sum = without_padding(ctx, packet, sum + without(packet->length));
	u16 checksum = ~fold(sum);
	return checksum ? checksum : 0xFFFF;
}

INLINE void copy_ip(u32 *to, const u32 *from)
{
#pragma unroll
	for (int i = 0; i < 4; i++)
		to[i] = from[i];
}

// Where the packet leaves, as for one of the machine's own: FIB_SUCCESS, or why not.
INLINE long route(struct xdp_md *ctx, struct bpf_fib_lookup *fib, const struct flow *flow, u32 total)
{
	fib->family = flow->family;
	fib->l4_protocol = PROTOCOL_UDP;
	fib->sport = flow->from_port;
	fib->dport = flow->to_port;
	fib->tot_len = total;
	fib->ifindex = LOOPBACK;
	copy_ip(fib->source, flow->from_ip);
	copy_ip(fib->destination, flow->to_ip);
	return fib_lookup(ctx, fib, sizeof(*fib), 0);
}

// Makes the frame longer or shorter, at its beginning and at its end. Where there is no room for
// filling it up it came over a virtual link, which has no shortest frame.
INLINE int resize(struct xdp_md *ctx, u32 frame, int head, u32 size)
{
	if (xdp_adjust_head(ctx, head))
		return 0;
	u32 wanted = size < SHORTEST_FRAME ? SHORTEST_FRAME : size;
	int tail = (int)wanted - ((int)frame - head);
	if (tail == 0 || xdp_adjust_tail(ctx, tail) == 0 || wanted > size)
		return 1;
	xdp_adjust_head(ctx, -head);
	return 0;
}

INLINE int write_udp(struct udp *udp, void *end, const struct flow *flow, const struct datagram *datagram)
{
	struct channel_data *message = (void *)(udp + 1);
	if ((void *)(udp + 1) > end)
		return 0;
	udp->from = flow->from_port;
	udp->to = flow->to_port;
	udp->length = NET16(datagram->length);
	udp->checksum = datagram->checksum;
	if (!flow->channel)
		return 1;
	if ((void *)(message + 1) > end)
		return 0;
	message->number = flow->channel;
	message->length = NET16(datagram->body);
	return 1;
}

INLINE int write_ipv4(struct ipv4 *ip, void *end, const struct flow *flow, const struct datagram *datagram)
{
	if ((void *)(ip + 1) > end)
		return 0;
	ip->version_and_length = 0x45;
	ip->tos = 0;
	ip->length = NET16(sizeof(*ip) + datagram->length);
	ip->id = get_prandom_u32();
	ip->fragment = 0;
	ip->ttl = ipv4_ttl;
	ip->protocol = PROTOCOL_UDP;
	ip->checksum = 0;
	ip->from = flow->from_ip[0];
	ip->to = flow->to_ip[0];
	ip->checksum = ~header_sum(ip);
	return write_udp(behind_ip(ip + 1), end, flow, datagram);
}

INLINE int write_ipv6(struct ipv6 *ip, void *end, const struct flow *flow, const struct datagram *datagram)
{
	if ((void *)(ip + 1) > end)
		return 0;
	ip->version_and_flow = 0x60;
	ip->length = NET16(datagram->length);
	ip->next = PROTOCOL_UDP;
	ip->hop_limit = ipv6_hop_limit;
	copy_ip(ip->from, flow->from_ip);
	copy_ip(ip->to, flow->to_ip);
	return write_udp(behind_ip(ip + 1), end, flow, datagram);
}

// `resize` has made room for all of it; the verifier does not know.
INLINE int write(struct xdp_md *ctx, const struct bpf_fib_lookup *fib, const struct flow *flow,
		 const struct datagram *datagram)
{
	struct ethernet *ethernet = (void *)(long)ctx->data;
	void *end = (void *)(long)ctx->data_end;
	if ((void *)(ethernet + 1) > end)
		return 0;
#pragma unroll
	for (int i = 0; i < 3; i++) {
		ethernet->to[i] = fib->dmac[i];
		ethernet->from[i] = fib->smac[i];
	}
	if (flow->family == FAMILY_IPV4) {
		ethernet->type = NET16(TYPE_IPV4);
		return write_ipv4((void *)(ethernet + 1), end, flow, datagram);
	}
	ethernet->type = NET16(TYPE_IPV6);
	return write_ipv6((void *)(ethernet + 1), end, flow, datagram);
}

INLINE void account(const struct flow *flow, u32 bytes)
{
	u32 row = flow->row;
	struct count *count = map_lookup(&counts, &row);
	if (count) {
		count->packets += 1;
		count->bytes += bytes;
	}
}

// Puts the packet where its flow says; it has been untouched until here.
INLINE int forward(struct xdp_md *ctx, struct packet *packet, const struct flow *flow)
{
	int is_ipv4 = flow->family == FAMILY_IPV4;
	u32 header = is_ipv4 ? sizeof(struct ipv4) : sizeof(struct ipv6);
	u32 in_front = flow->channel ? sizeof(struct channel_data) : 0;
	u32 behind = flow->channel ? 0 : sizeof(struct channel_data);
	u32 length = packet->payload - behind - packet->padding + in_front;

	// UDP over IPv6 must have a checksum; the stack makes one.
	if (packet->checksum == 0 && !is_ipv4)
		return pass(NO_CHECKSUM);
	u16 checksum = 0;
	if (packet->checksum)
		checksum = checksum_of(ctx, packet, flow, NET16(length));

	struct bpf_fib_lookup fib = {};
	if (route(ctx, &fib, flow, header + length) != FIB_SUCCESS)
		return pass(NO_ROUTE);
	int is_same = fib.ifindex == ctx->ingress_ifindex;
	if (!map_lookup(&interfaces, &fib.ifindex))
		return pass(NO_INTERFACE);

	int head = (int)(packet->header + behind) - (int)(header + in_front);
	if (!resize(ctx, packet->frame, head, sizeof(struct ethernet) + header + length))
		return pass(NO_ROOM);

	struct datagram datagram = { length, checksum, packet->body };
	if (!write(ctx, &fib, flow, &datagram))
		return XDP_ABORTED;
	account(flow, length - sizeof(struct udp) - in_front);
	tally(FORWARDED);
	return is_same ? XDP_TX : redirect_map(&interfaces, fib.ifindex, 0);
}

SECTION("xdp")
int ferryman(struct xdp_md *ctx)
{
	void *end = (void *)(long)ctx->data_end;
	struct ethernet *ethernet = (void *)(long)ctx->data;
	struct packet packet = { .frame = xdp_get_buff_len(ctx) };
	int verdict = NOT_UDP;

	if ((void *)(ethernet + 1) > end)
		return pass(ODD);
	if (ethernet->type == NET16(TYPE_IPV4))
		verdict = read_ipv4(&packet, (void *)(ethernet + 1), end);
	else if (ethernet->type == NET16(TYPE_IPV6))
		verdict = read_ipv6(&packet, (void *)(ethernet + 1), end);
	if (verdict != FORWARDED)
		return pass(verdict);
	// Not sent to this machine alone.
	if (*(u8 *)ethernet & 1)
		return pass(ODD);

	struct flow *flow = find(&packet);
	if (!flow)
		return pass(NO_FLOW);
	if (flow->expires_at <= ktime_get_ns())
		return pass(EXPIRED);
	return forward(ctx, &packet, flow);
}
