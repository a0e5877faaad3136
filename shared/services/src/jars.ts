import { createHash } from 'node:crypto';
import { mkdir, readdir, readFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { announce } from './announce.ts';
import { canProvision } from './apt.ts';
import { cached, cacheFolder, exists } from './cache.ts';
import { ProvisionError } from './errors.ts';
import { fetchOnce } from './fetching.ts';
import { fetchJre, findJre, type Jre } from './java.ts';
import { copyJars, fetchMaven, findMaven } from './maven.ts';
import type { Program } from './process.ts';
import { mayProvision } from './service.ts';

/** The jars of a Java server. */
export interface JarRecipe {
  /** What Maven resolves: `group:artifact:version`, or `group:artifact:version:classifier`. Pinned here, and only here. */
  readonly artifacts: readonly string[];
  /** The artifacts alone, without what they need: a jar that holds everything. */
  readonly alone?: true;
  /** The newest Java that it runs on. Default: any. */
  readonly mostJava?: number;
  /**
   * The list of the jars' names with their SHA-256, as `sha256sum` prints and checks it. Whoever raises a version has
   * `npx pnpm --filter @shared/services run lock SERVICE` write it anew, and looks at what changed.
   */
  readonly lock: URL;
}

/** The JRE and the jars, if both are on this machine. Starts and downloads nothing. */
export async function javaProgram(service: string, recipe: JarRecipe): Promise<Program | undefined> {
  const folder = folderOf(service, await lockOf(recipe));
  if (!(await exists(folder))) return undefined;
  const { best } = await findJre(recipe.mostJava);
  return best && programOf(best, folder);
}

/**
 * Fetches what is missing of the JRE, Maven and the jars into the private cache.
 * @returns undefined where this cannot or may not be done
 * @throws ProvisionError (its `code` is CHECKSUM_MISMATCH when the jars are not those of the lock), or the signal's reason
 */
export async function fetchJavaProgram(
  service: string,
  recipe: JarRecipe,
  signal: AbortSignal | undefined,
): Promise<Program | undefined> {
  if (!mayProvision()) return undefined;
  const onPath = await findJre(recipe.mostJava);
  if (onPath.best === undefined) announce(`${service}: ${onPath.passedOver.join('; ')}`);
  const jre = onPath.best ?? (await fetchJre(signal, recipe.mostJava));
  if (jre === undefined) return undefined;
  const lock = await lockOf(recipe);
  const folder = folderOf(service, lock);
  if (!(await exists(folder))) {
    const mavens = await findMaven(jre);
    if (mavens.best === undefined) announce(`${service}: ${mavens.passedOver.join('; ')}`);
    const maven = mavens.best ?? (await fetchMaven(jre, signal));
    if (maven === undefined) return undefined;
    await fetchOnce({
      service,
      tool: 'Maven',
      lock: join(javaFolder(), 'lock'),
      signal,
      atHand: async () => ((await exists(folder)) ? folder : undefined),
      fetch: () =>
        cached(folder, async (aside) => {
          await mkdir(aside);
          const { artifacts, alone = false } = recipe;
          const expected = new Set(lock.sums.keys());
          await copyJars({ service, maven, artifacts, alone, folder: aside, expected, signal });
          await verify(service, aside, recipe, lock);
        }),
    });
  }
  return programOf(jre, folder);
}

/** "JRE 17 from PATH": the JRE that a program of `javaProgram` runs on. */
export async function jreOf(program: Program, mostJava?: number): Promise<string> {
  const { best } = await findJre(mostJava);
  return best?.path === program.path ? `JRE ${best.major} from ${best.from}` : 'a JRE';
}

/** Whether the program can be fetched here, and from where. */
export async function javaOutlook(service: string, recipe: JarRecipe): Promise<string | undefined> {
  if (!mayProvision()) return undefined;
  const apt = await canProvision();
  const jre = (await findJre(recipe.mostJava)).best;
  if (jre === undefined && !apt) return undefined;
  const lock = await lockOf(recipe);
  const maven = jre === undefined ? undefined : (await findMaven(jre)).best;
  const jars = !(await exists(folderOf(service, lock)));
  if (jars && maven === undefined && !apt) return undefined;
  const parts = [
    ...(jre === undefined ? ['apt a JRE'] : []),
    ...(jars ? [`${maven === undefined ? 'apt Maven, and Maven' : 'Maven'} ${lock.sums.size} jars`] : []),
  ];
  return `not here yet: ${parts.join(', ')} into a private cache at first use, about ${apt && jre === undefined ? 60 : 20} s`;
}

/** Why there is no program: what was looked for and passed over. */
export async function javaLacks(recipe: JarRecipe): Promise<string> {
  const { best, passedOver } = await findJre(recipe.mostJava);
  const maven = best === undefined ? [] : (await findMaven(best)).passedOver;
  return `It needs a JRE, and Maven to fetch its jars once: ${[...(best ? [] : passedOver), ...maven].join('; ')}.`;
}

/** SHA-256 of each jar in `folder`, by name. */
export async function sumsOf(folder: string): Promise<Map<string, string>> {
  const sums = new Map<string, string>();
  for (const name of (await readdir(folder)).sort()) {
    sums.set(
      name,
      createHash('sha256')
        .update(await readFile(join(folder, name)))
        .digest('hex'),
    );
  }
  return sums;
}

interface Lock {
  readonly sums: ReadonlyMap<string, string>;
  readonly digest: string;
}

async function lockOf(recipe: JarRecipe): Promise<Lock> {
  const text = await readFile(recipe.lock, 'utf8');
  const sums = new Map([...text.matchAll(/^([0-9a-f]{64}) {2}(\S+)$/gm)].map(([, sum = '', name = '']) => [name, sum]));
  return { sums, digest: createHash('sha256').update(text).digest('hex') };
}

async function verify(service: string, folder: string, recipe: JarRecipe, lock: Lock): Promise<void> {
  const found = await sumsOf(folder);
  const wrong = [...new Set([...lock.sums.keys(), ...found.keys()])].flatMap((name) => {
    const [want, have] = [lock.sums.get(name), found.get(name)];
    if (want === have) return [];
    if (want === undefined) return `${name} is not in the list`;
    if (have === undefined) return `${name} is missing`;
    return `${name} has the SHA-256 ${have}, not ${want}`;
  });
  if (wrong.length === 0) return;
  const list = basename(recipe.lock.pathname);
  throw new ProvisionError(
    service,
    `what Maven brought is not what shared/services/jars/${list} lists:\n${wrong.map((one) => `  | ${one}`).join('\n')}\n` +
      'Nothing of it is kept. Something on the way (a mirror, a proxy) changes files: look there, then try again.',
    { code: 'CHECKSUM_MISMATCH' },
  );
}

/** Another list of jars is another folder: a version that was raised never meets the jars of the one before. */
function folderOf(service: string, lock: Lock): string {
  return join(javaFolder(), `${service}-${lock.digest.slice(0, 12)}`);
}

function javaFolder(): string {
  return join(cacheFolder(), 'java');
}

function programOf({ path, env }: Jre, folder: string): Program {
  return { path, env: { ...env, CLASSPATH: join(folder, '*') } };
}
