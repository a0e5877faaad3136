import { isRegExp } from 'node:util/types';
import { InvalidArgumentError } from './errors.ts';
import { shown } from './plan.ts';

/**
 * The text that every match begins with, as MongoDB finds it to bound an index: `/^张/` reads from 张 to just before what
 * follows it, `/张/` and `/^张/i` read all that is text. Undefined: there is no such text.
 *
 * Stricter than MongoDB: before `{` the last character is left out, too, since it may be there no times
 * (https://jira.mongodb.org/browse/SERVER-136262); and `\A` and `\Q…\E` are none of JavaScript's.
 * Source: https://www.mongodb.com/docs/manual/reference/operator/query/regex/#index-use
 */
export function indexedPrefix(regex: RegExp): string | undefined {
  if (!isRegExp(regex)) throw new InvalidArgumentError(`${shown(regex)} is no RegExp.`);
  const { source, ignoreCase, multiline } = regex;
  // With `m` the anchor holds at each line. An alternative may begin with something else.
  if (!source.startsWith('^') || ignoreCase || multiline || source.includes('|')) return undefined;
  const prefix = literalsOf([...source.slice(1)]).join('');
  // Half a character is sent as another one.
  return prefix === '' || !prefix.isWellFormed() ? undefined : prefix;
}

/** The literal characters that come first, without one that may not be there. */
export function literalsOf(source: readonly string[]): string[] {
  const literals: string[] = [];
  for (let i = 0; i < source.length; i++) {
    const char = source[i] ?? '';
    if ('*?{'.includes(char)) return literals.slice(0, -1); // what stands before it may not be there
    if ('^$.[()+'.includes(char)) return literals;
    if (char === '\\') {
      const escaped = source[++i] ?? '';
      if (/^[0-9A-Za-z]$/.test(escaped)) return literals; // a class, a reference, a code
      literals.push(escaped);
    } else literals.push(char);
  }
  return literals;
}
