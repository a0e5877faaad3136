import { inspect } from 'node:util';
import { touched } from './evidence.ts';

/**
 * What happened, in order: the evidence of a law. When the test that recorded it fails, its text is printed under the
 * failure without further ado; `Object.assign(error, { evidence: history })` does the same for an error of your own.
 */
export class History<Op = string> {
  readonly #ops: { readonly at: number; readonly op: Op }[] = [];
  readonly #start = performance.now();

  /** Adds an operation, stamped with the milliseconds since this history was made. */
  record(op: Op): void {
    this.#ops.push({ at: performance.now() - this.#start, op });
    touched.add(this);
  }

  get ops(): readonly Op[] {
    return this.#ops.map(({ op }) => op);
  }

  /** One line an operation: `  310 ms  B acquired`. */
  toString(): string {
    const width = Math.max(0, ...this.#ops.map(({ at }) => at.toFixed(0).length));
    return this.#ops.map(({ at, op }) => `${at.toFixed(0).padStart(width)} ms  ${describeOp(op)}`).join('\n');
  }

  // Vitest serialises what a failing test throws by way of toJSON: the evidence arrives as text, not as a shape.
  toJSON(): string {
    return this.toString();
  }
}

function describeOp(op: unknown): string {
  if (typeof op === 'string') return op;
  if (typeof op !== 'object' || op === null || Array.isArray(op)) return inspect(op, { breakLength: Infinity });
  return Object.entries(op)
    .map(([key, value]) => `${key}=${typeof value === 'string' ? value : inspect(value, { breakLength: Infinity })}`)
    .join(' ');
}
