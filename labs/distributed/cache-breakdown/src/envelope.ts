import { inspect } from 'node:util';
import { UnstorableValueError } from './errors.ts';

/** A value as Redis has it, with what a reader must know to refresh it in time. */
export interface Envelope<T> {
  readonly value: T | null;
  /** How long the load took, once its turn had come. */
  readonly loadMs: number;
  readonly ttlMs: number;
  readonly staleMs: number;
}

/** The value lies inside, so none can be taken for a missing one: not null, not "", not this text itself. */
export function encode(key: string, { value, loadMs, ttlMs, staleMs }: Envelope<unknown>): string {
  try {
    const json = JSON.stringify(value);
    // NaN and the infinities are "null" in JSON, which is another value.
    if (json === undefined || (json === 'null' && value !== null))
      throw new Error(`JSON has no text for ${inspect(value)}`);
    return `1:${Math.ceil(loadMs)}:${ttlMs}:${staleMs}:${json}`;
  } catch (cause) {
    throw new UnstorableValueError(`${key}: give the cache something that JSON can hold.`, { cause });
  }
}

/** @throws when the text is none of ours: another version wrote it, or another program. */
export function decode<T>(text: string): Envelope<T> {
  const [, loadMs, ttlMs, staleMs, json] = /^1:(\d+):(\d+):(\d+):(.+)$/s.exec(text) ?? [];
  if (json === undefined) throw new Error('no envelope of this version');
  return { value: JSON.parse(json), loadMs: Number(loadMs), ttlMs: Number(ttlMs), staleMs: Number(staleMs) };
}
