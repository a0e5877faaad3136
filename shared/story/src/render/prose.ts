/** Everything that is words: headings, prose, verdicts, errors, the summary. */
import type {
  EndEvent,
  ErrorEvent,
  SayEvent,
  SceneEvent,
  ServerEvent,
  SkipEvent,
  StartEvent,
  VerdictEvent,
} from '../events.ts';
import { clean, cleanLines, dedent, figure, type Style, truncate, width, wrap } from '../text.ts';
import type { Frame } from './frame.ts';

/** Longer lines of prose than this are hard to read. */
const MEASURE = 92;

export function renderStart(event: StartEvent, f: Frame): string[] {
  return [
    ...wrap(clean(event.title), f.inner).map((line) => f.paint('bold', line)),
    ...(event.subtitle === undefined ? [] : wrap(clean(event.subtitle), measure(f))),
    '',
  ];
}

export function renderServer(event: ServerEvent, f: Frame): string[] {
  return wrap(clean(event.banner), f.inner).map((line) => f.paint('dim', line));
}

export function renderScene(event: SceneEvent, f: Frame): string[] {
  return heading(event.scene, event.title, f, ['cyan', 'bold']);
}

export function renderSkip(event: SkipEvent, f: Frame): string[] {
  return [
    ...heading(event.scene, event.title, f, 'dim'),
    '',
    ...hanging(f.paint('yellow', '○ skipped'), clean(event.reason), f, 2),
  ];
}

function heading(number: number, title: string, f: Frame, style: Style): string[] {
  const mark = String(number);
  const [first = '', ...rest] = wrap(clean(title), f.inner - width(mark) - 2);
  const lines = [
    `${f.paint(style, mark)}  ${f.paint('bold', first)}`,
    ...rest.map((line) => ' '.repeat(width(mark) + 2) + f.paint('bold', line)),
  ];
  return [...lines, f.paint('dim', '─'.repeat(f.inner))];
}

export function renderSay(event: SayEvent, f: Frame): string[] {
  const paragraphs = dedent(cleanLines(event.text)).split(/\n\s*\n/);
  return paragraphs.flatMap((paragraph, i) => [
    ...(i === 0 ? [] : ['']),
    ...items(paragraph).flatMap((p) => item(p, f)),
  ]);
}

/** Lines of a paragraph belong together, except that `- ` begins an item. */
function items(paragraph: string): string[] {
  const all: string[] = [];
  for (const raw of paragraph.split('\n')) {
    const line = raw.trim();
    if (all.length === 0 || line.startsWith('- ')) all.push(line);
    else all.push(`${all.pop()} ${line}`);
  }
  return all;
}

function item(source: string, f: Frame): string[] {
  if (!source.startsWith('- ')) return wrap(inline(source, f), measure(f));
  return wrap(inline(source.slice(2), f), measure(f) - 2).map((line, i) => `${i === 0 ? '•' : ' '} ${line}`);
}

/** `code` and **strong**; without colour the backticks stay, as they still tell code from prose. */
function inline(source: string, f: Frame): string {
  return source.replace(/`([^`]+)`|\*\*([^*]+)\*\*/g, (_all, code?: string, strong?: string) => {
    if (code !== undefined) return f.colour ? f.paint('cyan', code) : `\`${code}\``;
    return f.paint('bold', strong ?? '');
  });
}

export function renderVerdict(event: VerdictEvent, f: Frame): string[] {
  const style: Style = event.holds ? 'green' : 'red';
  const mark = f.paint(style, event.holds ? '✓' : '✗');
  const measured = f.paint([style, 'bold'], clean(event.measured));
  return hanging(mark, `${inline(clean(event.claim), f)} — ${measured}`, f, 1);
}

export function renderError(event: ErrorEvent, f: Frame): string[] {
  const name = event.frames.length === 0 ? '' : `${clean(event.name)}: `;
  const lines = cleanLines(name + event.message).split('\n');
  return [
    ...lines.flatMap((line, i) => {
      const indented = ' '.repeat(Math.min(8, line.length - line.trimStart().length));
      return wrap(line.trim(), f.inner - 2 - indented.length).map((part, j) =>
        i === 0 && j === 0 ? `${f.paint('red', '✗')} ${f.paint('bold', part)}` : `  ${indented}${part}`,
      );
    }),
    ...event.frames.map((line) => f.paint('dim', truncate(`    at ${clean(line)}`, f.inner))),
  ];
}

export function renderEnd(event: EndEvent, f: Frame): string[] {
  return [f.paint('dim', '─'.repeat(f.inner)), ...summary(event, f), ...next(event, f)];
}

function summary(event: EndEvent, f: Frame): string[] {
  const good = event.exitCode === 0;
  const skipped = event.skipped === 0 ? '' : `, ${count(event.skipped, 'scene')} skipped`;
  const lessons = `${figure(event.held)} of ${count(event.verdicts, 'lesson')} came out${skipped}`;
  const said = outcome(event, lessons);
  const run = `seed ${event.seed} · ${elapsed(event.at)}`;
  const style: Style = good ? 'green' : event.outcome === 'interrupted' ? 'yellow' : 'red';
  const mark = f.paint(style, good ? '✓' : event.outcome === 'interrupted' ? '○' : '✗');
  const gap = f.inner - 2 - width(said) - width(run);
  if (gap >= 3) return [`${mark} ${f.paint('bold', said)}${' '.repeat(gap)}${f.paint('dim', run)}`];
  return [...hanging(mark, f.paint('bold', said), f, 1), `  ${f.paint('dim', run)}`];
}

function outcome(event: EndEvent, lessons: string): string {
  const none = event.verdicts === 0;
  switch (event.outcome) {
    case 'interrupted':
      return none ? 'stopped before the first verdict' : `stopped: ${lessons} so far`;
    case 'failed':
      return none ? 'the story broke off before its first verdict' : `the story broke off: ${lessons}`;
    case 'told':
      return none ? 'no verdict was given: a story without one proves nothing' : lessons;
  }
}

function next(event: EndEvent, f: Frame): string[] {
  if (event.next.length === 0) return [];
  const lines = event.next.flatMap((line) =>
    wrap(inline(clean(line), f), f.inner - 6).map((part, i) => `${i === 0 ? f.paint('cyan', '→') : ' '} ${part}`),
  );
  return ['', ...lines];
}

function count(n: number, noun: string): string {
  return `${figure(n)} ${noun}${n === 1 ? '' : 's'}`;
}

function elapsed(ms: number): string {
  if (ms < 1000) return `${Math.round(ms)} ms`;
  if (ms < 60_000) return `${(ms / 1000).toFixed(1)} s`;
  return `${Math.floor(ms / 60_000)} min ${Math.floor((ms % 60_000) / 1000)} s`;
}

/** `mark text`, further lines indented below the text. */
function hanging(mark: string, text: string, f: Frame, gap: number): string[] {
  const offset = width(mark) + gap;
  return wrap(text, measure(f) - offset).map(
    (line, i) => (i === 0 ? mark + ' '.repeat(gap) : ' '.repeat(offset)) + line,
  );
}

function measure(f: Frame): number {
  return Math.min(f.inner, MEASURE);
}
