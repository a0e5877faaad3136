/** What stays the same between two runs of one story, when only its figures differ. */

const BLOCKS = /[▀-▟⠀-⣿]+/g;
const HEX =
  /(?<![0-9A-Za-z])(?=[0-9a-f-]*\d)(?:[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|[0-9a-f]{8,})(?![0-9A-Za-z])/gi;
const FIGURE = /(?:(?<=^|[\s(])[-+−]|)\d+(?:[.,]\d+)*(?:e[+-]?\d+)?/g;
const UNIT = /#(\s?)(?:ns|µs|ms|s|min|h)(?![A-Za-z0-9])/g;
/** Rows of a plot: something, then its left border. */
const ROW = /^(.*?)\s[│┤┼└]/;

/**
 * Masks rendered plain text so that two runs compare equal when only figures differ: digits become `#`, times lose
 * their unit's size, random ids too, bars vanish, spacing and line breaks inside a block do not count, and of a drawn
 * chart its title, legend and lane names remain. Masking twice changes nothing more.
 */
export function maskFigures(text: string): string {
  return text
    .replace(/\r\n?/g, '\n')
    .split(/\n[^\S\n]*(?:\n[^\S\n]*)+/)
    .map(maskBlock)
    .filter((block) => block !== '')
    .join('\n\n');
}

function maskBlock(block: string): string {
  const lines = block.split('\n');
  const axis = lines.findIndex((line) => /^\s*(?:\S.*\s)?└/.test(line));
  const first = axis < 0 ? -1 : lines.findIndex((line) => ROW.test(line));
  if (axis < 0 || first < 0) return maskWords(block);
  const names = lines
    .slice(first, axis)
    .map((line) => maskWords(ROW.exec(line)?.[1] ?? ''))
    .filter((name) => name !== '' && name !== '#' && !/^[#\s]+$/.test(name));
  const head = maskWords(lines.slice(0, first).join(' '));
  return `${head} [${names.join(' · ')}]`.trim();
}

function maskWords(text: string): string {
  return text
    .replace(BLOCKS, ' ')
    .replace(/[─└┘┴┬┊│┤┼▼]+/g, ' ')
    .replace(HEX, '#')
    .replace(FIGURE, '#')
    .replace(/\s+/g, ' ')
    .replace(UNIT, '#$1s')
    .trim();
}
