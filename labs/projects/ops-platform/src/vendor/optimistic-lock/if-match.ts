import { inspect } from 'node:util';
import { InvalidArgumentError, PreconditionRequiredError } from './errors.ts';
import { checkedExpected } from './table.ts';

/** The strong entity tag of a version, for the ETag header (RFC 9110, section 8.8.3). */
export function etagOf(version: number): string {
  return `"${checkedExpected([version])}"`;
}

/** One entity-tag: perhaps weak, then its opaque text, which may have commas. */
const TAG = /(W\/)?"([\x21\x23-\x7e\x80-\xff]*)"/y;
/** Between two of them: a comma, perhaps several, with optional whitespace. */
const GAP = /[\t ,]*/y;

/**
 * What an If-Match header asks for, as `updateVersioned` and `deleteVersioned` take it: its comparison is made in the
 * statement that writes, so that no version slips in between.
 *
 * Strong comparison (RFC 9110, sections 8.8.3.2 and 13.1.1): a weak tag matches nothing, nor does a tag that `etagOf` never
 * made. If none is left the list is empty, and the update finds the row stale: 412.
 *
 * @throws PreconditionRequiredError (428) without the header; InvalidArgumentError (400) on what is no If-Match
 */
export function ifMatch(header: string | undefined): readonly number[] | '*' {
  if (header === undefined) throw new PreconditionRequiredError();
  if (/^[\t ]*\*[\t ]*$/.test(header)) return '*';
  const versions: number[] = [];
  let at = header.search(/[^\t ,]|$/);
  let gap: string | undefined = ',';
  do {
    const [tag = '', weak, opaque = ''] = matchAt(TAG, header, at);
    if (tag === '' || !gap.includes(',')) throw malformed(header);
    if (!weak && isVersion(opaque)) versions.push(Number(opaque));
    at += tag.length;
    [gap = ''] = matchAt(GAP, header, at);
    at += gap.length;
  } while (at < header.length);
  return versions;
}

/** As `etagOf` writes it: 3, and not 03, 3.0, 3e0 or more than a number can say. */
const isVersion = (text: string) => /^(0|[1-9][0-9]{0,15})$/.test(text) && Number.isSafeInteger(Number(text));

function matchAt(pattern: RegExp, text: string, at: number): readonly (string | undefined)[] {
  pattern.lastIndex = at;
  return pattern.exec(text) ?? [];
}

const malformed = (header: string) =>
  new InvalidArgumentError(`If-Match is ${inspect(header, { maxStringLength: 80 })}: give "*" or quoted entity tags.`);
