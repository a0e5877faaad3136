import type { FastifyRequest } from 'fastify';
import { z } from 'zod';
import { Problem } from './problem.ts';

/** The strong entity tag of a version: `"7"`. @throws RangeError for what no tag can hold */
export function etag(version: string | number): string {
  // NaN is every lost number, and above 2^53 two versions may be one.
  const isLost = typeof version === 'number' && !Number.isSafeInteger(version);
  if (isLost || !/^[!#-~]+$/.test(`${version}`))
    throw new RangeError(`${typeof version === 'string' ? JSON.stringify(version) : version} cannot be an entity tag.`);
  return `"${version}"`;
}

/**
 * Refuses unless `header`, an If-Match, has `current` in it: RFC 9110 §13.1.1. It is compared strongly: a weak tag (`W/"7"`) says
 * "much the same", and much the same is not what the client has seen. Call it where nobody can change the version until yours
 * is written: behind `SELECT … FOR UPDATE`.
 * @throws Problem 428 without a header (RFC 6585), 400 for one that can't be read, 412 when it is of another version
 */
export function ifMatch(header: string | undefined, current: string): void {
  if (header === undefined) throw preconditionRequired();
  const tags = entityTags(header);
  if (tags === '*' || tags.some(({ weak, tag }) => !weak && tag === current)) return;
  throw stale();
}

/** Has the client this version already (then: 304)? Compared weakly: RFC 9110 §13.1.2. @throws Problem 400 */
export function ifNoneMatch(header: string | undefined, current: string): boolean {
  if (header === undefined) return false;
  const tags = entityTags(header);
  return tags === '*' || tags.some(({ tag }) => tag === current);
}

/** A route's `preValidation`: without If-Match a change is not even looked at. */
export async function requireIfMatch({ headers }: FastifyRequest): Promise<void> {
  if (headers['if-match'] === undefined) throw preconditionRequired();
}

export const preconditionRequired = (): Problem =>
  new Problem(428, 'The header If-Match is missing: read it first, and send the ETag that you got.', {
    code: 'precondition-required',
  });

export const stale = (): Problem =>
  new Problem(412, 'It has been changed since you read it: read it again, and decide again.', { code: 'stale' });

/** The header, for a route's schema. */
export const ifMatchHeader = z
  .string()
  .max(1000)
  .meta({
    description: 'The ETag that the last read gave',
    examples: ['"1"'],
  });

/** The tags of a list, quotes included; a comma may be inside of them, and nothing between two (RFC 9110 §5.6.1.2). @throws Problem 400 */
export function entityTags(header: string): '*' | { readonly weak: boolean; readonly tag: string }[] {
  if (header.trim() === '*') return '*';
  if (!LIST.test(header)) {
    throw new Problem(400, `${header} is no list of entity tags: send the ETag as you got it, with its quotes.`, {
      code: 'bad-entity-tag',
    });
  }
  return Array.from(header.matchAll(TAG), ([, weak, tag = '']) => ({ weak: weak !== undefined, tag }));
}

const TAG = /(W\/)?("[!#-~\x80-\xff]*")/g;
const LIST = /^[\s,]*(?:W\/)?"[!#-~\x80-\xff]*"\s*(?:,\s*(?:(?:W\/)?"[!#-~\x80-\xff]*"\s*)?)*$/;
