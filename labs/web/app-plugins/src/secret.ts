import { inspect, types } from 'node:util';
import { z } from 'zod';

const hidden = '[secret]';

/** A text that shows itself to nobody who does not ask: not to a template, nor to JSON, a log or a debugger's print. */
export class Secret {
  readonly #value: string;

  constructor(value: string) {
    this.#value = value;
  }

  /** Also of what throws when it is asked for its class. */
  static is(value: unknown): value is Secret {
    return typeof value === 'object' && value !== null && #value in value;
  }

  /** The text itself, for the one call that needs it. */
  reveal(): string {
    return this.#value;
  }

  toString(): string {
    return hidden;
  }

  toJSON(): string {
    return hidden;
  }

  [inspect.custom](): string {
    return hidden;
  }
}

/**
 * A schema for a password or a key: a string in the configuration, a Secret for `setup`. It is a Secret before any check of
 * yours sees it, so that no message can have it.
 * @param minLength Characters (UTF-16). Default 8: each log line is searched for it, and shorter ones stand in innocent words.
 */
export function secret(minLength = 8) {
  return z
    .string({ error: 'expected a secret: a string' })
    .min(minLength, { error: `a secret has at least ${minLength} characters` })
    .transform((value) => new Secret(value));
}

/** Blanks out what is secret, as it stands, as JSON writes it and as an URL does. */
export class Blanks {
  /** The longest first. */
  #forms: string[] = [];

  /** Notes all secrets in a checked configuration. */
  note(config: unknown): void {
    for (const part of parts(config)) {
      if (Secret.is(part)) this.#forms.push(...formsOf(part.reveal()));
    }
    this.#forms = [...new Set(this.#forms)].filter(Boolean).sort((a, b) => b.length - a.length);
  }

  text(text: string): string {
    return this.#forms.reduce((blanked, form) => blanked.replaceAll(form, hidden), text);
  }

  /** The error itself, or, when a secret stands anywhere in it, or it is too large to tell, what of it can be told. */
  error(error: unknown): unknown {
    if (this.#forms.length === 0 || !this.#standIn(error)) return error;
    const told = new Error('a value that holds a secret');
    try {
      if (error instanceof Error || typeof error === 'string') told.message = this.text(wordsOf(error));
      if (error instanceof Error) {
        told.name = this.text(String(error.name));
        told.stack = this.text(String(error.stack));
      }
    } catch {}
    return told;
  }

  #standIn(error: unknown): boolean {
    let seen = 0;
    for (const part of parts(error)) {
      if (++seen > 100_000) return true;
      const text = ArrayBuffer.isView(part)
        ? Buffer.from(part.buffer, part.byteOffset, part.byteLength).toString()
        : typeof part === 'symbol'
          ? part.description
          : part;
      if (typeof text === 'string' && this.text(text) !== text) return true;
    }
    return false;
  }
}

/** As it stands, in JSON, and in the ways in which the parts of an URL are written. */
function formsOf(secret: string): string[] {
  const text = secret.toWellFormed();
  const form = new URLSearchParams([['', text]]).toString().slice(1);
  const urls = ['http://host', 'db://host'].flatMap((href) => {
    const url = Object.assign(new URL(href), { password: text, search: text });
    return [url.password, url.search.slice(1)];
  });
  return [secret, JSON.stringify(secret).slice(1, -1), encodeURIComponent(text), encodeURI(text), form, ...urls];
}

/** All values and keys that can be reached from `root`. No getter is called, and what throws when it is looked at is passed over. */
function* parts(root: unknown): Generator<unknown> {
  const seen = new Set<unknown>();
  const ahead = [root];
  while (ahead.length > 0) {
    const part = ahead.pop();
    if (seen.has(part)) continue;
    seen.add(part);
    yield part;
    if (typeof part !== 'object' || part === null || ArrayBuffer.isView(part) || Secret.is(part)) continue;
    try {
      if (types.isMap(part) || types.isSet(part)) for (const entry of part) ahead.push(entry);
      if (part instanceof Error) ahead.push(part.stack);
      if (part instanceof URL) ahead.push(part.href);
      for (const key of Reflect.ownKeys(part)) ahead.push(key, Reflect.getOwnPropertyDescriptor(part, key)?.value);
    } catch {}
  }
}

/** Of anything that was thrown, also of what throws when it is asked. */
export function wordsOf(error: unknown): string {
  try {
    if (typeof error === 'string') return error;
    return error instanceof Error ? String(error.message) : inspect(error);
  } catch {
    return 'what it has thrown cannot be shown';
  }
}
