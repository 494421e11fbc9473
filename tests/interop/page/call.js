// Two RTCPeerConnections that may only meet through a TURN server, and what they send each other.

"use strict";

const CHUNK = 16 * 1024; // octets; every browser takes messages of this size
const HIGH_WATER = 256 * 1024; // octets that a channel may hold back before the sender waits

/**
 * Sends what `/content` serves from each side to the other; `servers` is as the server prints it.
 * Returns for either side how its candidate pair came about and the SHA-256 of what it received.
 */
async function call(servers) {
  const content = await (await fetch("content")).arrayBuffer();
  const configuration = { ...servers, iceTransportPolicy: "relay" };
  const sides = [new RTCPeerConnection(configuration), new RTCPeerConnection(configuration)];
  const complaints = sides.map(complaintsOf);
  const channels = sides.map((side) => side.createDataChannel("all", { negotiated: true, id: 0 }));
  const received = channels.map((channel) => receive(channel, content.byteLength));
  try {
    await connect(...sides);
    await Promise.all(channels.map(opened));
    await Promise.all(channels.map((channel) => send(channel, content)));
    const digests = await Promise.all((await Promise.all(received)).map(sha256));
    const pairs = await Promise.all(sides.map(selectedPair));
    return pairs.map((pair, side) => ({ ...pair, sha256: digests[side] }));
  } catch (error) {
    const states = sides.map((side) => `ICE ${side.iceConnectionState}`);
    throw new Error([error, ...states, ...complaints.flat()].join("; "));
  } finally {
    sides.forEach((side) => side.close());
  }
}

function complaintsOf(side) {
  const complaints = [];
  side.onicecandidateerror = ({ url, errorCode, errorText }) =>
    complaints.push(`${url}: ${errorCode} ${errorText}`);
  return complaints;
}

async function connect(caller, callee) {
  // Waiting for complete gathering instead would take for ever where loopback is the only network.
  tellCandidates(caller, callee);
  tellCandidates(callee, caller);
  await caller.setLocalDescription();
  await callee.setRemoteDescription(caller.localDescription);
  await callee.setLocalDescription();
  await caller.setRemoteDescription(callee.localDescription);
}

function tellCandidates(from, to) {
  from.onicecandidate = ({ candidate }) => candidate && to.addIceCandidate(candidate);
}

function opened(channel) {
  return within(15, "opening the channel", (done) => {
    if (channel.readyState === "open") done();
    channel.onopen = done;
  });
}

function receive(channel, length) {
  channel.binaryType = "arraybuffer";
  const octets = new Uint8Array(length);
  let filled = 0;
  return within(60, `receiving ${length} octets`, (done) => {
    channel.onmessage = ({ data }) => {
      octets.set(new Uint8Array(data), filled);
      filled += data.byteLength;
      if (filled === length) done(octets);
    };
  });
}

async function send(channel, content) {
  channel.bufferedAmountLowThreshold = HIGH_WATER / 2;
  for (let start = 0; start < content.byteLength; start += CHUNK) {
    if (channel.bufferedAmount > HIGH_WATER) {
      await new Promise((low) => channel.addEventListener("bufferedamountlow", low, { once: true }));
    }
    channel.send(content.slice(start, start + CHUNK));
  }
}

async function selectedPair(side) {
  const stats = await side.getStats();
  const transport = [...stats.values()].find(({ type }) => type === "transport");
  const pair = stats.get(transport.selectedCandidatePairId);
  const local = stats.get(pair.localCandidateId);
  const remote = stats.get(pair.remoteCandidateId);
  return {
    local: local.candidateType,
    remote: remote.candidateType,
    relayProtocol: local.relayProtocol,
  };
}

async function sha256(octets) {
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", octets));
  return [...digest].map((octet) => octet.toString(16).padStart(2, "0")).join("");
}

function within(seconds, what, start) {
  return new Promise((resolve, reject) => {
    const late = () => reject(new Error(`${what} took more than ${seconds} s`));
    const timer = setTimeout(late, seconds * 1000);
    start((value) => {
      clearTimeout(timer);
      resolve(value);
    });
  });
}
