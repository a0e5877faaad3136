import type { CodeEvent } from '../events.ts';
import { chop, clean, cleanLines, dedent, type Paint, padStart, type Style, truncate } from '../text.ts';
import type { Frame } from './frame.ts';

/** A light tint, not a parser: comments, strings, numbers, and the words that carry the flow. */
const TOKEN =
  /(?<comment>\/\/[^\n]*|\/\*[\s\S]*?\*\/|(?<=^|\s)--\s[^\n]*)|(?<text>'(?:\\.|[^'\\\n])*'|"(?:\\.|[^"\\\n])*"|`(?:\\.|[^`\\])*`)|(?<word>\b(?:abstract|as|async|await|break|case|catch|class|const|constructor|continue|default|delete|do|else|export|extends|false|finally|for|from|function|get|if|implements|import|in|instanceof|interface|let|local|new|null|of|readonly|return|set|static|switch|then|throw|true|try|type|typeof|undefined|using|while|yield)\b(?!\s*:))|(?<number>\b\d[\d_]*(?:\.\d+)?\b)/g;

const tints: Record<string, Style> = { comment: 'gray', text: 'green', word: 'magenta', number: 'yellow' };

export function renderCode(event: CodeEvent, f: Frame): string[] {
  const gutter = String(event.from + event.lines.length - 1).length;
  const source = dedent(cleanLines(event.lines.join('\n')));
  const lines = tint(source, f.paint).split('\n');
  return [
    f.paint('dim', truncate(`${clean(event.file)}:${event.from}`, f.inner)),
    ...lines.flatMap((line, i) =>
      chop(line, f.inner - gutter - 4).map((part, j) => {
        const number = f.paint('dim', padStart(j === 0 ? String(event.from + i) : '', gutter + 2));
        return `${number}  ${part}`;
      }),
    ),
  ];
}

function tint(source: string, paint: Paint): string {
  return source.replace(TOKEN, (token, ...rest) => {
    const groups: unknown = rest.at(-1);
    const kind = Object.entries(groups ?? {}).find(([, value]) => value !== undefined)?.[0];
    const style = tints[kind ?? ''];
    // A token over several lines is tinted line by line: each line of output stands alone.
    return style === undefined
      ? token
      : token
          .split('\n')
          .map((line) => paint(style, line))
          .join('\n');
  });
}
