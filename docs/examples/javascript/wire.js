// Frames of events, and private topics, which are Latin-1 here: each byte is a character.
import { Decoder, encode } from "@msgpack/msgpack";

export const SOCKET_OPTIONS = {
  ...{ linger: 1000, connectTimeout: 2000, reconnectInterval: 100, reconnectMaxInterval: 1000 },
  ...{ tcpKeepalive: 1, tcpKeepaliveIdle: 2, tcpKeepaliveInterval: 2, tcpKeepaliveCount: 3 },
  sendTimeout: 0, // else zeromq.js refuses a message while another one waits to be sent
};
export const READY = /^\xff(.+)\xff([0-9a-f]{14})([0-9a-f]{4})[0-9a-f]{4}$/s;
export const RECOVERY = /^\xfe(.+)\xfe([0-9a-f]{14})[0-9a-f]{14}([0-9a-f]{14})[0-9a-f]{18}$/s;
export const POSITION = /^\xfd(.+)\0$/s;
const PUBLISHER = /^[A-Za-z0-9[][\w.:%[\]-]{0,63}$/;

// A float must not be taken for an integer.
class IntegerDecoder extends Decoder {
  readF32 = () => super.readF32() * NaN;
  readF64 = () => super.readF64() * NaN;
}
const decoder = new IntegerDecoder({ useBigInt64: true });

export const isCount = (value) => Number.isSafeInteger(value) && value >= 0;

// The topic in a private topic, and its numbers; "" if it has another form.
export function parsePrivate(form, name) {
  const [, topic = "", ...digits] = form.exec(name) ?? [];
  return [Buffer.from(topic, "latin1").toString(), ...digits.map((each) => parseInt(each, 16))];
}

export function readyTopic(topic, ...numbers) {
  const digits = numbers.map((number, at) => number.toString(16).padStart(at ? 4 : 14, "0"));
  return `\xff${Buffer.from(topic).toString("latin1")}\xff${digits.join("")}`;
}

export function encodeFrame(name, kind, items) {
  // BigInt, since a Number of more than 32 bits would become a float.
  const body = items.map((item) => (typeof item === "number" ? BigInt(item) : item));
  const head = Buffer.from(`${name}\0${String.fromCharCode(kind)}`, "latin1");
  return Buffer.concat([head, encode(body, { useBigInt64: true })]);
}

// What is in an event or a batch of events; undefined if the frame is neither.
export function decodeFrame(frame) {
  try {
    const end = frame.indexOf(0);
    const items = decoder.decode(frame.subarray(end + 2));
    const [publisher, session, first] = [items[0], Number(items[1]), Number(items[2])];
    const [offsets, payloads] = { 1: [[0], [items[4]]], 2: items.slice(4) }[frame[end + 1]];
    const times = offsets.map((offset) => BigInt(items[3]) + BigInt(offset));
    const isValid =
      publisher.match?.(PUBLISHER) &&
      [...items.slice(1, 4), ...offsets].every((each) => /number|bigint/.test(typeof each)) &&
      [session, first, first + (payloads.length - 1)].every(isCount) &&
      [payloads.length - 1, 65_536 - payloads.length].every(isCount) &&
      payloads.every((payload) => payload instanceof Uint8Array) &&
      payloads.length === times.length;
    const name = frame.toString("latin1", 0, end);
    return isValid ? { name, publisher, session, first, times, payloads } : undefined;
  } catch {
    return undefined;
  }
}
