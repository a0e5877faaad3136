/** What survives `JSON.stringify` as it is. */
export type JsonValue = null | boolean | number | string | readonly JsonValue[] | { readonly [key: string]: JsonValue };

/** The id of what stands before the first message of a group. */
export const BEGINNING = '0-0';

/**
 * One message of a group, the same object for all that it is told to: nothing in it can be changed. Ids are those of the Redis
 * stream, `milliseconds-sequence`, and grow. `prev` is the id of the message before it in the group: whoever has seen that
 * one last has missed nothing.
 */
export class Message {
  readonly group: string;
  readonly id: string;
  readonly prev: string;
  /** The body as JSON. */
  readonly json: string;
  #frame: Buffer | undefined;

  constructor(group: string, id: string, prev: string, json: string) {
    this.group = group;
    this.id = id;
    this.prev = prev;
    this.json = json;
    Object.freeze(this);
  }

  /** The body, made anew for each who asks. */
  get body(): JsonValue {
    return JSON.parse(this.json);
  }

  /** `{"type":"message","group":…,"id":…,"body":…}`, made once for all the sockets of this process. */
  get frame(): Buffer {
    const { group, id, json } = this;
    this.#frame ??= Buffer.from(`{"type":"message","group":${JSON.stringify(group)},"id":"${id}","body":${json}}`);
    return this.#frame;
  }
}

const partsOf = (id: string): [number, number] => {
  const [ms = '', sequence = ''] = id.split('-');
  return [Number(ms), Number(sequence)];
};

/** Whether `id` is older than `other`. As texts, "9-0" would come behind "10-0". */
export function isBefore(id: string, other: string): boolean {
  const [ms, sequence] = partsOf(id);
  const [otherMs, otherSequence] = partsOf(other);
  return ms < otherMs || (ms === otherMs && sequence < otherSequence);
}

/** Whether a text that comes from outside is an id; as numbers, its parts are exact. */
export const isId = (text: unknown): text is string => typeof text === 'string' && /^\d{1,15}-\d{1,15}$/.test(text);
