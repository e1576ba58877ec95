// node subscriber.js BROKER COUNT TOPIC...: prints each event as a line of JSON, until COUNT are
// received or lost.
import { isUtf8 } from "node:buffer";
import { XSubscriber } from "zeromq";
import { joinBroker } from "./session.js";
import { READY, SOCKET_OPTIONS, decodeFrame, parsePrivate, readyTopic } from "./wire.js";

const [broker, count, ...filters] = process.argv.slice(2);
const address = process.env.ADDRESS ?? "127.0.0.1";
const publishers = new Map(); // by session; those that left too, until their last events are here
const streams = {}; // by session and topic
const links = new Map(); // sockets by address
const lost = new Map(); // by topic
let [ports, received, malformed, graceMs, ownerIdleMs] = [new Map(), 0, 0];

const streamOf = (session, topic) => (streams[`${session} ${topic}`] ??= { topic });
const inGrace = () => performance.now() + graceMs;

// The strongest publisher, if any has a strength, but those that left, or are silent for too long.
function ownerOf(topic) {
  const isSilent = (id) => performance.now() - streamOf(id, topic).silentSince > ownerIdleMs;
  const candidates = [...publishers].filter(
    ([id, { strengths, ends }]) => strengths.has(topic) && !ends && !isSilent(id),
  );
  const strengthOf = ([, { strengths }]) => strengths.get(topic);
  return candidates.sort((a, b) => strengthOf(b) - strengthOf(a) || a[0] - b[0])[0]?.[0];
}

// What is missing before this number is lost, but not of a publisher that does not own the topic.
function advance(stream, number) {
  const missing = number - (stream.expected ?? number);
  stream.isEnded ||= missing > 2 ** 40; // nobody is so fast
  if (stream.isEnded || missing < 0) return;
  stream.expected = number;
  if (missing && !stream.isSkipped) lost.set(stream.topic, (lost.get(stream.topic) ?? 0) + missing);
}

// Takes what is in a frame; false if it makes no sense, or is not for us.
function take({ name, publisher, session: id, first, times, payloads }, { asked }) {
  const [answered, subscriber] = parsePrivate(READY, name);
  const topic = answered || Buffer.from(name, "latin1").toString();
  if (!asked.has(topic) || (answered && subscriber !== session.id)) return false;
  const [stream, sender] = [streamOf(id, topic), publishers.get(id)];
  if (!answered) stream.silentSince = undefined;
  const owner = ownerOf(topic);
  if (owner !== undefined && owner !== id) streamOf(owner, topic).silentSince ??= performance.now();
  if (!sender?.ends?.length) stream.isSkipped = owner !== undefined && owner !== id;
  if (sender?.deadline) sender.deadline = inGrace();
  advance(stream, first);
  if (stream.isEnded) return false;
  if (answered) stream.isAnswered = true;
  for (const [index, payload] of answered ? [] : payloads.entries()) {
    if (first + index < stream.expected) continue; // it came before
    stream.expected = first + index + 1;
    if (stream.isSkipped) continue;
    received += 1;
    const event = { topic, publisher, sequence: first + index, published_ns: `${times[index]}` };
    if (isUtf8(payload)) event.payload = payload.toString();
    else event.payload_base64 = payload.toString("base64");
    console.log(JSON.stringify(event));
  }
  return true;
}

async function receive(link) {
  for await (const frames of link.socket) {
    const found = frames.length === 1 && decodeFrame(frames[0]);
    if (!found || !take(found, link)) malformed += 1;
  }
}

function open(address) {
  // With a limit of what is sent, libzmq would drop subscriptions without a word.
  const limits = { sendHighWaterMark: 0, receiveHighWaterMark: 10_000 };
  const socket = new XSubscriber({ ...SOCKET_OPTIONS, ...limits, ipv6: address.startsWith("[") });
  const link = { socket, asked: new Map() };
  socket.connect(`tcp://${address}`);
  links.set(address, link);
  receive(link);
  return link;
}

// Asks whether publishers are connected; once more by the next attempt.
function ask({ socket, asked }, topic) {
  const before = asked.get(topic);
  const attempt = before ? before.attempt + 1 : 0;
  const count = new Set(ports.values()).size > 1 ? ports.size : 0; // 0: one connection
  const name = readyTopic(topic, session.id, count, attempt % 65_536);
  socket.send(Buffer.from(`\x01${name}`, "latin1"));
  if (before) socket.send(Buffer.from(`\x00${before.name}`, "latin1"));
  const deadline = performance.now() + Math.min(1000 * 2 ** attempt, 64_000);
  asked.set(topic, { attempt, name, deadline });
}

