import diagnostics from 'node:diagnostics_channel';

// A channel of Node's own, so that a narrator can listen without importing this package.
const channel = diagnostics.channel('concept-labs:services');

/** What is said of servers: the `banner` of one that is up, or the `progress` of one that is being fetched. */
export interface Announcement {
  readonly kind: 'banner' | 'progress';
  readonly line: string;
}

/**
 * Hands the lines about servers ("redis ×5: embedded 7.0.15") to `listener` instead of stderr.
 * @returns a function that ends it.
 */
export function onAnnounce(listener: (line: string) => void): () => void {
  const hear = (message: unknown) => {
    if (typeof message === 'object' && message !== null && 'line' in message) listener(String(message.line));
  };
  channel.subscribe(hear);
  return () => channel.unsubscribe(hear);
}

/** Says one line to the listener, or to stderr when there is none: stdout belongs to the lesson. */
export function announce(line: string, kind: Announcement['kind'] = 'progress'): void {
  const said: Announcement = { kind, line };
  if (channel.hasSubscribers) channel.publish(said);
  else process.stderr.write(`${line}\n`);
}
