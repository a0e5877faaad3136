/** Every error of this library; `instanceof` tells it from the errors of handlers. */
export abstract class QueueError extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = new.target.name;
  }
}

/** An argument that no broker could keep as it is. */
export class BadArgumentError extends QueueError {}

/** No queue takes the message: no binding matches, or the exchange is not there. Nothing is kept of it. */
export class UnroutableMessageError extends QueueError {}

/** The broker has refused it (a full queue, a lost leader). Nothing is kept of it: send it again later. */
export class RefusedError extends QueueError {}

/** The connection ended before the answer came. What was sent may have arrived. */
export class BrokerLostError extends QueueError {}

/** The broker has refused what was asked of it, or has closed the channel for what was sent: that may have arrived. */
export class ChannelClosedError extends QueueError {}

/** It was closed by its owner: open another. */
export class QueueClosedError extends QueueError {}

/** Kafka has not confirmed the records in time, or not at all. They may have arrived: `cause` has the client's error. */
export class NotWrittenError extends QueueError {}

/** Kafka did not do what was asked of a group or a topic: `cause` has the client's error. */
export class LogRequestError extends QueueError {}

/** Thrown by a handler: this message can't be handled, now or later. It becomes a dead letter at once. */
export class PermanentError extends QueueError {}

/** The words of an error; of many errors in one, theirs, each once. Whatever was thrown has some. */
export function reasonOf(error: unknown): string {
  const seen = new Set<unknown>();
  const words = (each: unknown): string[] => {
    if (seen.has(each)) return [];
    seen.add(each);
    if (each instanceof AggregateError && each.errors.length > 0) return each.errors.flatMap(words);
    return [String(each instanceof Error ? each.message : each)];
  };
  try {
    return [...new Set(words(error))].join('; ');
  } catch {
    return 'what was thrown has no text';
  }
}
