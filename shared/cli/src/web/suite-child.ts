// A suite, or one law of it, on the reference or on a pitfall, told to the pages: `suite-child.ts LAB IMPL [LAW]`.
import { resolve } from 'node:path';
import { runSuite } from '@shared/testkit';
import type { JudgedLaw } from '@shared/web';
import { readHints } from '../hints.ts';
import { findLabs } from '../labs.ts';
import { suiteLaws } from '../suite-laws.ts';
import { emit } from './emit.ts';

const [name = '', impl = '', law] = process.argv.slice(2);
const root = resolve(process.env['LABS_ROOT'] ?? resolve(import.meta.dirname, '../../../..'));
const lab = (await findLabs(root, () => {})).find((each) => each.name === name);
if (lab === undefined) throw new Error(`there is no lab "${name}"`);

const stop = new AbortController();
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(signal, () => stop.abort());
const hints = await readHints(lab.dir);
const laws = await suiteLaws(lab.dir);
const of = law === undefined ? [] : laws.filter(({ pattern }) => pattern.test(law)).map(({ file }) => file);
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
    dir: lab.dir,
    signal: stop.signal,
    ...(impl === 'src/index.ts' ? {} : { impl }),
    ...(law === undefined ? {} : { testNames: [law], files: [...new Set(of)] }),
    onTest: (test) => wanted(test) && tell(toLaw(test)),
  });
  // A law that had to be ended from outside is told with the result alone.
  for (const test of result.tests) if (wanted(test) && !judged.has(test.name)) tell(toLaw(test));
  emit({ type: 'graded', problems: [...result.problems, ...result.missing], ms: result.ms });
} catch (error) {
  if (!stop.signal.aborted) throw error;
}
