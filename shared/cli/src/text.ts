import truncate from 'fast-string-truncated-width';
import widthOf from 'fast-string-width';
import { wrapAnsi } from 'fast-wrap-ansi';

/** Columns that `text` takes in a terminal; a Chinese character takes two. */
export const columns = (text: string): number => widthOf(text);

export const pad = (text: string, width: number): string => text + ' '.repeat(Math.max(0, width - columns(text)));

/** `text` cut to `width` columns, with an ellipsis where something was lost. */
export function cut(text: string, width: number): string {
  if (width < 2) return '';
  const { index, ellipsed, truncated } = truncate(text, { limit: width, ellipsis: '…', ellipsisWidth: 1 });
  return truncated || ellipsed ? `${text.slice(0, index).trimEnd()}…` : text;
}

export const indent = (text: string, by: string): string =>
  text
    .split('\n')
    .map((line) => (line.trim() === '' ? '' : by + line))
    .join('\n');

export const plural = (count: number, noun: string): string => `${count} ${noun}${count === 1 ? '' : 's'}`;

export const seconds = (ms: number): string => (ms < 1000 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(1)} s`);

export const wrap = (text: string, width: number): string => wrapAnsi(text, width, { hard: true });
