import { execFile } from 'node:child_process';
import { mkdir, readdir, symlink } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { type AptRecipe, provision, provisioned } from './apt.ts';
import { ProvisionError } from './errors.ts';
import type { Program } from './process.ts';
import { allOnPath } from './service.ts';

/** What every Java server here needs at least. */
const LEAST_JAVA = 17;
const NAME = 'java';

/** A Java that runs programs; none of the servers needs a compiler. */
export interface Jre extends Program {
  /** 17 for 17.0.15. */
  readonly major: number;
  readonly from: 'PATH' | 'the private cache';
}

/** The best that was found, and why others were passed over, a sentence each. */
export interface Found<T> {
  readonly best: T | undefined;
  readonly passedOver: readonly string[];
}

const recipe: AptRecipe = {
  packages: ['openjdk-17-jre-headless'],
  instead: [['openjdk-21-jre-headless'], ['openjdk-25-jre-headless']],
  // What else it names is for windows, printers and fonts, but for libraries that every system has.
  only: /^openjdk-/,
  program: 'usr/bin/java',
  relocate: async (tree) => {
    // Java finds its home from its own place, through links; the folder's name differs from release to release.
    const home = (await readdir(join(tree, 'usr/lib/jvm'))).find((name) => /^java-.*openjdk/.test(name));
    await mkdir(join(tree, 'usr/bin'), { recursive: true });
    await symlink(join('../lib/jvm', home ?? '', 'bin/java'), join(tree, 'usr/bin/java'));
  },
};

/** The first `java` of PATH that is new enough, else the private cache's. Starts and downloads nothing. */
export async function findJre(): Promise<Found<Jre>> {
  const passedOver: string[] = [];
  for (const path of await allOnPath('java')) {
    const said = await versionOf({ path });
    if (said.major !== undefined && said.major >= LEAST_JAVA) {
      return { best: { path, major: said.major, from: 'PATH' }, passedOver };
    }
    passedOver.push(
      said.major === undefined
        ? `${path} does not run (${said.words})`
        : `${path} is Java ${said.major}, ${LEAST_JAVA} or newer is needed`,
    );
  }
  if (passedOver.length === 0) passedOver.push('there is no java on PATH');
  const program = await provisioned(NAME, recipe);
  const major = program && (await versionOf(program)).major;
  return { best: program && major ? { ...program, major, from: 'the private cache' } : undefined, passedOver };
}

/**
 * Has apt's client fetch a JRE into the private cache.
 * @returns undefined where this cannot or may not be done
 * @throws ProvisionError, or the signal's reason
 */
export async function fetchJre(signal: AbortSignal | undefined): Promise<Jre | undefined> {
  const program = await provision(NAME, recipe, signal);
  if (program === undefined) return undefined;
  const { major, words } = await versionOf(program);
  if (major === undefined) throw new ProvisionError(NAME, `the JRE of apt's package does not run: ${words}`);
  return { ...program, major, from: 'the private cache' };
}

/** `openjdk version "17.0.15"`, and before Java 9 `java version "1.8.0_402"`. */
async function versionOf({ path, env }: Program): Promise<{ major?: number; words: string }> {
  const run = promisify(execFile)(path, ['-version'], { env: { ...process.env, ...env }, timeout: 20_000 });
  const { words, ran } = await run.then(
    ({ stdout, stderr }) => ({ words: `${stdout}${stderr}`, ran: true }),
    (error: unknown) => ({ words: error instanceof Error ? error.message : String(error), ran: false }),
  );
  const major = /version "(?:1\.)?(\d+)/.exec(words)?.[1];
  if (ran && major !== undefined) return { major: Number(major), words };
  return { words: words.trim().split('\n').slice(-1).join('') || 'it says nothing' };
}

/**
 * The flags of a JVM that shall start quickly and stay small beside others: no optimising compiler, one garbage
 * collector thread, no file of its own in the system's temporary folder; out of memory it ends instead of lingering.
 */
export function jvmFlags(o: { heapMb: number; folder: string }): string[] {
  return [
    '-Xms64m',
    `-Xmx${o.heapMb}m`,
    '-XX:+UseSerialGC',
    '-XX:TieredStopAtLevel=1',
    '-XX:-UsePerfData',
    '-XX:+ExitOnOutOfMemoryError',
    `-Djava.io.tmpdir=${o.folder}`,
  ];
}
