import { createHash } from 'node:crypto';
import { UnreadableEventError } from './errors.ts';
import type { Envelope } from './event.ts';

/** The type of what stands in for a text that is no event. */
export const UNREADABLE = 'Unreadable';

/** An event, or what stands in for a text that is none. */
export interface Parsed {
  readonly event: Envelope;
  readonly unreadable?: UnreadableEventError;
}

/**
 * Reads what came from a broker, where anybody may write. Never throws: what is no event would come again for ever. It
 * goes to the dead letters instead, as an event of the type "Unreadable" whose data is `{ text: kept }`.
 * @param kept Default: the text.
 */
export function parseEvent(text: string, kept = text): Parsed {
  try {
    const value: unknown = JSON.parse(text);
    assertEnvelope(value);
    // Nested too deep to be copied: each try would fail by it, and so would its burial.
    structuredClone(value);
    return { event: value };
  } catch (error) {
    return standIn(kept, String(error));
  }
}

function assertEnvelope(value: unknown): asserts value is Envelope {
  if (typeof value !== 'object' || value === null) throw new TypeError('it is no object');
  const fields: Readonly<Record<string, unknown>> = { ...value };
  // Inbox and dead letters keep it as a uuid.
  if (typeof fields['id'] !== 'string' || !UUID.test(fields['id'])) throw new TypeError('its id is no UUID');
  if (!Number.isInteger(fields['version'])) throw new TypeError('its version is no whole number');
  for (const name of ['type', 'key', 'time', 'correlationId']) {
    if (typeof fields[name] !== 'string' || fields[name] === '') throw new TypeError(`it has no ${name}`);
  }
  for (const name of ['causationId', 'traceparent']) {
    if (!['string', 'undefined'].includes(typeof fields[name])) throw new TypeError(`its ${name} is no string`);
  }
}

export const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

function standIn(kept: string, why: string): Parsed {
  // PostgreSQL's jsonb has no U+0000.
  const text = kept.replaceAll('\0', '\uFFFD');
  // The same text has the same id: it may come twice, and is one dead letter.
  const id = createHash('sha256')
    .update(kept)
    .digest('hex')
    .replace(/^(.{8})(.{4})(.{4})(.{4})(.{12}).*$/, '$1-$2-$3-$4-$5');
  const time = new Date().toISOString();
  const event = { id, type: UNREADABLE, version: 1, key: id, data: { text }, time, correlationId: id };
  const start = JSON.stringify(text.slice(0, 60));
  return {
    event,
    unreadable: new UnreadableEventError(`no event (${why}): ${start}. Mend the text, and publish it anew.`),
  };
}
