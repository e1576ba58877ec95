// node publisher.js BROKER COUNT INTERVAL SUBSCRIBERS TOPIC...: publishes COUNT events on each topic,
// one every INTERVAL seconds, when there are SUBSCRIBERS of all topics.
import { setTimeout as sleep } from "node:timers/promises";
import { XPublisher } from "zeromq";
import { joinBroker } from "./session.js";
import { POSITION, READY, RECOVERY, SOCKET_OPTIONS, encodeFrame, parsePrivate } from "./wire.js";

const [broker, count, interval, subscribers, ...topics] = process.argv.slice(2);
const host = process.env.ADDRESS ?? "127.0.0.1";
const next = new Map(topics.map((topic) => [topic, 0])); // the numbers of the next events
const questions = new Set(); // the private topics that subscribers are subscribed to
let [reading, isLeaving] = [undefined, false];

const options = { ...SOCKET_OPTIONS, sendHighWaterMark: 10_000, ipv6: host.startsWith("[") };
const socket = new XPublisher(options);
await socket.bind(`tcp://${host}:*`);
const address = socket.lastEndpoint.replace("tcp://", "");

const send = (name, kind, ...items) =>
  socket.send(encodeFrame(name, kind, [address, session.id, ...items]));

// Answers at once, so that no event is sent between taking the next number and telling it.
function answer(name) {
  const [topic] = parsePrivate(name.endsWith("\0") ? POSITION : READY, name);
  if (next.has(topic)) send(name.replace(/\0$/, ""), 1, next.get(topic), 0, Buffer.alloc(0));
  const [missed, publisher, first] = parsePrivate(RECOVERY, name);
  if (next.has(missed) && publisher === session.id)
    send(name, 2, Math.max(first, next.get(missed)), 0, [], []); // nothing is kept
}

async function read() {
  for await (const [frame] of socket) {
    const name = frame.toString("latin1", 1);
    if (frame[0] === 1) questions.add(name) && answer(name);
    else questions.delete(name);
  }
}

const tellPositions = () => [...questions].filter((name) => name[0] === "\xfd").forEach(answer);
const isReady = (name) => next.has(parsePrivate(READY, name)[0]);
const areReady = () => [...questions].filter(isReady).length >= subscribers * topics.length;

const role = {
  registered: () => (reading ??= read()), // now we know the session that is in each answer
  heartbeat: () => ({ published: Object.fromEntries(next) }),
};
const session = joinBroker(broker, { role: "publisher", topics, address }, role);

async function leave() {
  isLeaving = true;
  session.leave({ next_sequences: Object.fromEntries(next) });
  tellPositions();
  await sleep(1000); // while subscribers ask for what they lack
  process.exit();
}

process.once("SIGTERM", leave).once("SIGINT", leave);
setInterval(tellPositions, 2000);
while (!reading || !areReady()) await sleep(50);
const start = performance.now();
for (let index = 0; index < count * topics.length; index += 1) {
  const wait = start + index * interval * 1000 - performance.now();
  if (wait > 0 || index % 100 === 99) await sleep(wait); // others must have their turn, too
  if (isLeaving) break;
  const topic = topics[index % topics.length];
  const stamp = BigInt(Math.round((performance.timeOrigin + performance.now()) * 1000)) * 1000n;
  send(Buffer.from(topic).toString("latin1"), 1, next.get(topic), stamp, Buffer.from(`${index}`));
  next.set(topic, next.get(topic) + 1);
}
if (!isLeaving) leave();
