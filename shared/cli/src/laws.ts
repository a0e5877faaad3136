import colors from 'picocolors';
import type { Grading, Law } from './grading.ts';
import { type Kind, parts } from './hints.ts';
import { indent, plural, seconds } from './text.ts';

/** One law as a line; its evidence, or why it was skipped, below it. */
export function lawLines(law: Law, by = '  '): string {
  const slow = law.ms >= 1000 ? colors.dim(`  ${seconds(law.ms)}`) : '';
  if (law.state === 'passed') return `${by}${colors.green('✓')} ${law.name}${slow}`;
  if (law.state === 'skipped') {
    return `${by}${colors.yellow('↷')} ${law.name}\n${by}    ${colors.dim(`skipped: ${law.note ?? 'no reason given'}`)}`;
  }
  return `${by}${colors.red('✗')} ${colors.bold(law.name)}${slow}\n${evidence(law, `${by}    `)}`;
}

/** What a failing law shows for itself; the code line that it ends in stands out. */
export function evidence({ error }: Law, by: string): string {
  const lines = (error ?? 'failed without a word').trimEnd().split('\n');
  const painted = lines.map((line) => {
    if (line.startsWith('at ')) return colors.dim(line);
    if (/^\+ /.test(line)) return colors.red(line);
    if (/^- /.test(line)) return colors.green(line);
    return line;
  });
  return indent(painted.join('\n'), by);
}

/** `9 core laws: 8 hold, 1 broken · 38 hardening laws: 38 hold  2.3 s`; plain `laws` where none is a core law. */
export function summary({ laws, problems, ms }: Pick<Grading, 'laws' | 'problems' | 'ms'>): string {
  const core = laws.filter((law) => law.core !== undefined);
  const others = laws.filter((law) => law.core === undefined);
  const parts = [
    ...(core.length > 0 ? [counted(core, 'core law')] : []),
    ...(others.length > 0 || core.length === 0 ? [counted(others, core.length > 0 ? 'hardening law' : 'law')] : []),
    ...(problems.length > 0 ? [colors.red('the suite could not be run to its end')] : []),
  ];
  return `${parts.join(' · ')}  ${colors.dim(seconds(ms))}`;
}

function counted(laws: readonly Law[], noun: string): string {
  const count = (state: Law['state']) => laws.filter((law) => law.state === state).length;
  const states = [
    count('passed') > 0 ? colors.green(`${count('passed')} hold`) : '',
    count('failed') > 0 ? colors.red(`${count('failed')} broken`) : '',
    count('skipped') > 0 ? colors.yellow(`${count('skipped')} skipped`) : '',
  ].filter((state) => state !== '');
  return `${colors.bold(plural(laws.length, noun))}${states.length > 0 ? `: ${states.join(', ')}` : ''}`;
}

/**
 * Writes laws as they are judged: each core law as soon as those before it, in teaching order, are written; then the
 * hardening laws. Without core laws it writes each at once.
 */
export class LawList {
  readonly #write: (lines: string) => void;
  /** Places of the core laws that are still to come, in order. */
  readonly #ahead: number[];
  readonly #core = new Map<number, Law>();
  readonly #others: Law[] = [];
  readonly #titled: boolean;
  #part: Kind | undefined;

  /** @param core the places of the core laws that will be listed. */
  constructor(core: readonly number[], write: (lines: string) => void) {
    this.#write = write;
    this.#titled = core.length > 0;
    this.#ahead = [...core].sort((a, b) => a - b);
  }

  add(law: Law): void {
    if (law.core === undefined) this.#others.push(law);
    else this.#core.set(law.core, law);
    for (let next = this.#next(); next; next = this.#next()) {
      this.#ahead.shift();
      this.#line(next, 'core');
    }
    if (this.#ahead.length === 0) this.#flush();
  }

  /** Writes what waits for core laws that were never judged. */
  end(): void {
    for (const place of this.#ahead.splice(0)) {
      const law = this.#core.get(place);
      if (law) this.#line(law, 'core');
    }
    this.#flush();
  }

  #next(): Law | undefined {
    const [place] = this.#ahead;
    return place === undefined ? undefined : this.#core.get(place);
  }

  #flush(): void {
    for (const law of this.#others.splice(0)) this.#line(law, 'hardening');
  }

  #line(law: Law, part: Kind): void {
    if (this.#titled && part !== this.#part) this.#write(colors.dim(parts[part]));
    this.#part = part;
    this.#write(lawLines(law));
  }
}
