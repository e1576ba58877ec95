// Registers with a broker, renews the lease, and registers again whenever in doubt. `role` has
// registered(reply, isRestarted), heartbeat(), which returns fields, and a subscriber changed(push).
import { Dealer } from "zeromq";
import { SOCKET_OPTIONS, isCount } from "./wire.js";

const ASK_LATER = ["too_fast", "session_in_use", "unknown_session"];
const PUSHES = ["publishers_changed", "brokers_changed"];
const EXPELLED = ["revoked", "not_allowed"]; // with the id -1

// Refuses a message with a number that is none; of topics with such names there are numbers too.
function checkField(name, value) {
  const isNumber = ["id", "session", "epoch", "revision"].includes(name);
  if (isNumber && !Number.isSafeInteger(value)) throw new TypeError(name);
  return value;
}

export function joinBroker(broker, identity, role) {
  const socket = new Dealer({ ...SOCKET_OPTIONS, immediate: true, ipv6: broker.startsWith("[") });
  const session = { id: null, leave };
  let [isRegistered, wasRefused, lastId, openId, heardAt, timer] = [false, false, 0, null, 0];

  function fail(why) {
    console.error(`the broker at ${broker} ${why}`);
    process.exit(1);
  }

  function request(type, fields) {
    openId = lastId += 1;
    const message = { type, id: lastId, session: session.id, ...fields };
    socket.send(JSON.stringify(message)).catch(() => wake(250)); // there is no connection
  }

  function wake(delay, registered = isRegistered) {
    isRegistered = registered;
    clearTimeout(timer);
    if (!socket.closed) timer = setTimeout(tick, delay);
  }

  function tick() {
    if (performance.now() - heardAt > session.leaseMs) isRegistered = false;
    wake(isRegistered ? session.leaseMs / 3 : 2000);
    if (isRegistered) request("heartbeat", { revision: session.revision, ...role.heartbeat() });
    else request("register", { versions: [1, 1], clock: "realtime", ...identity });
  }

  function leave(fields) {
    if (isRegistered) request("disconnect", fields);
    socket.close(); // when it is sent, but within a second
    clearTimeout(timer);
  }

  function take({ type, id, session: given, epoch, revision = 0, ...message }) {
    if (type !== "error") heardAt = performance.now();
    if (type === "registered" && id === openId && !isRegistered) {
      if (![given, epoch].every(isCount) || !(message.lease_s > 0)) return;
      if (message.version !== 1) fail(`speaks version ${message.version}`);
      [session.id, session.leaseMs, openId] = [given, message.lease_s * 1000, null];
      role.registered(message, epoch !== session.epoch);
      [session.epoch, session.revision] = [epoch, revision];
      wake(session.leaseMs / 3, true);
    } else if (type === "alive" && isRegistered && typeof message.known === "boolean") {
      if (!isCount(epoch)) return;
      [openId, wasRefused] = [null, false];
      const isCurrent = epoch === session.epoch && revision <= session.revision;
      if (!message.known || !isCurrent) wake(0, false);
    } else if (PUSHES.includes(type) && isRegistered) {
      if (revision !== session.revision + 1) return wake(0, false);
      role.changed?.(message);
      session.revision = revision;
    } else if (type === "farewell") {
      wake(250, false);
    } else if (type === "error") {
      const isAnswer = id === openId || (id === -1 && openId !== null);
      const isRefusal = isAnswer && !ASK_LATER.includes(message.code);
      const isExpelled = id === -1 && EXPELLED.includes(message.code);
      if (isExpelled || (isRefusal && (!isRegistered || wasRefused)))
        fail(`refuses: ${message.detail}`);
      if (isRefusal) wasRefused = true; // a heartbeat: to register again helps, or nothing does
      if (isAnswer) wake(1000, false);
    }
  }

  async function receive() {
    for await (const [frame] of socket) {
      try {
        take(JSON.parse(frame, checkField));
      } catch {
        continue; // it is no message of this protocol
      }
    }
  }

  socket.events.on("handshake", () => wake(0));
  socket.events.on("handshake:error:protocol", () => fail("is secure, and we have no keys"));
  socket.connect(`tcp://${broker}`);
  receive();
  return session;
}
