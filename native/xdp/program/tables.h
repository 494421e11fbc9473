// SPDX-License-Identifier: MIT OR GPL-2.0-only
// The tables that the program reads and the loader writes: src/tables.rs has the same layouts.
#pragma once

#include "kernel.h"

// How many channels can be in the tables at once; each takes two flows.
enum { CHANNELS = 32768 };
enum { INTERFACES = 64 };

// An IPv4 address is the first word of `ip`; the others are 0. All in network order.
struct key {
	u32 remote_ip[4];
	u32 local_ip[4];
	u16 remote_port;
	u16 local_port;
	// Of a ChannelData message; 0 for packets of a peer.
	u16 channel;
	// FAMILY_IPV4 or FAMILY_IPV6, in the machine's order.
	u16 family;
};

struct flow {
	// CLOCK_MONOTONIC, ns; dead from this instant on.
	u64 expires_at;
	u32 from_ip[4];
	u32 to_ip[4];
	u16 from_port;
	u16 to_port;
	// The number to put in front of the payload; 0: take the ChannelData header away.
	u16 channel;
	u16 family;
	// What the other addresses, ports and the channel number add to the UDP checksum.
	u32 sum;
	// What the addresses it came with add to a checksum that is not whole yet.
	u32 partial;
	// Its place in `tracks`, and a number that no other flow has had there lately.
	u32 track;
	u32 number;
};

// What one processor knows of a flow: what it has carried, and where the last packet went.
struct track {
	u64 packets;
	u64 bytes;
	// CLOCK_MONOTONIC, ns: what follows holds until then, for the flow of that number.
	u64 known_until;
	u32 number;
	u32 interface;
	// Octets, from the IP header on.
	u32 longest;
	u16 to[3];
	u16 from[3];
};

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
	// When it came, CLOCK_MONOTONIC, ns.
	u64 now;
	// What leaves behind the IP header: its length and checksum.
	u32 leaving;
	u16 leaving_checksum;
	// What leaves, where it cannot be written in place; the IP header lies at a multiple of 4.
	u8 headers[sizeof(struct ethernet) + sizeof(struct ipv6) + sizeof(struct udp) +
		   sizeof(struct channel_data)];
};

// Why a packet went on or was left to user space. src/verdict.rs names them.
enum verdict {
	FORWARDED,
	NOT_UDP,
	ODD,
	NO_FLOW,
	EXPIRED,
	NO_CHECKSUM,
	PARTIAL_CHECKSUM,
	NO_ROUTE,
	NO_INTERFACE,
	NO_ROOM,
	VERDICTS,
};

struct {
	MAP_NUMBER(type, MAP_HASH);
	MAP_NUMBER(max_entries, 2 * CHANNELS);
	MAP_TYPE(key, struct key);
	MAP_TYPE(value, struct flow);
} flows SECTION(".maps");

struct {
	MAP_NUMBER(type, MAP_PERCPU_ARRAY);
	MAP_NUMBER(max_entries, 2 * CHANNELS);
	MAP_TYPE(key, u32);
	MAP_TYPE(value, struct track);
} tracks SECTION(".maps");

struct {
	MAP_NUMBER(type, MAP_PERCPU_ARRAY);
	MAP_NUMBER(max_entries, VERDICTS);
	MAP_TYPE(key, u32);
	MAP_TYPE(value, u64);
} verdicts SECTION(".maps");

// Room for the packet that is being looked at; the stack would be slower (the kernel guards what is
// written there from being guessed at).
struct {
	MAP_NUMBER(type, MAP_PERCPU_ARRAY);
	MAP_NUMBER(max_entries, 1);
	MAP_TYPE(key, u32);
	MAP_TYPE(value, struct packet);
} packets SECTION(".maps");

// Interfaces that the program is attached to, by number: packets may leave through them.
struct {
	MAP_NUMBER(type, MAP_DEVMAP_HASH);
	MAP_NUMBER(max_entries, INTERFACES);
	MAP_TYPE(key, u32);
	MAP_TYPE(value, u32);
} interfaces SECTION(".maps");
