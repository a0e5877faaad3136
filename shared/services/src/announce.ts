import diagnostics from 'node:diagnostics_channel';

// A channel of Node's own, so that a narrator can listen without importing this package.
const channel = diagnostics.channel('concept-labs:services');

/**
 * Hands the lines about servers ("redis ×5: embedded 7.0.15") to `listener` instead of stderr.
 * @returns a function that ends it.
 */
export function onAnnounce(listener: (line: string) => void): () => void {
  const hear = (message: unknown) => listener(String(message));
  channel.subscribe(hear);
  return () => channel.unsubscribe(hear);
}

/** Says one line to the listener, or to stderr when there is none: stdout belongs to the lesson. */
export function announce(line: string): void {
  if (channel.hasSubscribers) channel.publish(line);
  else process.stderr.write(`${line}\n`);
}
