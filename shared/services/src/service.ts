import { constants } from 'node:fs';
import { access, realpath } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import type { AptRecipe } from './apt.ts';
import type { Container } from './compose.ts';
import type { JarRecipe } from './jars.ts';
import type { NpmRecipe } from './npm.ts';
import type { Program } from './process.ts';

/** What the common machinery must know of a kind of server. Each has one file that exports one of these. */
export interface Service {
  readonly name: string;
  /** The environment variable that names servers of the user's own: `REDIS_URL`. Empty where only ours will do. */
  readonly variable: string;
  /** Another variable that names them as `host:port`, without a scheme: `KAFKA_BROKERS`. */
  readonly addresses?: string;
  /** Whether several URLs may stand in the variable, separated by commas: independent nodes. */
  readonly several: boolean;
  /** The URLs are doors of one cluster instead: one is enough, however many nodes are wanted. */
  readonly cluster?: true;
  /** What the lab keeps to on a server of the user's. */
  readonly keepsTo: string;
  readonly schemes: readonly string[];
  readonly defaultPort: number;
  /** The compose file's containers of this kind. */
  readonly containers: readonly Container[];
  /** Its URL at a port of the compose file's, with user and password. */
  containerUrl(port: number): string;
  /** Whether the server at a container's URL is the compose file's, not a stranger on that port. Takes at most 1 s. */
  isOurContainer(url: string): Promise<boolean>;
  /** The program on this machine, if it is installed. Starts and downloads nothing. */
  find?(): Promise<Program | undefined>;
  /** How apt's client can fetch it into the private cache, where that is wanted. */
  readonly apt?: AptRecipe;
  /** Or which jars Maven can: a Java server. Its program is `java`, with the jars as its class path. */
  readonly jars?: JarRecipe;
  /** Or which package npm can. */
  readonly npm?: NpmRecipe;
  /** Or ways of its own. */
  readonly provider?: Provider;
  readonly version: (program: Program) => Promise<string>;
  /** A command per package manager that gets the server. */
  readonly install: Readonly<Partial<Record<PackageManager, string>>>;
}

/** The part of a service that no server of the user's and no container can stand for: it is a process of ours, always. */
export function oursAlone(scheme: string, defaultPort: number) {
  return {
    variable: '',
    several: false,
    keepsTo: 'path',
    schemes: [`${scheme}:`],
    defaultPort,
    containers: [],
    containerUrl: (port: number) => `${scheme}://127.0.0.1:${port}`,
    isOurContainer: async () => false,
  } satisfies Partial<Service>;
}

/** A program that comes in a way that no other service has. */
export interface Provider {
  /** In the private cache, or on PATH under another name than the server's. Starts and downloads nothing. */
  atHand(): Promise<Program | undefined>;
  /** @returns undefined where it cannot or may not be fetched @throws ProvisionError, or the signal's reason */
  fetch(signal: AbortSignal | undefined): Promise<Program | undefined>;
  /** Whether it can be fetched here, and from where. */
  outlook(): Promise<string | undefined>;
}

export type PackageManager = 'apt' | 'dnf' | 'apk' | 'pacman' | 'brew' | 'npm';

/** Whether anything may be fetched that is not on this machine. */
export function mayProvision(): boolean {
  return process.env['LABS_PROVISION'] !== 'never';
}

/** The first of `names` that is an executable on PATH. */
export async function onPath(...names: readonly string[]): Promise<string | undefined> {
  for (const name of names) {
    const [first] = await allOnPath(name);
    if (first !== undefined) return first;
  }
  return undefined;
}

/** Every executable of that name on PATH, in PATH's order; one that two folders lead to counts once. */
export async function allOnPath(name: string): Promise<string[]> {
  const folders = (process.env['PATH'] ?? '').split(delimiter).filter((folder) => folder !== '');
  const found = new Map<string, string>();
  for (const path of folders.map((folder) => join(folder, name))) {
    const real = await access(path, constants.X_OK)
      .then(() => realpath(path))
      .catch(() => undefined);
    if (real !== undefined && !found.has(real)) found.set(real, path);
  }
  return [...found.values()];
}
