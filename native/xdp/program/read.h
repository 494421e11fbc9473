// SPDX-License-Identifier: MIT OR GPL-2.0-only
// Reads a packet as far as the program must understand it; what is odd is not for this program.
#pragma once

#include "tables.h"

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
	packet->number = 0;
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
#pragma unroll
	for (int i = 1; i < 4; i++)
		packet->key.remote_ip[i] = packet->key.local_ip[i] = 0;
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
