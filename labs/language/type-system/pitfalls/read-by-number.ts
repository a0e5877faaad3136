// Flaw: Number() reads the text: '' is 0, '0x10' is 16, and what is too long is rounded.
// Seen in: https://github.com/grafana/grafana/pull/32825
// Caught by: an overload keeps at run time what it promised to the compiler
import { ParseError, parse as reference } from '../src/index.ts';

export * from '../src/index.ts';

export function parse(input: string): number;
export function parse(input: Uint8Array): string;
export function parse(input: string | Uint8Array): number | string {
  if (typeof input !== 'string') return reference(input);
  const value = Number(input);
  if (Number.isNaN(value)) throw new ParseError(`${input} is no number`);
  return value;
}
