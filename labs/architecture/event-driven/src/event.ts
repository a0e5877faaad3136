import { randomUUID } from 'node:crypto';
import { InvalidArgumentError, UnknownEventError } from './errors.ts';

/** A fact, and what a reader needs to know of it. It is never changed, only joined by later ones. */
export interface Envelope<Type extends string = string, Data = unknown> {
  readonly id: string;
  readonly type: Type;
  /** Of the data's shape, from 1. */
  readonly version: number;
  /** What it is about: an order's id. Events of one key are delivered in order, those of different keys at once. */
  readonly key: string;
  readonly data: Data;
  /** When it happened, ISO 8601. For people: order comes from positions, not from clocks. */
  readonly time: string;
  /** The id of the event that began it all. */
  readonly correlationId: string;
  /** The id of the event that this one answers. */
  readonly causationId?: string;
  /** W3C trace context, passed on from the cause. */
  readonly traceparent?: string;
}

/** The current version of a type, and how older ones become it. */
export interface Definition<Data> {
  /** Default 1. */
  readonly version?: number;
  /** From version n to n + 1: `{ 1: (old) => new }`. One for each version below the current. */
  readonly upcast?: Readonly<Record<number, (old: never) => unknown>>;
  /** Never set; carries the type. */
  readonly data?: Data;
}

export type EventOf<Events, Type extends keyof Events & string> = Envelope<Type, Events[Type]>;
export type Handlers<Events> = {
  readonly [Type in keyof Events & string]?: (event: EventOf<Events, Type>, signal: AbortSignal) => Promise<unknown>;
};

/** What a group does, and with which types. Made by `Catalogue.reader`. */
export interface Reader {
  readonly types: readonly string[];
  /** @throws UnknownEventError, also where there is no handler, or what the handler throws */
  handle(event: Envelope, signal: AbortSignal): Promise<void>;
}

/** The events of a system: their types, versions, and how to read what was written years ago. */
export class Catalogue<Events extends object> {
  readonly #definitions: { readonly [Type in keyof Events & string]: Definition<Events[Type]> };

  constructor(definitions: { readonly [Type in keyof Events & string]: Definition<Events[Type]> }) {
    this.#definitions = definitions;
  }

  /**
   * A new event of the current version. `cause` is the event that it answers: correlation and trace are passed on.
   * @throws InvalidArgumentError without a key, for a key above 512 characters, and for data that JSON or PostgreSQL
   *   can't hold: NaN, an invalid Date, undefined in a list, a Map, a Set, an Error, a Promise, a bigint, a cycle, U+0000,
   *   half a surrogate pair. Better here than in the middle of a transaction
   */
  create<Type extends keyof Events & string>(
    type: Type,
    key: string,
    data: Events[Type],
    cause?: Envelope,
  ): EventOf<Events, Type> {
    if (key === '') throw new InvalidArgumentError(`a ${type} without a key: name what it is about, e.g. the order`);
    if (key.length > 512)
      throw new InvalidArgumentError(`the key of a ${type} has ${key.length} characters, above 512`);
    assertStorable(`the key of a ${type}`, key);
    assertStorable(`the data of a ${type}`, data);
    const id = randomUUID();
    return {
      id,
      type,
      version: this.#definitions[type].version ?? 1,
      key,
      data,
      time: new Date().toISOString(),
      correlationId: cause?.correlationId ?? id,
      ...(cause && { causationId: cause.id }),
      ...(cause?.traceparent !== undefined && { traceparent: cause.traceparent }),
    };
  }

  /** The same event in its type's current version. @throws UnknownEventError for a type or version that it doesn't know. */
  read(event: Envelope): Envelope {
    const known: Readonly<Record<string, Definition<unknown>>> = this.#definitions;
    const definition = Object.hasOwn(known, event.type) ? known[event.type] : undefined;
    const current = definition?.version ?? 1;
    if (definition === undefined || !(event.version >= 1 && event.version <= current)) {
      const what = definition === undefined ? 'no such type' : `versions 1 to ${current}`;
      throw new UnknownEventError(
        `${event.type} version ${event.version}: this reader knows ${what}. Deploy a newer reader, then replay it.`,
      );
    }
    let data = event.data;
    for (let version = event.version; version < current; version++) {
      const upcast: ((old: never) => unknown) | undefined = definition.upcast?.[version];
      if (upcast === undefined) throw new UnknownEventError(`${event.type}: no upcast from version ${version}`);
      data = Reflect.apply(upcast, undefined, [data]);
    }
    return { ...event, version: current, data };
  }

  /** A reader of the types that have a handler. Handlers get the current version. */
  reader(handlers: Handlers<Events>): Reader {
    const byType = new Map<string, unknown>();
    // Methods of a class are no entries of its objects.
    for (const type of Object.keys(this.#definitions)) {
      const handler: unknown = Reflect.get(handlers, type);
      if (handler !== undefined) byType.set(type, handler);
    }
    return {
      types: [...byType.keys()],
      handle: async (event, signal) => {
        const current = this.read(event);
        const handler = byType.get(event.type);
        if (typeof handler !== 'function') {
          throw new UnknownEventError(`${event.type}: no handler. Deploy a reader that has one, then replay it.`);
        }
        await Reflect.apply(handler, handlers, [current, signal]);
      },
    };
  }
}

/** `JSON.stringify` escapes what is no well-formed text, and U+0000; PostgreSQL refuses both. */
const UNSTORABLE = /(?<!\\)(?:\\\\)*\\u(?:0000|d[89a-f])/i;

/** What JSON leaves out of an object, and keeps the place of in a list. */
const NOTHING = new Set<string>(['undefined', 'function', 'symbol']);
/** What JSON sees nothing of. */
const EMPTY = [Map, Set, Error, Promise];

function assertStorable(what: string, value: unknown): void {
  let json: string | undefined;
  try {
    json = JSON.stringify(value, function (this: object, name, each: unknown) {
      // It would be stored as null,
      if (typeof each === 'number' && !Number.isFinite(each)) throw new TypeError(`it has ${each} for a number`);
      if (each === null && Reflect.get(this, name) instanceof Date) throw new TypeError('it has an invalid date');
      if (Array.isArray(this) && NOTHING.has(typeof each)) throw new TypeError(`a list of it has ${typeof each}`);
      // and these as {}.
      if (EMPTY.some((kind) => each instanceof kind)) throw new TypeError('it has a Map, Set, Error or Promise');
      return each;
    });
  } catch (cause) {
    throw new InvalidArgumentError(`${what} is no JSON: ${cause instanceof Error ? cause.message : String(cause)}`, {
      cause,
    });
  }
  if (json === undefined) throw new InvalidArgumentError(`${what} is no JSON: it is ${typeof value}`);
  if (UNSTORABLE.test(json)) {
    throw new InvalidArgumentError(`${what} holds U+0000 or half a surrogate pair, which PostgreSQL can't store`);
  }
}
