import type { JSX } from 'preact';

/** Classes of the escapes that picocolors writes. */
const classes: Readonly<Record<string, string>> = {
  1: 'bold',
  2: 'dim',
  31: 'red',
  32: 'green',
  33: 'yellow',
  34: 'blue',
  35: 'magenta',
  36: 'cyan',
  90: 'dim',
};
/** What an escape ends. */
const ends: Readonly<Record<string, readonly string[]>> = { 0: Object.values(classes), 22: ['bold', 'dim'] };
const colours = ['red', 'green', 'yellow', 'blue', 'magenta', 'cyan'];

/** A terminal's text as elements; the escapes of colours become classes, all others are dropped. */
export function Ansi({ text }: { readonly text: string }): JSX.Element {
  const on = new Set<string>();
  const parts: JSX.Element[] = [];
  let from = 0;
  const push = (to: number): void => {
    if (to > from) parts.push(<span class={[...on].join(' ')}>{text.slice(from, to)}</span>);
  };
  // biome-ignore lint/suspicious/noControlCharactersInRegex: the escape is what is looked for
  for (const match of text.matchAll(/\u001b\[([\d;]*)([A-Za-z])/g)) {
    push(match.index);
    from = match.index + match[0].length;
    if (match[2] !== 'm') continue;
    for (const code of (match[1] || '0').split(';')) {
      const name = classes[code];
      if (code === '39') for (const each of colours) on.delete(each);
      else if (name !== undefined) on.add(name);
      else for (const each of ends[code] ?? []) on.delete(each);
    }
  }
  push(text.length);
  return <pre class="terminal">{parts}</pre>;
}
