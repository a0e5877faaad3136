import { inspect } from 'node:util';
import { z } from 'zod';

const hidden = '[secret]';

/** A text that shows itself to nobody who does not ask: not to a template, nor to JSON, a log or a debugger's print. */
export class Secret {
  readonly #value: string;

  constructor(value: string) {
    this.#value = value;
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
  readonly #forms = new Set<string>();

  /** Notes all secrets in a checked configuration. */
  note(config: unknown, seen = new Set<unknown>()): void {
    if (typeof config !== 'object' || config === null || seen.has(config)) return;
    seen.add(config);
    if (config instanceof Secret) {
      const text = config.reveal();
      if (text === '') return;
      this.#forms.add(text).add(JSON.stringify(text).slice(1, -1)).add(encodeURIComponent(text.toWellFormed()));
    } else {
      const inner: Iterable<unknown> =
        config instanceof Map ? [...config].flat() : config instanceof Set ? config : Object.values(config);
      for (const each of inner) this.note(each, seen);
    }
  }

  text(text: string): string {
    let blanked = text;
    for (const form of [...this.#forms].sort((a, b) => b.length - a.length)) blanked = blanked.replaceAll(form, hidden);
    return blanked;
  }

  /** The error itself, or, when a secret stands anywhere in it, what of it can be told. */
  error(error: unknown): unknown {
    const whole = inspect(error, { depth: 10, maxArrayLength: null, maxStringLength: null, showHidden: true });
    if (this.text(whole) === whole) return error;
    const told = new Error(this.text(messageOf(error)));
    if (error instanceof Error) {
      told.name = this.text(error.name);
      told.stack = this.text(error.stack ?? '');
    }
    return told;
  }
}

export const messageOf = (error: unknown): string => (error instanceof Error ? error.message : inspect(error));
