import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { builtinModules } from 'node:module';
import { join, matchesGlob, normalize, relative } from 'node:path';
import {
  labFiles,
  manifestFields,
  type Pitfall,
  pathIn,
  readmeSections,
  readPitfalls,
  titlePattern,
} from '../anatomy.ts';
import { readHints } from '../hints.ts';
import { findLabs, isRecord, type Lab } from '../labs.ts';
import { readObjectives } from '../objectives.ts';
import { type SuiteLaw, suiteLaws } from '../suite-laws.ts';
import { checkBudgets, checkReadmeSize } from './budgets.ts';
import { checkCoreLaws, near } from './core-laws.ts';
import { filesUnder, lineAt, textOf } from './files.ts';
import type { Finding, Gate } from './gate.ts';
import { headingsOf } from './markdown.ts';
import { importsOf } from './source.ts';

export const anatomy: Gate = {
  name: 'anatomy',
  why: 'who has read one lab finds the way in every other',
  scope: 'lab',
  async run({ root, labs, narrowed }) {
    const whole = narrowed ? [] : [...(await manifests(root)), ...licence(root)];
    const each = await Promise.all(labs.map((lab) => anatomyOf(root, lab)));
    const all = narrowed ? await findLabs(root, () => undefined) : labs;
    return [...whole, ...each.flat(), ...labs.flatMap((lab) => checkAfter(root, lab, all))];
  },
};

async function manifests(root: string): Promise<Finding[]> {
  const findings: Finding[] = [];
  await findLabs(root, ({ message }) => {
    const [where = 'labs', ...what] = message.split(': ');
    findings.push({
      where,
      what: what.join(': ') || message,
      remedy: 'mend the manifest; `pnpm lab new` shows a sound one',
    });
  });
  return findings;
}

function licence(root: string): Finding[] {
  if (existsSync(join(root, 'LICENSE'))) return [];
  return [{ where: 'LICENSE', what: 'is missing', remedy: 'add the licence that package.json names' }];
}

/** The labs that lead to this one exist, and this one does not lead to them. */
function checkAfter(root: string, lab: Lab, all: readonly Lab[]): Finding[] {
  const where = relative(root, join(lab.dir, 'package.json'));
  const leading = (name: string, seen = new Set<string>()): ReadonlySet<string> => {
    for (const before of all.find((each) => each.name === name)?.after ?? []) {
      if (seen.has(before)) continue;
      seen.add(before);
      leading(before, seen);
    }
    return seen;
  };
  return (lab.after ?? []).flatMap((name) => {
    if (!all.some((each) => each.name === name))
      return [
        { where, what: `comes after "${name}", which is no lab`, remedy: 'name labs in "after", or leave it out' },
      ];
    if (!leading(name).has(lab.name) && name !== lab.name) return [];
    return [{ where, what: `comes after "${name}", which comes after it`, remedy: 'one of them comes first' }];
  });
}

async function anatomyOf(root: string, lab: Lab): Promise<Finding[]> {
  const at = (file: string, line?: number): string =>
    `${relative(root, join(lab.dir, file))}${line === undefined ? '' : `:${line}`}`;
  const files = await filesUnder(lab.dir);
  const [laws, pitfalls, hints, objectives] = await Promise.all([
    suiteLaws(lab.dir),
    readPitfalls(lab.dir),
    readHints(lab.dir),
    readObjectives(lab.dir),
  ]);
  const checks = [
    checkFiles(lab, files, at),
    checkReadme(lab, await textOf(join(lab.dir, 'README.md')), at('README.md')),
    await checkManifest(lab, at('package.json')),
    await checkImports(lab, files, at),
    checkLaws(laws, at),
    checkCoreLaws({
      hints,
      suite: laws,
      pitfalls,
      objectives,
      hintsFile: at('exercise/hints.md'),
      readmeFile: at('README.md'),
    }),
    checkPitfalls(pitfalls, laws, at),
    await checkBudgets(lab, files, pitfalls, at),
  ];
  return checks.flat();
}

type At = (file: string, line?: number) => string;

function checkFiles(lab: Lab, files: readonly string[], at: At): Finding[] {
  const known = labFiles.map((file) => ({ ...file, path: pathIn(lab, file.path) }));
  const missing = known
    .filter(({ path, required }) => required && !files.some((file) => matchesGlob(file, path)))
    .map(({ path, what }) => ({ where: at(path), what: 'is missing', remedy: `write it: ${what}` }));
  const strays = files
    .filter((file) => !known.some(({ path }) => matchesGlob(file, path)))
    .map((file) => ({
      where: at(file),
      what: 'is no part of a lab',
      remedy: 'move it where it belongs (shared/cli/src/anatomy.ts lists the files of a lab), or delete it',
    }));
  return [...missing, ...strays];
}