const atBroker = (port) => broker.replace(/\d+$/, port); // else the place is another broker's
const forwarderOf = (topic) => `${ports.get(topic)}`.replace(/^\d+$/, atBroker);

// Has the connections and subscriptions that publishers and ports ask for, and no others.
function connect() {
  const wanted = new Map(); // topics by address
  const want = (place, topic) => wanted.set(place, (wanted.get(place) ?? new Set()).add(topic));
  for (const topic of ports.keys()) want(forwarderOf(topic), topic);
  for (const { address, topics } of publishers.values())
    if (address) topics.forEach((topic) => want(address, topic));
  for (const [address, { socket, asked }] of links) {
    for (const [topic, { name }] of asked) {
      if (wanted.get(address)?.has(topic)) continue;
      socket.send(Buffer.from(`\x00${name}`, "latin1"));
      socket.send(`\x00${topic}\0`);
      asked.delete(topic);
    }
    if (!wanted.has(address)) links.delete(address) && socket.close();
  }
  for (const [address, topics] of wanted) {
    const link = links.get(address) ?? open(address);
    const fresh = [...topics].filter((topic) => !link.asked.has(topic));
    for (const topic of fresh) link.socket.send(`\x01${topic}\0`);
    for (const topic of fresh) ask(link, topic); // after all subscriptions
  }
}

function change({ joined = [], left = [], ports: more = {} }) {
  for (const { session: id, next_sequences: ends = {}, revoked } of left) {
    if (revoked) publishers.delete(id);
    Object.assign(publishers.get(id) ?? {}, { ends: Object.entries(ends), deadline: inGrace() });
  }
  for (const { session: id, topics, address, strengths = {} } of joined)
    publishers.set(id, { topics, address, strengths: new Map(Object.entries(strengths)) });
  for (const stream of Object.values(streams)) // a topic that comes from somewhere else
    if ((more[stream.topic] ?? ports.get(stream.topic)) !== ports.get(stream.topic))
      stream.isAnswered = false;
  ports = new Map([...ports, ...Object.entries(more)]);
  connect();
}

// Asks again who has not answered, lets go of those that left, and ends.
function tick() {
  for (const [id, publisher] of publishers) {
    for (const topic of publisher.deadline ? [] : publisher.topics) {
      const link = links.get(publisher.address ?? forwarderOf(topic));
      const isDue = performance.now() > link?.asked.get(topic).deadline;
      if (isDue && !streamOf(id, topic).isAnswered) ask(link, topic);
    }
    if (!(performance.now() > publisher.deadline)) continue;
    for (const [topic, end] of publisher.ends ?? []) advance(streamOf(id, topic), end);
    publishers.delete(id);
    connect();
  }
  if (received + [...lost.values()].reduce((sum, each) => sum + each, 0) >= count) leave();
}

const role = {
  registered(reply, isRestarted) {
    const { publishers: joined = [], ports: given, lease_s: lease, owner_idle_s: idle } = reply;
    ownerIdleMs = (idle ?? Infinity) * 1000;
    graceMs = Math.max(6, lease) * 1000;
    // Who is missing has left; but a broker that was restarted may not know all yet.
    const there = new Set(joined.map(({ session: id }) => id));
    for (const [id, publisher] of publishers)
      if (!there.has(id) && !publisher.deadline)
        Object.assign(publisher, { deadline: inGrace(), ends: isRestarted ? undefined : [] });
    if (isRestarted) ports = new Map();
    // Answers came through the broker before.
    if (isRestarted && given)
      for (const stream of Object.values(streams)) stream.isAnswered = false;
    change({ joined, ports: given });
  },
  changed: change,
  heartbeat: () => ({ lost: Object.fromEntries(lost) }),
};
const session = joinBroker(broker, { role: "subscriber", topics: filters, address }, role);

function leave() {
  session.leave();
  console.error(JSON.stringify({ received, lost: Object.fromEntries(lost), malformed }));
  process.exit();
}

process.once("SIGTERM", leave).once("SIGINT", leave);
setInterval(tick, 100);
