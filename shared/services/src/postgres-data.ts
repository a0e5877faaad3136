import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { tmpdir, userInfo } from 'node:os';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import type { AptRecipe } from './apt.ts';
import { cached, cacheFolder, copyFolder, makeCacheFolder, reachableByAll } from './cache.ts';
import { ServerDiedError } from './errors.ts';
import { type Identity, type Program, temporaryFolder } from './process.ts';

const NAME = 'postgres';
const USER = 'labs';
const DATABASE = 'labs';
const PASSWORD_FILE = 'labs.password';

/** The superuser of our own clusters. */
export interface Login {
  readonly user: string;
  readonly password: string;
  readonly database: string;
}

/** A folder that the user whom Postgres runs as can reach. */
export async function postgresFolder(identity: Identity | undefined) {
  const base = identity === undefined || (await reachableByAll(tmpdir())) ? tmpdir() : '/tmp';
  // SIGQUIT is Postgres' "immediate shutdown": it frees its shared memory, and does not write what nobody will read.
  return temporaryFolder(NAME, {
    identity,
    base,
    gentle: 'SIGQUIT',
    after: new URL('./shared-memory.ts', import.meta.url).href,
  });
}

/** Copies an initialised data folder to `folder`/data: initdb takes 0.7 s, a copy a fifth of that. @returns the login */
export async function prepareData(
  folder: string,
  program: Program,
  version: string,
  identity: Identity | undefined,
  signal: AbortSignal | undefined,
): Promise<Login> {
  const template = await templateFor(program, version, identity, signal);
  signal?.throwIfAborted();
  await copyFolder(template, join(folder, 'data'));
  const password = await readFile(join(template, PASSWORD_FILE), 'utf8');
  return { user: USER, password, database: DATABASE };
}

async function templateFor(
  program: Program,
  version: string,
  identity: Identity | undefined,
  signal: AbortSignal | undefined,
): Promise<string> {
  const key = `postgres-data-${version}-${process.arch}${identity === undefined ? '' : `-${identity.uid}`}`;
  await makeCacheFolder();
  return cached(join(cacheFolder(), key), async (aside) => {
    const folder = await postgresFolder(identity);
    try {
      await initialise(program, version, folder.path, identity, signal);
      await copyFolder(join(folder.path, 'data'), aside);
    } finally {
      await folder.settle();
    }
  });
}

async function initialise(
  program: Program,
  version: string,
  folder: string,
  identity: Identity | undefined,
  signal: AbortSignal | undefined,
): Promise<void> {
  const data = join(folder, 'data');
  const password = randomBytes(12).toString('hex');
  await writeFile(join(folder, PASSWORD_FILE), password, { mode: 0o644 });
  const locale =
    Number.parseInt(version, 10) >= 17
      ? ['--locale-provider=builtin', '--builtin-locale=C.UTF-8', '--locale=C']
      : ['--locale=C'];
  const env = { ...process.env, LC_ALL: 'C', ...(await nameForOurUser(folder, signal)) };
  const options = { cwd: folder, env, ...identity, ...(signal && { signal }) };
  const run = promisify(execFile);
  try {
    await run(
      join(dirname(program.path), 'initdb'),
      [
        '-D',
        data,
        '-U',
        USER,
        '-E',
        'UTF8',
        ...locale,
        '--auth=password',
        `--pwfile=${join(folder, PASSWORD_FILE)}`,
        '--no-sync',
        '--wal-segsize=1',
        '--no-instructions',
      ],
      options,
    );
    const single = run(program.path, ['--single', '-D', data, '-c', 'fsync=off', 'template1'], options);
    // Renamed, not created: each database is 300 files more to copy at every start.
    single.child.stdin?.end(`ALTER DATABASE postgres RENAME TO ${DATABASE};\n`);
    await single;
    // Readable to Postgres, which looks at every file of its folder after a crash; the folder itself is closed to others.
    await writeFile(join(data, PASSWORD_FILE), password, { mode: 0o644 });
  } catch (error) {
    signal?.throwIfAborted();
    const words = error instanceof Error && 'stderr' in error ? String(error.stderr) : String(error);
    throw new ServerDiedError(NAME, 'initdb failed', words.trim(), { cause: error });
  }
}

/**
 * initdb insists on a name for the user that it runs as; a container may run us as a bare number. nss_wrapper shows it a
 * passwd file of our own (Postgres' official image does the same).
 */
async function nameForOurUser(folder: string, signal: AbortSignal | undefined): Promise<Record<string, string>> {
  if (process.platform !== 'linux' || hasName()) return {};
  const { provision, provisioned } = await import('./apt.ts');
  const recipe: AptRecipe = {
    packages: ['libnss-wrapper'],
    program: `usr/lib/${process.arch === 'arm64' ? 'aarch64' : 'x86_64'}-linux-gnu/libnss_wrapper.so`,
    library: true,
  };
  const library = (await provisioned('nss_wrapper', recipe)) ?? (await provision('nss_wrapper', recipe, signal));
  // Without it initdb says itself what it misses.
  if (library === undefined) return {};
  const [uid, gid] = [process.geteuid?.(), process.getegid?.()];
  await writeFile(join(folder, 'passwd'), `${USER}:x:${uid}:${gid}::/:/bin/false\n`);
  await writeFile(join(folder, 'group'), `${USER}:x:${gid}:\n`);
  return {
    LD_PRELOAD: library.path,
    NSS_WRAPPER_PASSWD: join(folder, 'passwd'),
    NSS_WRAPPER_GROUP: join(folder, 'group'),
  };
}

function hasName(): boolean {
  try {
    userInfo();
    return true;
  } catch {
    return false;
  }
}