function checkReadme(lab: Lab, text: string | undefined, where: string): Finding[] {
  if (text === undefined) return [];
  const findings: Finding[] = [];
  findings.push(...checkReadmeSize(lab, text.replaceAll(/^<!--.*?-->\n/gms, ''), where));
  const headings = headingsOf(text);
  const title = headings.find(({ depth }) => depth === 1)?.text;
  if (title === undefined || !titlePattern.test(title)) {
    findings.push({ where, what: `its title is ${JSON.stringify(title)}`, remedy: 'write "# English 中文"' });
  }
  const sections = headings.filter(({ depth }) => depth === 2).map((heading) => heading.text);
  for (const { heading, required, what } of readmeSections) {
    if (!required || sections.includes(heading)) continue;
    findings.push({ where, what: `has no section "## ${heading}"`, remedy: `write it: ${what}` });
  }
  const known = readmeSections.map(({ heading }) => heading);
  const strange = sections.filter((section) => !known.includes(section));
  for (const section of strange) {
    const remedy = `fold it into one of: ${known.join(' · ')}`;
    findings.push({ where, what: `"## ${section}" is no section of a lab's README`, remedy });
  }
  const order = sections.filter((section) => known.includes(section));
  const sorted = known.filter((heading) => order.includes(heading));
  if (strange.length === 0 && order.join() !== sorted.join()) {
    findings.push({ where, what: 'its sections are out of order', remedy: `the order is ${sorted.join(' · ')}` });
  }
  const todo = text.split('\n').findIndex((line) => line.includes('TODO'));
  if (todo >= 0) findings.push({ where: `${where}:${todo + 1}`, what: 'still says TODO', remedy: 'write it' });
  return findings;
}

async function checkManifest(lab: Lab, where: string): Promise<Finding[]> {
  const manifest: unknown = JSON.parse(await readFile(join(lab.dir, 'package.json'), 'utf8'));
  return manifestFields
    .filter(({ path, holds }) => !holds(valueAt(manifest, path), lab))
    .map(({ path, remedy }) => ({
      where,
      what: `"${path.join('.')}" is ${JSON.stringify(valueAt(manifest, path)) ?? 'missing'}`,
      remedy: `it must be ${remedy}`,
    }));
}

function valueAt(value: unknown, path: readonly string[]): unknown {
  return path.reduce<unknown>((at, key) => (isRecord(at) ? at[key] : undefined), value);
}

/** `src/` is what a reader copies: npm packages that the manifest declares, Node's own modules, and itself. */
async function checkImports(lab: Lab, files: readonly string[], at: At): Promise<Finding[]> {
  const manifest: unknown = JSON.parse(await readFile(join(lab.dir, 'package.json'), 'utf8'));
  const dependencies = valueAt(manifest, ['dependencies']);
  const declared = new Set(isRecord(dependencies) ? Object.keys(dependencies) : []);
  const used = new Set<string>();
  const findings: Finding[] = [];
  for (const file of files.filter((each) => each.startsWith('src/') && /\.tsx?$/.test(each))) {
    const text = await readFile(join(lab.dir, file), 'utf8');
    for (const { specifier, offset } of importsOf(file, text)) {
      const where = at(file, lineAt(text, offset));
      const problem = (what: string, remedy: string): void => void findings.push({ where, what, remedy });
      if (specifier.startsWith('.')) {
        const target = normalize(join(file, '..', specifier));
        if (!target.startsWith('src/'))
          problem(`imports ${specifier}, outside src/`, 'src/ must work when it is copied alone');
        continue;
      }
      if (specifier.startsWith('#')) {
        problem(`imports ${specifier}`, 'import the file itself: the map is not copied with src/');
        continue;
      }
      const name = packageOf(specifier);
      if (specifier.startsWith('node:')) continue;
      if (builtinModules.includes(name)) problem(`imports ${specifier}`, `write node:${specifier}`);
      else if (name.startsWith('@shared/'))
        problem(`imports ${specifier}`, 'src/ uses npm packages only: a reader copies it');
      else if (name.startsWith('@labs/'))
        problem(`imports another lab, ${specifier}`, 'copy the few lines that it needs');
      else if (!declared.has(name))
        problem(`imports ${name}, which is not declared`, `add "${name}": "catalog:" to dependencies`);
      used.add(name);
    }
  }
  for (const name of declared) {
    if (used.has(name)) continue;
    const what = `declares ${name}, which src/ does not import`;
    findings.push({
      where: at('package.json'),
      what,
      remedy: 'move it to devDependencies: dependencies are what src/ needs',
    });
  }
  return findings;
}

function packageOf(specifier: string): string {
  const [first = '', second] = specifier.split('/');
  return first.startsWith('@') && second !== undefined ? `${first}/${second}` : first;
}

function checkLaws(laws: readonly SuiteLaw[], at: At): Finding[] {
  return laws
    .filter(({ text }, i) => laws.findIndex((other) => other.text === text) < i)
    .map(({ text, file, line }) => ({
      where: at(file, line),
      what: `a second law is called "${text}"`,
      remedy: 'give it a name of its own: pitfalls and hints refer to laws by name',
    }));
}

function checkPitfalls(pitfalls: readonly Pitfall[], laws: readonly SuiteLaw[], at: At): Finding[] {
  return pitfalls.flatMap(({ file, flaw, seenIn, caughtBy }) => {
    const where = at(file, 1);
    const findings = Object.entries({ Flaw: flaw, 'Seen in': seenIn, 'Caught by': caughtBy })
      .filter(([, value]) => value === undefined)
      .map(([field]) => ({
        where,
        what: `its header has no "${field}:"`,
        remedy: `begin the file with // ${field}: …`,
      }));
    if (caughtBy !== undefined && !laws.some(({ pattern }) => pattern.test(caughtBy))) {
      const remedy = `write the exact name of a law${near(caughtBy, laws)}`;
      findings.push({ where, what: `no law is called "${caughtBy}"`, remedy });
    }
    return findings;
  });
}
