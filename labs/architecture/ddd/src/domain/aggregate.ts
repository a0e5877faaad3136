import { InvalidValueError } from './errors.ts';

/**
 * The root of an aggregate: an entity (equal by identity) that is loaded, changed and saved as a whole, with the version
 * that it was loaded at and the events that it recorded since. It knows nothing of how it is saved.
 */
export abstract class Aggregate<Event> {
  declare readonly id: string;
  #version: number;
  #events: readonly Event[] = [];

  /** @throws InvalidValueError unless `version` is a whole number, 0 or more. */
  constructor(id: string, version: number) {
    if (!Number.isSafeInteger(version) || version < 0) {
      throw new InvalidValueError('Version', version, 'a whole number, 0 or more');
    }
    // `readonly` is a promise of the compiler alone.
    Object.defineProperty(this, 'id', { value: id, enumerable: true });
    this.#version = version;
  }

  /** How often it has been saved; 0 means never. */
  get version(): number {
    return this.#version;
  }

  /** What has happened since it was loaded or saved, oldest first. */
  get events(): readonly Event[] {
    return Object.freeze(this.#events);
  }

  /** For repositories, once a transaction with `saved` (what `events` was) has been committed; never before. */
  committed(saved: readonly Event[]): void {
    this.#version += 1;
    this.#events = this.#events.slice(saved.length);
  }

  /** The same thing, whatever has become of it in the meantime. */
  equals(other: Aggregate<unknown>): boolean {
    return this.id === other.id && this.constructor === other.constructor;
  }

  /** As it was, whoever reads it meanwhile: what others will be told is what has been decided. */
  protected record(event: Event): void {
    this.#events = [...this.#events, frozen(event)];
  }
}

/** Plain data, frozen all the way down: it may go through many hands. */
export function frozen<T>(data: T): T {
  if (typeof data === 'object' && data !== null) for (const part of Object.values(data)) frozen(part);
  return Object.freeze(data);
}
