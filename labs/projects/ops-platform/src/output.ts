import { InvalidArgumentError } from './errors.ts';

const MASK = '•••';

/** Takes secrets out of a stream of bytes, before anything leaves the machine. */
export class Mask {
  /** Bytes as letters (latin1), so that nothing is cut within a character, and binary output is no trouble. */
  readonly #pattern: RegExp;
  readonly #longest: number;
  #held = '';

  /** @throws InvalidArgumentError for an empty secret, which is everywhere */
  constructor(secrets: readonly string[]) {
    if (secrets.includes('')) throw new InvalidArgumentError('A secret is empty: leave it out.');
    const bytes = secrets.map((secret) => Buffer.from(secret).toString('latin1'));
    // The longest first, or a secret that begins with another one would keep its end.
    bytes.sort((a, b) => b.length - a.length);
    this.#longest = bytes[0]?.length ?? 1;
    this.#pattern = new RegExp(bytes.map((it) => RegExp.escape(it)).join('|') || '(?!)', 'g');
  }

  /** @returns what is sure to be no part of a secret; the rest is held until more has come */
  push(chunk: Buffer): Buffer {
    this.#held += chunk.toString('latin1');
    // A secret that begins before this place has all its bytes here.
    return this.#take(this.#held.length - (this.#longest - 1));
  }

  /** @returns what was held */
  end(): Buffer {
    return this.#take(this.#held.length);
  }

  #take(sure: number): Buffer {
    let out = '';
    let at = 0;
    for (const { index, 0: found } of this.#held.matchAll(this.#pattern)) {
      if (index >= sure) break;
      out += this.#held.slice(at, index) + Buffer.from(MASK).toString('latin1');
      at = index + found.length;
    }
    const end = Math.max(at, sure, 0);
    out += this.#held.slice(at, end);
    this.#held = this.#held.slice(end);
    return Buffer.from(out, 'latin1');
  }
}

/** The beginning and the end of what was said; what lies between is counted, not kept. */
export class Bounded {
  readonly #half: number;
  #head: Buffer = Buffer.alloc(0);
  #tail: Buffer = Buffer.alloc(0);
  #total = 0;

  /** @param limit bytes that are kept: one half of the beginning, one half of the end */
  constructor(limit: number) {
    this.#half = Math.max(4, Math.floor(limit / 2));
  }

  push(chunk: Buffer): void {
    this.#total += chunk.length;
    const room = this.#half - this.#head.length;
    if (room > 0) this.#head = Buffer.concat([this.#head, chunk.subarray(0, room)]);
    const rest = chunk.subarray(Math.max(0, room));
    this.#tail = Buffer.concat([this.#tail, rest]).subarray(-this.#half);
    // A view of a large chunk would keep all of it.
    if (rest.length > this.#half) this.#tail = Buffer.from(this.#tail);
  }

  /** As text that every store and terminal can take: control characters but tab and newline are shown as `�`. */
  read(): { readonly text: string; readonly cutBytes: number } {
    const between = this.#total - this.#head.length - this.#tail.length;
    if (between === 0) return { text: clean(Buffer.concat([this.#head, this.#tail])), cutBytes: 0 };
    const head = this.#head.subarray(0, wholeUntil(this.#head));
    const tail = this.#tail.subarray(wholeFrom(this.#tail));
    const cutBytes = this.#total - head.length - tail.length;
    return { text: `${clean(head)}\n… ${cutBytes} bytes …\n${clean(tail)}`, cutBytes };
  }
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
export const clean = (bytes: Buffer): string => bytes.toString().replace(/[\0-\x08\x0b-\x1f\x7f-\x9f]/g, '\ufffd');

const isContinuation = (byte: number | undefined): boolean => byte !== undefined && (byte & 0xc0) === 0x80;

/** Where the bytes begin that are whole characters: at most three belong to one that began before. */
function wholeFrom(bytes: Buffer): number {
  let at = 0;
  while (at < 3 && isContinuation(bytes[at])) at += 1;
  return at;
}

/** Up to where the bytes are whole characters. */
function wholeUntil(bytes: Buffer): number {
  let start = bytes.length - 1;
  while (start > bytes.length - 4 && isContinuation(bytes[start])) start -= 1;
  const lead = bytes[start] ?? 0;
  const length = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : lead >= 0xc0 ? 2 : 1;
  return start + length > bytes.length ? start : bytes.length;
}
