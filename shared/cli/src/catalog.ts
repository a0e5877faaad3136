import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { CommandError } from './errors.ts';
import { isMissing, isRecord } from './labs.ts';

/** Versions by catalog name (`default` for the unnamed one), then by package. */
export type Catalogs = ReadonlyMap<string, ReadonlyMap<string, string>>;

/** The catalogs of `pnpm-workspace.yaml`. */
export async function readCatalog(root: string): Promise<Catalogs> {
  const { parse } = await import('yaml');
  const workspace: unknown = parse(await readFile(join(root, 'pnpm-workspace.yaml'), 'utf8'));
  if (!isRecord(workspace)) return new Map();
  const named = isRecord(workspace['catalogs']) ? Object.entries(workspace['catalogs']) : [];
  return new Map(
    [['default', workspace['catalog']] as const, ...named].map(([name, entries]) => [name, toMap(entries)]),
  );
}

const toMap = (entries: unknown): Map<string, string> =>
  new Map(Object.entries(isRecord(entries) ? entries : {}).map(([name, version]) => [name, String(version)]));

/**
 * The exact version behind a dependency's range: what the catalog pins, or what is installed where that is a range.
 *
 * @throws {CommandError} where neither says.
 */
export async function versionOf(name: string, spec: string, catalogs: Catalogs, dir: string): Promise<string> {
  const [, catalog] = /^catalog:(.*)$/.exec(spec) ?? [];
  const range = catalog === undefined ? spec : catalogs.get(catalog || 'default')?.get(name);
  if (range !== undefined && /^\d+\.\d+\.\d+/.test(range)) return range;
  return (
    (await installedVersion(name, dir)) ??
    unresolved(name, range === undefined ? 'the catalog does not list it' : `"${range}" is not installed`)
  );
}

async function installedVersion(name: string, dir: string): Promise<string | undefined> {
  try {
    const manifest: unknown = JSON.parse(await readFile(join(dir, 'node_modules', name, 'package.json'), 'utf8'));
    return isRecord(manifest) && typeof manifest['version'] === 'string' ? manifest['version'] : undefined;
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw error;
  }
}

function unresolved(name: string, why: string): never {
  throw new CommandError(`no version is known for ${name}: ${why}; add it to the catalog of pnpm-workspace.yaml`);
}
