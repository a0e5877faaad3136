import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdir, readdir, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { announce } from './announce.ts';
import { type AptRecipe, provision, provisioned } from './apt.ts';
import { cached, exists } from './cache.ts';
import { ProvisionError } from './errors.ts';
import { end } from './estate.ts';
import { lockFile } from './fetching.ts';
import { type Program, temporaryFolder } from './process.ts';
import { allOnPath, type Service } from './service.ts';

/** What every Java server here needs at least. */
const LEAST_JAVA = 17;
const NAME = 'java';
/** None of its own in the system's temporary folder. */
export const NO_FILES = '-XX:-UsePerfData';

/** How a user gets what a server of jars needs, by the system's own ways. */
export const installJava: Service['install'] = {
  apt: 'sudo apt install default-jre-headless maven',
  dnf: 'sudo dnf install java-latest-openjdk-headless maven',
  apk: 'sudo apk add openjdk21-jre-headless maven',
  pacman: 'sudo pacman -S jre-openjdk-headless maven',
  brew: 'brew install openjdk maven',
};

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
  question: [NO_FILES, '-version'],
  relocate: async (tree) => {
    // Java finds its home from its own place, through links; the folder's name differs from release to release.
    const home = (await readdir(join(tree, 'usr/lib/jvm'))).find((name) => /^java-.*openjdk/.test(name));
    await mkdir(join(tree, 'usr/bin'), { recursive: true });
    await symlink(join('../lib/jvm', home ?? '', 'bin/java'), join(tree, 'usr/bin/java'));
  },
};

/**
 * The first `java` of PATH that is new enough, else the private cache's. Starts and downloads nothing.
 * @param most the newest that will do
 */
export async function findJre(most = Number.POSITIVE_INFINITY): Promise<Found<Jre>> {
  const passedOver: string[] = [];
  for (const path of await allOnPath('java')) {
    const said = await versionOf({ path });
    if (said.major !== undefined && said.major >= LEAST_JAVA && said.major <= most) {
      return { best: { path, major: said.major, from: 'PATH' }, passedOver };
    }
    passedOver.push(
      said.major === undefined
        ? `${path} does not run (${said.words})`
        : `${path} is Java ${said.major}, ${needed(most)}`,
    );
  }
  if (passedOver.length === 0) passedOver.push('there is no java on PATH');
  const program = await provisioned(NAME, recipe);
  const major = program && (await versionOf(program)).major;
  if (program === undefined || major === undefined) return { best: undefined, passedOver };
  if (major <= most) return { best: { ...program, major, from: 'the private cache' }, passedOver };
  return { best: undefined, passedOver: [...passedOver, `the private cache has Java ${major}, ${needed(most)}`] };
}

const needed = (most: number) =>
  most === Number.POSITIVE_INFINITY ? `${LEAST_JAVA} or newer is needed` : `${LEAST_JAVA} to ${most} is needed`;

/**
 * Has apt's client fetch a JRE into the private cache.
 * @param most the newest that will do
 * @returns undefined where this cannot or may not be done
 * @throws ProvisionError, or the signal's reason
 */
export async function fetchJre(
  signal: AbortSignal | undefined,
  most = Number.POSITIVE_INFINITY,
): Promise<Jre | undefined> {
  const program = await provision(NAME, recipe, signal);
  if (program === undefined) return undefined;
  const { major, words } = await versionOf(program);
  if (major === undefined) throw new ProvisionError(NAME, `the JRE of apt's package does not run: ${words}`);
  return major <= most ? { ...program, major, from: 'the private cache' } : undefined;
}

interface Said {
  readonly major?: number;
  readonly words: string;
}

const versions = new Map<string, Promise<Said>>();

/** Asked once: a start needs it three times, and each answer takes a JVM. */
async function versionOf(program: Program): Promise<Said> {
  const known = versions.get(program.path);
  if (known !== undefined) return known;
  const asked = askVersion(program);
  versions.set(program.path, asked);
  if ((await asked).major === undefined) versions.delete(program.path);
  return asked;
}

/** `openjdk version "17.0.15"`, and before Java 9 `java version "1.8.0_402"`. */
async function askVersion({ path, env }: Program): Promise<Said> {
  const run = promisify(execFile)(path, [NO_FILES, '-version'], { env: { ...process.env, ...env }, timeout: 20_000 });
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
 * @param o.archive of `archiveClasses`' making: the classes need not be read and checked again, half of a start's work
 */
export async function jvmFlags(o: { heapMb: number; folder: string; archive?: string }): Promise<string[]> {
  const { archive } = o;
  const usable = archive !== undefined && (await stat(archive).catch(() => ({ size: 0 }))).size > 0;
  return [
    '-Xms64m',
    `-Xmx${o.heapMb}m`,
    '-XX:+UseSerialGC',
    '-XX:TieredStopAtLevel=1',
    NO_FILES,
    '-XX:+ExitOnOutOfMemoryError',
    // An archive that does not fit any more is passed over in silence.
    '-Xlog:disable',
    `-Djava.io.tmpdir=${o.folder}`,
    ...(usable ? [`-XX:SharedArchiveFile=${archive}`] : []),
  ];
}

/**
 * Makes the archive of the classes that a server loads, for `jvmFlags`: runs one until it answers, and lets it end in order.
 * Where this JVM makes none, an empty file says so.
 * @param o.start starts it in that folder, with this flag beside its others, and waits until it answers
 */
export async function archiveClasses(o: {
  service: string;
  archive: string;
  signal: AbortSignal | undefined;
  start: (folder: string, flag: string) => Promise<unknown>;
}): Promise<void> {
  const { service, archive, signal, start } = o;
  try {
    const folder = await temporaryFolder(service);
    try {
      await start(folder.path, `-XX:ArchiveClassesAtExit=${archive}`);
      await end(folder.path, 'SIGTERM', ARCHIVE_MS);
    } finally {
      await folder.settle();
    }
  } catch {
    signal?.throwIfAborted();
    await rm(archive, { force: true });
  }
  if (!(await exists(archive))) await writeFile(archive, '');
}

/** OpenSearch takes half of it. */
const ARCHIVE_MS = 60_000;

/**
 * A folder beside the server's jars, for this JRE, filled by `make` at the first start on this machine: what all later
 * starts are spared. It is complete or absent, and goes when the jars go.
 */
export async function madeOnce(
  service: string,
  program: Program,
  signal: AbortSignal | undefined,
  make: (aside: string) => Promise<void>,
): Promise<string> {
  const { words } = await versionOf(program);
  const jars = dirname(program.env?.['CLASSPATH'] ?? '');
  const folder = join(jars, `made-${createHash('sha256').update(words).digest('hex').slice(0, 12)}`);
  if (await exists(folder)) return folder;
  announce(`${service}: the first start here takes some seconds more, which the next ones are spared`);
  await using _lock = await lockFile(
    `${jars}.lock`,
    () => announce(`${service}: another lab is preparing it; waiting`),
    signal,
  );
  return cached(folder, make);
}
