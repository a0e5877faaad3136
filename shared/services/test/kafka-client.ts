import { Admin, Consumer, ProduceAcks, Producer, stringDeserializers, stringSerializers } from '@platformatic/kafka';
import { metadata } from '../src/kafka-wire.ts';
import { until } from './support.ts';

type Bootstrap = readonly string[];
const options = (bootstrap: Bootstrap) => ({
  clientId: 'test',
  bootstrapBrokers: [...bootstrap],
  connectTimeout: 1000,
});

export async function withAdmin<T>(bootstrap: Bootstrap, act: (admin: Admin) => Promise<T>): Promise<T> {
  const admin = new Admin(options(bootstrap));
  try {
    return await act(admin);
  } finally {
    await admin.close();
  }
}

/** Resolves when every broker has heard of them: the controller answers before the others have. */
export async function create(bootstrap: Bootstrap, ...topics: string[]): Promise<void> {
  await withAdmin(bootstrap, (admin) => admin.createTopics({ topics, partitions: 1, replicas: -1 }));
  for (const address of bootstrap) {
    const { hostname: host, port } = new URL(`kafka://${address}`);
    const heard = async () => {
      const known = await metadata({ host, port: Number(port) }, { timeoutMs: 1000, topics: true });
      return topics.every((topic) => known.topics.includes(topic));
    };
    await until(`${topics} at ${address}`, heard, 10_000);
  }
}

export async function send(bootstrap: Bootstrap, topic: string, value: string): Promise<void> {
  const producer = new Producer({ ...options(bootstrap), serializers: stringSerializers, retries: 0 });
  try {
    // Said at each send: the client takes no notice of it among a producer's options.
    await producer.send({ messages: [{ topic, key: 'k', value }], acks: ProduceAcks.ALL });
  } finally {
    await producer.close(true);
  }
}

/** The topic's first message. */
export async function receive(bootstrap: Bootstrap, topic: string): Promise<string | undefined> {
  const groupId = `group-${Math.random()}`;
  const consumer = new Consumer({ ...options(bootstrap), groupId, deserializers: stringDeserializers });
  try {
    const stream = await consumer.consume({ topics: [topic], mode: 'earliest', autocommit: false });
    for await (const { value } of stream) return value;
    return undefined;
  } finally {
    await consumer.close(true);
  }
}

/** Who leads the topic's one partition, and who has a copy in step. */
export async function partition(bootstrap: Bootstrap, topic: string) {
  const said = await withAdmin(bootstrap, (admin) => admin.metadata({ topics: [topic], forceUpdate: true }));
  const [first] = said.topics.get(topic)?.partitions ?? [];
  if (first === undefined) throw new Error(`${topic} has no partition`);
  return first;
}

/** Whether a broker answers. */
export const answers = ({ host, port }: { host: string; port: number }) =>
  metadata({ host, port }, { timeoutMs: 300 }).then(
    () => true,
    () => false,
  );
