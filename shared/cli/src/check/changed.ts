import { relative, sep } from 'node:path';
import { UsageError } from '../errors.ts';
import type { Lab } from '../labs.ts';
import { plural } from '../text.ts';
import { exec } from './exec.ts';
import { vendored } from './vendor.ts';

/** The labs that a branch touches, and why they were chosen, in one line a reason. */
export interface Touched {
  readonly labs: readonly Lab[];
  readonly reasons: readonly string[];
}

/** Pages at the root that no lab's gate reads; the others there (the lockfile, the compilers' options) are every lab's. */
const pages = /^[^/]+\.md$|^LICENSE$/;

/**
 * What the working tree changes relative to the point at which it left `main`: commits of the branch, what is not
 * committed, and files that git does not know yet.
 *
 * @throws {UsageError} where there is no git, or no main branch to compare with.
 */
export async function changedFiles(root: string): Promise<readonly string[]> {
  const base = await mergeBase(root);
  const lists = await Promise.all([
    // A file that moved is two changes: where it was, and where it is.
    git(root, 'diff', '--name-only', '--no-renames', '-z', base),
    git(root, 'ls-files', '--others', '--exclude-standard', '-z'),
  ]);
  if (lists.some(({ code }) => code !== 0)) throw new UsageError(`git cannot list what has changed: ${words(lists)}`);
  return [...new Set(lists.flatMap(({ stdout }) => stdout.split('\0')).filter((file) => file !== ''))].sort();
}

async function mergeBase(root: string): Promise<string> {
  const tries = await Promise.all(['main', 'origin/main'].map((branch) => git(root, 'merge-base', 'HEAD', branch)));
  const found = tries.find(({ code }) => code === 0);
  if (found) return found.stdout.trim();
  throw new UsageError(
    `--changed compares with the branch main, which git does not find here (${words(tries)}): fetch it, or name the labs`,
  );
}

const words = (outputs: readonly { readonly stderr: string }[]): string =>
  outputs.find(({ stderr }) => stderr.trim() !== '')?.stderr.trim() ?? 'without a word';

const git = (root: string, ...args: readonly string[]) => exec('git', ['-C', root, ...args], { cwd: root });

/**
 * Which of `labs` the files belong to: a change outside of labs/ may be felt in each of them, and a change of a lab in those
 * that have a copy of it.
 */
export async function touched(root: string, labs: readonly Lab[], files: readonly string[]): Promise<Touched> {
  const common = files.filter((file) => !file.startsWith('labs/') && !pages.test(file));
  if (common.length > 0) {
    return { labs, reasons: [`all ${plural(labs.length, 'lab')}: ${few(common)}, which every lab stands on`] };
  }
  const changes = labs.map((lab) => {
    const folder = `${relative(root, lab.dir).split(sep).join('/')}/`;
    return { lab, own: files.filter((file) => file.startsWith(folder)).map((file) => file.slice(folder.length)) };
  });
  const changed = new Set(changes.filter(({ own }) => own.length > 0).map(({ lab }) => lab.name));
  const copied = await Promise.all(
    changes.map(async ({ lab, own }) => {
      const copies = (await vendored(lab)).filter((name) => changed.has(name));
      return { lab, own: [...own, ...copies.map((name) => `its copy of ${name}`)] };
    }),
  );
  const chosen = copied.filter(({ own }) => own.length > 0);
  if (chosen.length === 0) return { labs: [], reasons: ['no lab: nothing has changed that belongs to one'] };
  return { labs: chosen.map(({ lab }) => lab), reasons: chosen.map(({ lab, own }) => `${lab.name}: ${few(own)}`) };
}

function few(files: readonly string[]): string {
  const more = files.length > 2 ? ` and ${files.length - 2} more` : '';
  return `${files.slice(0, 2).join(', ')}${more} changed`;
}
