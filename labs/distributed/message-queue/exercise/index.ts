import type { MessageToProduce } from '@platformatic/kafka';
import type { Channel, ConsumeMessage } from 'amqplib';
import type { ConfirmLedger } from '../src/confirms.ts';
import { reasonOf } from '../src/errors.ts';
import type { Incoming, Tracker } from '../src/group.ts';
import {
  Tenure as GivenTenure,
  GroupMember,
  Log as LogClient,
  type OutgoingRecord,
  type QueueError,
  Rabbit as RabbitClient,
} from '../src/index.ts';
import type { Session } from '../src/link.ts';
import { attemptOf, copyOf, type Publication, type QueueConsumer, received } from '../src/rabbit.ts';

// What is not the idea is given: connections that come back, queues, groups, arguments that are checked. What is here works
// while nothing goes wrong, and has the flaws that its comments name. Make it lose nothing. `h` in `pnpm lab learn
// message-queue` gives a hint. The classes that are extended here have solutions of what is yours: don't call `super` for
// it. Errors are those of ../src/errors.ts.
export * from '../src/index.ts';

/**
 * Whether a queue that is bound to a topic exchange by `pattern` gets what is published under `key`. Words are separated by
 * dots. Its flaw: it knows neither `*` nor `#`.
 */
export function topicMatches(pattern: string, key: string): boolean {
  return pattern === key;
}

/**
 * What was published on one channel and is not settled. The broker numbers what it gets on a channel from 1: the delivery
 * tag. Its answers name one message by its tag, or with `multiple` all that are not settled up to it.
 * Its flaw: whatever was sent is taken for confirmed, at once.
 */
export class Confirms implements ConfirmLedger {
  /** How many are not settled. */
  get size(): number {
    return 0;
  }

  /** Called before each publish: the tag that the broker will give it, and a promise that is settled by the methods below. */
  next(): { readonly tag: number; readonly settled: Promise<void> } {
    return { tag: 1, settled: Promise.resolve() };
  }

  /** No queue has taken it. The broker confirms it all the same, afterwards: then it rejects with an UnroutableMessageError. */
  returned(_tag: number, _why: string): void {}

  /** The broker has it: resolves. A tag that is not known, or was settled before, changes nothing. */
  ack(_tag: number, _multiple: boolean): void {}

  /** The broker refuses it: rejects with a RefusedError. */
  nack(_tag: number, _multiple: boolean): void {}

  /** The channel is gone: whatever is not settled rejects with `error`. */
  fail(_error: QueueError): void {}
}

/** RabbitMQ. Given: connections, topology, `send` (which publishes again after a lost connection). */
export class Rabbit extends RabbitClient {
  protected override confirms(): ConfirmLedger {
    return new Confirms();
  }

  /**
   * Publishes once, and resolves when `session.confirms` says so. The headers need the tag under the name `TAG` of
   * ../src/link.ts: by it a returned message is told from others. Its flaw: who sends never knows what became of it.
   */
  protected override async publish({ channel }: Session, message: Publication): Promise<void> {
    const { exchange, key, content, messageId, headers } = message;
    channel.publish(exchange, key, content, { messageId, headers });
  }

  /**
   * Begins to consume: `receive` gets each delivery. Its two flaws: the broker takes what it has sent for done, and sends
   * all it has.
   */
  protected override begin(
    channel: Channel,
    { name }: { readonly name: string; readonly prefetch: number },
    receive: (message: ConsumeMessage | null) => void,
  ) {
    return channel.consume(name, receive, { noAck: true });
  }

  /**
   * One delivery. `signal` aborts when the message is no longer ours: then it comes again, whatever we do. Its flaw: the
   * broker is never told that the work is done.
   */
  protected override async work(
    _channel: Channel,
    message: ConsumeMessage,
    consumer: QueueConsumer,
    signal: AbortSignal,
  ): Promise<void> {
    try {
      await consumer.handler(received(message), signal);
    } catch (error) {
      if (!signal.aborted) await this.setAside(message, error, consumer);
    }
  }

  /**
   * What becomes of a message whose handler threw `error`. There are queues for it: `NAME.100ms` for a delay of 100 ms,
   * after which the message is in NAME again, and `NAME.dead`. The delays are `queue.retryDelaysMs`: one for each attempt
   * but the last. A PermanentError is worth no other attempt. `copyOf(message, n)` is its copy for attempt n. Its flaw: it
   * gives up at once.
   */
  protected override async setAside(message: ConsumeMessage, error: unknown, consumer: QueueConsumer): Promise<void> {
    const { queue, cut } = consumer;
    const copy = copyOf(message, attemptOf(message), reasonOf(error));
    await this.send({ ...copy, key: `${queue.name}.dead` }, { signal: cut });
  }
}

/**
 * What may be committed of one partition, while several of its records are worked on at once. Its flaw: it thinks that they
 * are done in order.
 */
export class OffsetTracker implements Tracker {
  /** Records that were taken, and are not below the last offset that `done` has told. */
  get unfinished(): number {
    return 0;
  }

  /** A record is being worked on: called in the order of the log. Offsets grow, and have gaps. */
  take(_offset: bigint): void {}

  /** Its work is done. The offset to commit: the one to read on at. Undefined when there is nothing new to tell. */
  done(offset: bigint): bigint | undefined {
    return offset + 1n;
  }
}

/** What one member of a group does while it owns its partitions. Given: when a record is begun, and `work` with its retries. */
export class Tenure extends GivenTenure {
  protected override tracker(): Tracker {
    return new OffsetTracker();
  }

  /** Records of one lane are handled one after the other. Its flaw: each record has a lane of its own. */
  protected override lane({ partition, offset }: Incoming): string {
    return `${partition} ${offset}`;
  }

  /**
   * One record: `this.work(message)`, and `this.commitSoon(message, offset)` for what the tracker tells. `this.over` aborts
   * when the partition may be another's. Its flaw: it commits before the work.
   */
  protected override async handle(message: Incoming, tracker: Tracker): Promise<void> {
    const next = tracker.done(message.offset);
    if (next !== undefined) this.commitSoon(message, next);
    await this.work(message);
  }
}

/** Kafka. Given: topics, producing, groups. */
export class Log extends LogClient {
  /** A record as the client sends it. Its flaw: it says nothing of where it belongs. */
  protected override message(topic: string, { value, headers = {} }: OutgoingRecord): MessageToProduce {
    const pairs = Object.entries(headers).map(([name, text]) => [Buffer.from(name), Buffer.from(text)] as const);
    return { topic, ...(value !== null && { value: Buffer.from(value) }), headers: new Map(pairs) };
  }

  protected override member(...given: ConstructorParameters<typeof GroupMember>): GroupMember {
    return new Member(...given);
  }
}

class Member extends GroupMember {
  protected override tenure(): Tenure {
    return new Tenure(this.options, this.commit);
  }
}
