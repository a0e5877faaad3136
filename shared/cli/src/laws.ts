import colors from 'picocolors';
import type { Grading, Law } from './grading.ts';
import { indent, seconds } from './text.ts';

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

/** `11 laws: 10 hold, 1 broken   2.3 s`. */
export function summary({ laws, problems, ms }: Pick<Grading, 'laws' | 'problems' | 'ms'>): string {
  const count = (state: Law['state']) => laws.filter((law) => law.state === state).length;
  const parts = [
    count('passed') > 0 ? colors.green(`${count('passed')} hold`) : '',
    count('failed') > 0 ? colors.red(`${count('failed')} broken`) : '',
    count('skipped') > 0 ? colors.yellow(`${count('skipped')} skipped`) : '',
    problems.length > 0 ? colors.red('the suite could not be run to its end') : '',
  ].filter((part) => part !== '');
  const judged = `${laws.length} law${laws.length === 1 ? '' : 's'}`;
  return `${colors.bold(judged)}${parts.length > 0 ? `: ${parts.join(', ')}` : ''}  ${colors.dim(seconds(ms))}`;
}
