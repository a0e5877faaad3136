// `pnpm check [NAME… | --changed] [--only GATE,…]`: every gate, a line each, what to do about what it found, and what each
// lab costs.
// Exit codes: 0 all gates passed · 1 a gate found something · 2 wrong usage.
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { parseArgs, styleText } from 'node:util';
import { fetchServices } from '@shared/services';
import { describeError, exit, exitCodeOf, UsageError } from '../errors.ts';
import { findLabs } from '../labs.ts';
import { suggestion } from '../nearest.ts';
import { plural } from '../text.ts';
import { changedFiles, touched } from './changed.ts';
import { type Cost, costTable } from './costs.ts';
import { demoRuns } from './demo-runs.ts';
import { demos } from './demos.ts';
import type { Finding, Gate, GateContext } from './gate.ts';
import { gates } from './gates.ts';
import { grading } from './grading.ts';
import { gradings } from './gradings.ts';
import { namedLabs } from './named.ts';
import { provenSuites } from './turbo.ts';

const root = resolve(process.env['LABS_ROOT'] ?? resolve(import.meta.dirname, '../../../..'));
// Servers of our own, whatever else answers on this machine: they alone may be killed, and two runs are alike.
process.env['LABS_SERVICES'] ??= 'embedded';
// What a demo loads is compiled once for all: a tenth of what a demo costs. The folder is the one of a grader.
process.env['NODE_COMPILE_CACHE'] ??= join(tmpdir(), 'node-compile-cache');
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const)
  process.once(signal, () => process.exit(exit.interrupted));

try {
  process.exitCode = await main();
} catch (error) {
  console.error(describeError(error, process.env));
  process.exitCode = exitCodeOf(error);
}

async function main(): Promise<number> {
  const { only, names, changed, help } = options();
  if (help) {
    console.log(usage());
    return exit.done;
  }
  const start = performance.now();
  // A manifest that cannot be read is a finding of the anatomy gate; it must not keep the others from running.
  const all = await findLabs(root, () => undefined);
  const chosen = changed
    ? await touched(root, all, await changedFiles(root))
    : { labs: namedLabs(all, names), reasons: [] };
  for (const reason of chosen.reasons) console.log(styleText('dim', reason));
  // One lab is run afresh: that is quick, and it tells what the lab costs.
  const several = chosen.labs.length > 1;
  const runs = {
    demos: demoRuns(),
    gradings: gradings(several, several ? () => provenSuites(root, chosen.labs) : undefined),
  };
  const whole: GateContext = { root, labs: all, narrowed: false, ...runs };
  const narrowed = chosen.labs.length < all.length;
  const some: GateContext = { ...whole, labs: chosen.labs, narrowed };
  // What looks at all labs at once is quick: only who names labs does not wait for it.
  const wanted = chosenGates(only).filter(({ scope }) => scope === 'lab' || only !== undefined || names.length === 0);
  const run = wanted.filter(({ scope }) => scope === 'repo' || some.labs.length > 0);
  const runsLabs = run.some((gate) => gate === demos || gate === grading);
  // A name that is none is a finding of the anatomy gate.
  if (runsLabs && process.env['LABS_SERVICES'] === 'embedded')
    await fetchServices(some.labs.flatMap(({ services }) => services)).catch(() => undefined);
  // They wait while the gates before theirs compute.
  if (run.includes(demos)) some.demos.together(some.labs).catch(() => {});
  let failed = 0;
  for (const gate of run) failed += (await pass(gate, gate.scope === 'repo' ? whole : some)) ? 0 : 1;
  const costs = costTable(costsOf(some));
  if (costs !== '') console.log(`\n${costs}\n`);
  const seconds = ((performance.now() - start) / 1000).toFixed(1);
  const of = `${plural(run.length, 'gate')}, ${plural(some.labs.length, 'lab')}, ${seconds} s`;
  console.log(failed === 0 ? `all gates passed: ${of}` : `${plural(failed, 'gate')} failed: ${of}`);
  return failed === 0 ? exit.done : exit.failed;
}

function costsOf({ labs, demos, gradings }: GateContext): readonly Cost[] {
  return labs.map(({ name, dir }) => ({
    name,
    suiteMs: gradings.known.get(dir)?.reference.ms,
    demoMs: demos.known.get(dir),
    gradingMs: gradings.known.get(dir)?.ms,
  }));
}

interface Options {
  readonly only: string | undefined;
  readonly names: readonly string[];
  readonly changed: boolean;
  readonly help: boolean;
}

function options(): Options {
  const { values, positionals } = parsed();
  const { only, lab = [], changed = false, help = false } = values;
  const names = [...positionals, ...lab];
  if (changed && names.length > 0) throw new UsageError(`name labs or say --changed, not both\n${usage()}`);
  return { only, names, changed, help };
}

function parsed() {
  try {
    return parseArgs({
      options: {
        only: { type: 'string' },
        // Another way to say NAME.
        lab: { type: 'string', multiple: true },
        changed: { type: 'boolean' },
        help: { type: 'boolean', short: 'h' },
      },
      allowPositionals: true,
    });
  } catch (error) {
    throw new UsageError(`${error instanceof Error ? error.message : error}\n${usage()}`);
  }
}

function usage(): string {
  const width = Math.max(...gates.map(({ name }) => name.length));
  return [
    'usage: pnpm check [NAME… | --changed] [--only GATE,…]',
    '  NAME…      these labs alone; without one, all of them and what looks at all at once',
    '  --changed  the labs that this branch touches since it left main, committed or not',
    ...gates.map(({ name, why }) => `  ${name.padEnd(width)}  so that ${why}`),
  ].join('\n');
}

function chosenGates(only: string | undefined): readonly Gate[] {
  if (only === undefined) return gates;
  return only.split(',').map((name) => {
    const gate = gates.find((each) => each.name === name);
    if (gate) return gate;
    const names = gates.map((each) => each.name);
    throw new UsageError(
      `there is no gate "${name}"${suggestion(name, names) || ';'} the gates are ${names.join(', ')}`,
    );
  });
}

async function pass(gate: Gate, context: GateContext): Promise<boolean> {
  const start = performance.now();
  const findings = await gate.run(context).catch((error: unknown): Finding[] => {
    const what = `the gate itself broke: ${error instanceof Error ? (error.stack ?? error.message) : error}`;
    return [{ where: `gate ${gate.name}`, what, remedy: 'mend the gate' }];
  });
  const errors = findings.filter(({ severity }) => severity !== 'warning');
  const sign = errors.length === 0 ? styleText('green', '✓') : styleText('red', '✗');
  const seconds = `${((performance.now() - start) / 1000).toFixed(1)} s`.padStart(7);
  const count = findings.length === 0 ? '' : `  ${plural(findings.length, 'finding')}`;
  console.log(`${sign} ${gate.name.padEnd(10)} ${styleText('dim', seconds)}${count}`);
  for (const finding of findings) console.log(lines(finding));
  return errors.length === 0;
}

function lines({ where, what, remedy, severity }: Finding): string {
  const sign = severity === 'warning' ? styleText('yellow', '!') : styleText('red', '✗');
  const text = `${styleText('bold', where)}  ${what}`.replaceAll('\n', '\n      ');
  return `  ${sign} ${text}\n      ${styleText('dim', `→ ${remedy}`)}`;
}
