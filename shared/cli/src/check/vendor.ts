import { cp, readFile, rm } from 'node:fs/promises';
import { join, relative } from 'node:path';
import { findLabs, type Lab } from '../labs.ts';
import { filesUnder, folderNames } from './files.ts';
import type { Finding, Gate } from './gate.ts';

/** Where a lab keeps what it copied, a folder for each lab that it copied from. */
const place = 'src/vendor';

/**
 * A lab imports npm packages and its own files only. What it takes from another lab it takes as a reader does, by
 * `pnpm lab copy`; unlike a reader it keeps up with that lab.
 */
export const vendor: Gate = {
  name: 'vendor',
  why: 'what a lab has copied from another is what the other has, its mends included',
  scope: 'lab',
  async run({ root, labs }) {
    const all = await findLabs(root);
    const found = await Promise.all(labs.map((lab) => judge(root, lab, all)));
    return found.flat();
  },
};

async function judge(root: string, lab: Lab, all: readonly Lab[]): Promise<Finding[]> {
  const findings: Finding[] = [];
  for (const name of await vendored(lab)) {
    const folder = join(lab.dir, place, name);
    const at = (file: string) => relative(root, join(folder, file));
    const source = all.find((each) => each.name === name);
    if (source === undefined) {
      findings.push({
        where: at(''),
        what: `there is no lab "${name}" that this could be a copy of`,
        remedy: 'name the folder after the lab that it was copied from, or move it out of vendor/',
      });
      continue;
    }
    const remedy = `\`pnpm fix ${lab.name}\` copies ${name} again; a change of its own belongs into ${name}`;
    for (const [file, what] of await differences(join(source.dir, 'src'), folder)) {
      findings.push({ where: at(file), what: `${what} ${relative(root, join(source.dir, 'src', file))}`, remedy });
    }
  }
  return findings;
}

/** The labs that `lab` has copies of, by name. */
export const vendored = (lab: Lab): Promise<readonly string[]> => folderNames(join(lab.dir, place));

/** Copies anew what the others have changed. @returns the labs of which a copy was renewed */
export async function renewVendored(lab: Lab, all: readonly Lab[]): Promise<readonly string[]> {
  const renewed: string[] = [];
  for (const name of await vendored(lab)) {
    const source = all.find((each) => each.name === name);
    const folder = join(lab.dir, place, name);
    if (source === undefined || (await differences(join(source.dir, 'src'), folder)).length === 0) continue;
    await rm(folder, { recursive: true });
    await cp(join(source.dir, 'src'), folder, { recursive: true });
    renewed.push(name);
  }
  return renewed;
}

async function differences(source: string, copy: string): Promise<[file: string, what: string][]> {
  const [theirs, ours] = await Promise.all([filesUnder(source), filesUnder(copy)]);
  const found: [string, string][] = [];
  for (const file of [...new Set([...theirs, ...ours])].sort()) {
    if (!ours.includes(file)) found.push([file, 'is missing; it is a copy of']);
    else if (!theirs.includes(file)) found.push([file, 'is a copy of what is gone:']);
    else if (!(await same(join(source, file), join(copy, file)))) found.push([file, 'differs from']);
  }
  return found;
}

async function same(...files: readonly [string, string]): Promise<boolean> {
  const [a, b] = await Promise.all(files.map((file) => readFile(file)));
  return a !== undefined && b !== undefined && a.equals(b);
}
