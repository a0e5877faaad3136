import { connect } from 'node:net';

// Two requests of Kafka's protocol by hand, in versions that every broker since 2.1 speaks: a client library takes longer
// to load than a broker to answer. https://kafka.apache.org/protocol

/** What a broker says of its cluster. */
export interface Metadata {
  readonly clusterId: string;
  /** The brokers that are alive, by the addresses that they hand out. */
  readonly brokers: readonly { readonly id: number; readonly host: string; readonly port: number }[];
  readonly controller: number;
  /** Names of the topics, when they were asked for. */
  readonly topics: readonly string[];
}

const METADATA = { key: 3, version: 4 };
const DELETE_TOPICS = { key: 20, version: 1 };

/** @param o.topics whether to list them, too */
export async function metadata(
  at: { host: string; port: number },
  o: { timeoutMs: number; topics?: boolean },
): Promise<Metadata> {
  // null is all topics, an empty list none; nothing is to be created.
  const body = Buffer.concat([int32(o.topics ? -1 : 0), Buffer.from([0])]);
  const reply = await ask(at, METADATA, body, o.timeoutMs);
  reply.int32();
  const brokers = reply.list(() => {
    const broker = { id: reply.int32(), host: reply.text(), port: reply.int32() };
    reply.text();
    return broker;
  });
  const clusterId = reply.text();
  const controller = reply.int32();
  const topics = reply.list(() => {
    reply.int16();
    const name = reply.text();
    reply.skip(1);
    reply.list(() => {
      reply.skip(10);
      for (let lists = 0; lists < 2; lists += 1) reply.list(() => reply.int32());
    });
    return name;
  });
  return { clusterId, brokers, controller, topics };
}

/** Deletes topics; those that are gone already count as deleted. @returns error codes of those that are left */
export async function deleteTopics(
  at: { host: string; port: number },
  names: readonly string[],
  timeoutMs: number,
): Promise<ReadonlyMap<string, number>> {
  const body = Buffer.concat([int32(names.length), ...names.map(text), int32(timeoutMs)]);
  const reply = await ask(at, DELETE_TOPICS, body, timeoutMs + 1000);
  reply.int32();
  const results = reply.list(() => [reply.text(), reply.int16()] as const);
  return new Map(results.filter(([, code]) => code !== 0 && code !== UNKNOWN_TOPIC));
}

const UNKNOWN_TOPIC = 3;

async function ask(
  at: { host: string; port: number },
  api: { key: number; version: number },
  body: Buffer,
  timeoutMs: number,
): Promise<Reader> {
  const request = Buffer.concat([int16(api.key), int16(api.version), int32(1), text('labs'), body]);
  const { promise, resolve, reject } = Promise.withResolvers<Reader>();
  const socket = connect(at, () => socket.write(Buffer.concat([int32(request.length), request])));
  let received = Buffer.alloc(0);
  socket.on('data', (chunk) => {
    received = Buffer.concat([received, chunk]);
    if (received.length < 8) return;
    const length = received.readInt32BE(0);
    // A stranger's greeting is no length of ours.
    if (length < 4 || length > MOST_BYTES || received.readInt32BE(4) !== 1) reject(new Error('it is not a Kafka'));
    else if (received.length >= length + 4) resolve(new Reader(received.subarray(8, length + 4)));
  });
  socket.setTimeout(timeoutMs, () => reject(new Error(`no answer within ${timeoutMs} ms`)));
  socket.on('error', reject);
  socket.on('close', () => reject(new Error('it closed the connection: it may want TLS or a login')));
  return promise.finally(() => socket.destroy());
}

const MOST_BYTES = 100 << 20;

class Reader {
  readonly #bytes: Buffer;
  #at = 0;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  skip(count: number): number {
    this.#at += count;
    return this.#at - count;
  }

  int16(): number {
    return this.#bytes.readInt16BE(this.skip(2));
  }

  int32(): number {
    return this.#bytes.readInt32BE(this.skip(4));
  }

  /** Empty where the protocol has null. */
  text(): string {
    const length = Math.max(0, this.int16());
    const from = this.skip(length);
    return this.#bytes.toString('utf8', from, from + length);
  }

  list<T>(read: () => T): T[] {
    return Array.from({ length: Math.max(0, this.int32()) }, read);
  }
}

function int16(value: number): Buffer {
  const bytes = Buffer.alloc(2);
  bytes.writeInt16BE(value);
  return bytes;
}

function int32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeInt32BE(value);
  return bytes;
}

function text(value: string): Buffer {
  const bytes = Buffer.from(value);
  return Buffer.concat([int16(bytes.length), bytes]);
}
