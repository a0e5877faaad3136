// The suite of the lab in this folder, or one law of it, on the reference or on a pitfall, told to the pages:
// `suite-child.ts IMPL [LAW]`.
import { runSuite } from '@shared/testkit';
import type { JudgedLaw } from '@shared/web';
import { defaultImpl } from '../grading.ts';
import { readHints } from '../hints.ts';
import { filesOf, suiteLaws } from '../suite-laws.ts';
import { emit } from './emit.ts';

const [impl = defaultImpl, law] = process.argv.slice(2);
const dir = process.cwd();

const stop = new AbortController();
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(signal, () => stop.abort());
const hints = await readHints(dir);
const asked = law === undefined ? {} : { testNames: [law], files: filesOf(await suiteLaws(dir), [law]) };
const judged = new Set<string>();
const tell = (test: JudgedLaw): void => {
  const core = hints.place(test.name);
  judged.add(test.name);
  emit({ type: 'law', law: core === undefined ? test : { ...test, core } });
};
const wanted = (test: JudgedLaw): boolean => law === undefined || test.name === law;
const toLaw = ({ name, state, ms, error, note }: JudgedLaw & { note?: string }): JudgedLaw => {
  const said = error ?? note;
  return { name, state, ms, ...(said === undefined ? {} : { error: said }) };
};
try {
  const result = await runSuite({
    dir,
    signal: stop.signal,
    ...(impl === defaultImpl ? {} : { impl }),
    ...asked,
    onTest: (test) => wanted(test) && tell(toLaw(test)),
  });
  // A law that had to be ended from outside is told with the result alone.
  for (const test of result.tests) if (wanted(test) && !judged.has(test.name)) tell(toLaw(test));
  emit({ type: 'graded', problems: [...result.problems, ...result.missing], ms: result.ms });
} catch (error) {
  if (!stop.signal.aborted) throw error;
}
