// `pnpm check [--only GATE,…] [--lab NAME]`: every gate, a line each, and what to do about what it found.
// Exit codes: 0 all gates passed · 1 a gate found something · 2 wrong usage.
import { resolve } from 'node:path';
import { parseArgs, styleText } from 'node:util';
import { describeError, exit, exitCodeOf, UsageError } from '../errors.ts';
import { findLabs, type Lab } from '../labs.ts';
import { suggestion } from '../nearest.ts';
import { plural } from '../text.ts';
import { demoRuns } from './demo-runs.ts';
import type { Finding, Gate, GateContext } from './gate.ts';
import { gates } from './gates.ts';
import { remembered, suites } from './suites.ts';

const root = resolve(process.env['LABS_ROOT'] ?? resolve(import.meta.dirname, '../../../..'));
// Servers of our own, whatever else answers on this machine: they alone may be killed, and two runs are alike.
process.env['LABS_SERVICES'] ??= 'embedded';
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const)
  process.once(signal, () => process.exit(exit.interrupted));

try {
  process.exitCode = await main();
} catch (error) {
  console.error(describeError(error, process.env));
  process.exitCode = exitCodeOf(error);
}

async function main(): Promise<number> {
  const { only, lab, help } = options();
  if (help) {
    console.log(usage());
    return exit.done;
  }
  const labs = await chosenLabs(lab);
  const context: GateContext = {
    root,
    labs,
    narrowed: lab !== undefined,
    demos: demoRuns(),
    suites: remembered(suites),
  };
  const chosen = chosenGates(only).filter(({ scope }) => lab === undefined || only !== undefined || scope === 'lab');
  const start = performance.now();
  let failed = 0;
  for (const gate of chosen) failed += (await pass(gate, context)) ? 0 : 1;
  const seconds = ((performance.now() - start) / 1000).toFixed(1);
  const of = `${plural(chosen.length, 'gate')}, ${plural(labs.length, 'lab')}, ${seconds} s`;
  console.log(failed === 0 ? `all gates passed: ${of}` : `${plural(failed, 'gate')} failed: ${of}`);
  return failed === 0 ? exit.done : exit.failed;
}

function options(): { only: string | undefined; lab: string | undefined; help: boolean } {
  try {
    const { values } = parseArgs({
      options: { only: { type: 'string' }, lab: { type: 'string' }, help: { type: 'boolean', short: 'h' } },
    });
    return { only: values.only, lab: values.lab, help: values.help ?? false };
  } catch (error) {
    throw new UsageError(`${error instanceof Error ? error.message : error}\n${usage()}`);
  }
}

function usage(): string {
  const width = Math.max(...gates.map(({ name }) => name.length));
  return [
    'usage: pnpm check [--only GATE,…] [--lab NAME]',
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

async function chosenLabs(name: string | undefined): Promise<readonly Lab[]> {
  // A manifest that cannot be read is a finding of the anatomy gate; it must not keep the others from running.
  const all = await findLabs(root, () => undefined);
  if (name === undefined) return all;
  const lab = all.find((each) => each.name === name);
  if (lab) return [lab];
  const names = all.map((each) => each.name);
  throw new UsageError(`there is no lab "${name}"${suggestion(name, names) || ';'} the labs are ${names.join(', ')}`);
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
